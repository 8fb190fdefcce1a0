"""Sphinx settings. Build with: python -m sphinx -W --keep-going -b html docs OUT"""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

from astro_objdet.engine.weights import load_card

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from deepcee_tables import write_parts

project = "astro_objdet"
author = "The astro_objdet developers"
copyright = author
release = version_of("astro-objdet")
version = ".".join(release.split(".")[:2])

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_automodapi.smart_resolver",
]
default_role = "obj"
templates_path = ["_templates"]
exclude_patterns = ["_build", "Thumbs.db", ".DS_Store"]

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
# Docstrings give shapes, units and error classes in words, not only in types.
numpydoc_xref_param_type = False

# The build needs no network. Where the pages are published, links into the
# documentation of other packages are wanted too.
intersphinx_mapping = {}
if os.environ.get("READTHEDOCS") == "True":
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
        "astropy": ("https://docs.astropy.org/en/stable", None),
        "regions": ("https://astropy-regions.readthedocs.io/en/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }

html_theme = "pydata_sphinx_theme"
html_title = f"astro_objdet {release}"
html_static_path = ["_static"]
html_css_files = ["astro_objdet.css"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_center": [],
    "navbar_persistent": [],
    "navbar_end": ["search-field", "theme-switcher"],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# All pages, always: there are few enough.
html_sidebars = {"**": ["site-nav"]}

# Tables and numbers on the bundled weights are those of their card.
write_parts(load_card("deepcee"), Path(__file__).parent / "generated")
