"""Tables on the sky: detections and what is done with them. No torch.

Names load their modules when they are first used. `astro_objdet.crossmatch` and
`astro_objdet.catalogs.triage.triage` are found in the modules of their names.
"""

from importlib import import_module

from astro_objdet.catalogs.detections import Detections

_PUBLIC = {
    "Calibration": "calibration",
    "Evaluation": "evaluation",
    "PAPER_COSMOLOGY": "cosmology",
    "SelectionFunction": "selection",
    "evaluate": "evaluation",
    "fetch_catalogue": "reference",
    "kpc_per_arcsec": "cosmology",
    "list_catalogues": "reference",
    "load_catalogue": "reference",
    "read_table": "tables.files",
    "write_table": "tables.files",
}

__all__ = ["Detections", *_PUBLIC]


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__():
    return sorted([*globals(), *_PUBLIC])
