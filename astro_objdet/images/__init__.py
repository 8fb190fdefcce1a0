"""Pixels on the sky: every input on one grid, tiles, and stretches."""

from astro_objdet.images.bandstack import BandStack, read_bands
from astro_objdet.images.stretch import (
    HSCStretch,
    IdentityStretch,
    LuptonStretch,
    SqrtFluxStretch,
    stretch_from_dict,
)
from astro_objdet.images.tiles import SDSS_NOISE, Tile, TileGrid, make_tiles

__all__ = [
    "SDSS_NOISE",
    "BandStack",
    "HSCStretch",
    "IdentityStretch",
    "LuptonStretch",
    "SqrtFluxStretch",
    "Tile",
    "TileGrid",
    "make_tiles",
    "read_bands",
    "stretch_from_dict",
]
