"""Where was looked: footprints of images as MOCs, their area, and pieces of sky.

A MOC (multi-order coverage map) is the IVOA's form of an area of sky, made of HEALPix cells
of several sizes.
"""

from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix

from astro_objdet.catalogs.sphere import normalised, unit_vectors
from astro_objdet.errors import InputError

__all__ = [
    "area_deg2",
    "contains",
    "field_corners",
    "footprint_moc",
    "read_moc",
    "occupied",
    "sky_cells",
]

FULL_SKY_DEG2 = 4 * np.pi * (180 / np.pi) ** 2
# Side of a HEALPix cell of order 0, in degrees.
_ORDER_0_DEG = np.sqrt(FULL_SKY_DEG2 / 12)
# A MOC holds each cell that its polygon touches: cells of 1/450 of the field make it 0.6 per
# cent too large. Beyond so many fields it takes seconds; coarser cells have 2.5 per cent.
_CELLS_ACROSS, _CELLS_ACROSS_MANY, _MANY_FIELDS = 450, 110, 500
_FINEST_ORDER = 29
# Finest cells of `sky_cells`: 0.43 arcmin.
# Rows to a cell, so that few cells of a field are empty by chance; fewer rows fill a circle.
_PER_CELL = 4
_FEW = 64
_CELL_ORDER = 13


def field_corners(meta):
    """Return the corners of the images that ``meta`` of detections tells of.

    Parameters
    ----------
    meta : mapping
        Of `~astro_objdet.catalogs.Detections`: ``footprint_deg`` of one image, or
        ``fields[name]["footprint_deg"]`` of several.

    Returns
    -------
    dict of str to `~numpy.ndarray` of float64, shape (4, 2)
        Of each field by name: ra, dec in degrees of its lower left, lower right, upper right
        and upper left corner. The name is empty for one image without a name; the dict is
        empty without footprints.

    Raises
    ------
    InputError
        If ``fields`` is not as above, or a footprint is not four positions.
    """
    fields = meta.get("fields") or {}
    if not (isinstance(fields, dict) and all(isinstance(f, dict) for f in fields.values())):
        raise InputError(
            "meta['fields'] must be a dict of fields by name, each a dict that may have "
            f"footprint_deg; got {fields!r}"
        )
    given = {str(name): field.get("footprint_deg") for name, field in fields.items()}
    if not given:
        given = {"": meta.get("footprint_deg")}
    return {name: _corners(name, value) for name, value in given.items() if value is not None}


def footprint_moc(meta_or_corners):
    """Return the sky inside footprints as a MOC.

    Parameters
    ----------
    meta_or_corners : mapping or sequence
        ``meta`` of detections (see `field_corners`), or polygons: a sequence of arrays of
        shape (K, 2) with ra, dec in degrees of their corners. Edges are great circles.

    Returns
    -------
    `mocpy.MOC` or None
        The union, within 1 per cent of its area (2.5 for more than 500 fields; never
        smaller). None without footprints.

    Raises
    ------
    InputError
        If a footprint is not made of positions.
    """
    if hasattr(meta_or_corners, "items"):
        polygons = list(field_corners(meta_or_corners).values())
    else:
        polygons = [_corners(str(n), given, None) for n, given in enumerate(meta_or_corners)]
    if not polygons:
        return None
    from mocpy import MOC  # a second of imports

    across = _CELLS_ACROSS if len(polygons) <= _MANY_FIELDS else _CELLS_ACROSS_MANY
    mocs = [
        MOC.from_polygon(*(polygon.T * u.deg), max_depth=_order(polygon, across))
        for polygon in polygons
    ]
    return mocs[0].union(*mocs[1:]) if len(mocs) > 1 else mocs[0]


def read_moc(path):
    """Read a MOC from a FITS or JSON file.

    Raises
    ------
    InputError
        If the file is missing, or not a MOC of the sky.
    """
    from mocpy import MOC

    path = Path(path)
    kind = "json" if path.suffix.lower() == ".json" else "fits"
    try:
        return MOC.load(path, format=kind)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as a MOC ({kind}): {error}", path) from error


def area_deg2(moc):
    """Return the area of a MOC as a `~astropy.units.Quantity` in deg²."""
    return moc.sky_fraction * FULL_SKY_DEG2 * u.deg**2


def contains(moc, ra, dec):
    """Whether positions lie in a MOC.

    Parameters
    ----------
    moc : `mocpy.MOC`
    ra, dec : array_like of float, shape (N,)
        Degrees, ICRS.

    Returns
    -------
    `~numpy.ndarray` of bool, shape (N,)
        False for positions that are not finite.
    """
    ra, dec = np.asarray(ra, dtype=float), np.asarray(dec, dtype=float)
    inside = np.isfinite(ra) & np.isfinite(dec)
    inside[inside] = moc.contains_lonlat(ra[inside] * u.deg, dec[inside] * u.deg)
    return inside


def sky_cells(ra, dec, at_least=20):
    """Divide positions into HEALPix cells: as coarse as gives enough of them.

    Parameters
    ----------
    ra, dec : array_like of float, shape (N,)
        Degrees, finite.
    at_least : int, optional
        How many occupied cells are wanted. Each finer order has at most four times as many,
        so that up to about four times this number comes out.

    Returns
    -------
    cell : `~numpy.ndarray` of int64, shape (N,)
        HEALPix number in the nested scheme.
    nside : int
        Of the cells, 1 to 8192; the finest if no order has enough.
    """
    finest = HEALPix(nside=2**_CELL_ORDER, order="nested")
    ra, dec = np.asarray(ra, dtype=float), np.asarray(dec, dtype=float)
    cell = np.asarray(finest.lonlat_to_healpix(ra * u.deg, dec * u.deg), dtype=np.int64)
    for order in range(_CELL_ORDER + 1):
        shift = 2 * (_CELL_ORDER - order)
        if _occupied(cell >> shift, order) >= at_least:
            break
    return cell >> shift, 2**order


def occupied(ra, dec):
    """A function that says which positions lie where some others are.

    Parameters
    ----------
    ra, dec : array of float, shape (N,)
        Degrees, finite, N at least 1. Fewer than 64 are taken to fill a circle; of more, the
        HEALPix cells that hold some, about four or more of them to a cell.

    Returns
    -------
    callable
        From right ascensions and declinations to `~numpy.ndarray` of bool.
    """
    if len(ra) < _FEW:
        points = SkyCoord(ra, dec, unit="deg").cartesian
        centre = SkyCoord(points.mean(), representation_type="unitspherical")
        reach = centre.separation(SkyCoord(points)).max() + 1 * u.arcsec
        return lambda lon, lat: centre.separation(SkyCoord(lon, lat, unit="deg")) <= reach
    cells, nside = sky_cells(ra, dec, at_least=len(ra) // (4 * _PER_CELL))
    cells, grid = np.unique(cells), HEALPix(nside=nside, order="nested")
    return lambda lon, lat: np.isin(grid.lonlat_to_healpix(lon * u.deg, lat * u.deg), cells)


def _occupied(cell, order):
    """Number of different cells of an order."""
    cells = 12 * 4**order
    if cells > len(cell) + 10**6:
        return len(np.unique(cell))
    return np.count_nonzero(np.bincount(cell, minlength=cells))


def _corners(name, given, number=4):
    try:
        corners = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        corners = np.empty(0)
    shaped = corners.ndim == 2 and corners.shape[1] == 2 and len(corners) >= 3
    if not (
        shaped
        and number in (None, len(corners))
        and np.isfinite(corners).all()
        and (np.abs(corners[:, 1]) <= 90).all()
    ):
        of = f" of field {name!r}" if name else ""
        rule = "four finite [ra, dec]" if number else "three or more finite [ra, dec]"
        raise InputError(
            f"the footprint{of} must be {rule} in degrees with |dec| ≤ 90, got {given!r}"
        )
    return corners


def _order(polygon, across):
    """HEALPix order whose cells are 1 / ``across`` of a polygon's size."""
    points = unit_vectors(*polygon.T)
    centre = normalised(points.sum(axis=0))
    radius = np.degrees(np.arccos(np.clip(points @ centre, -1, 1)).max())
    side = max(radius * np.sqrt(2), 1e-6)
    return int(np.clip(np.ceil(np.log2(_ORDER_0_DEG * across / side)), 0, _FINEST_ORDER))
