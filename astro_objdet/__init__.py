"""Find objects in survey images and get catalogues on the sky.

    from astro_objdet import Detector

    detector = Detector.from_pretrained("deepcee")
    found = detector.detect(ccd)

Importing the package is quick: its rooms, and torch, load on first use.
"""

from importlib import import_module
from importlib.metadata import version

__version__ = version("astro-objdet")

_PUBLIC = {
    "crossmatch": "astro_objdet.catalogs.crossmatch",
    "Detections": "astro_objdet.catalogs",
    "Detector": "astro_objdet.detectors",
    "list_detectors": "astro_objdet.detectors",
    "read_bands": "astro_objdet.images",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__():
    return sorted([*globals(), *_PUBLIC])
