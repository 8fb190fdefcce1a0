"""Tables as DS9 region files: a point a row, or the boxes of detections."""

import re
import warnings

import numpy as np
from astropy import units as u
from astropy.table import Table
from regions import RectangleSkyRegion, SkyRegion

from astro_objdet.catalogs.columns import guess_column, numeric_values, sky_positions
from astro_objdet.catalogs.detections import Detections
from astro_objdet.catalogs.tables.formats import content_of
from astro_objdet.catalogs.tables.regionsio import box_columns, dump_ds9, load_ds9
from astro_objdet.errors import InputError

__all__ = ["read_regions", "write_regions"]

_SCORE_TAG = "score="
# A box as `dump_ds9` writes it, with what makes it a point.
_BOX = re.compile(r"^box\(([^,]+),([^,]+),[^)]*\) #", re.MULTILINE)
# What joined tables put behind the names that both sides have.
_SIDES = ("_1", "_2")
_POINT = r"point(\1,\2) # point=circle"


def read_regions(path, hdu=None):
    """Read a DS9 region file.

    Returns
    -------
    `~astropy.table.Table` or `~astropy.catalogs.Detections`
        Columns ra and dec of the centres (deg, ICRS) and label, and score if any region has one.
        Boxes with scores, as detections are written, are detections.
    """
    if hdu is not None:
        raise InputError(f"hdu is for FITS and VOTable, got {hdu!r} for a region file")
    regions = list(load_ds9(content_of(path)))
    if regions and all(map(_is_scored_box, regions)):
        return Detections.from_regions(regions)
    for number, region in enumerate(regions):
        what = type(region).__name__
        if not isinstance(region, SkyRegion):
            raise InputError(f"region {number} is in pixels ({what}); positions on the sky needed")
        if getattr(region, "center", None) is None:
            raise InputError(f"region {number} has no centre ({what})")
    # Boxes of any size, for what the reader of boxes does with frames, labels and scores.
    size = 1 * u.arcsec
    boxes = [RectangleSkyRegion(r.center, size, size, meta=r.meta) for r in regions]
    _, scores, labels, sky = box_columns(boxes)
    table = Table()
    for name in ("ra", "dec"):
        table[name] = np.zeros(0) if sky is None else sky[name]
        table[name].unit = u.deg
    table["label"] = np.array(labels, dtype=np.str_)
    if np.isfinite(scores).any():
        table["score"] = scores
    return table


def write_regions(table, stream):
    """Write the boxes of detections, or a point a row, as a DS9 region file.

    The columns of positions, labels and scores are found as `sky_positions` and `guess_column`
    do; in matched tables those of the left, and of the right for the rows it has alone. Rows
    without a position are left out with a warning.
    """
    if isinstance(table, Detections):
        stream.write(dump_ds9(table))
        return
    ra, dec = _positions(table)
    rows = np.flatnonzero(np.isfinite(ra))
    if len(rows) < len(table):
        warnings.warn(
            f"{len(table) - len(rows)} of {len(table)} rows have no position and are left out of "
            "the region file",
            UserWarning,
            stacklevel=4,
        )
    boxes = Detections.from_boxes(
        np.tile([0.0, 0.0, 1.0, 1.0], (len(rows), 1)),
        _scores(table)[rows],
        _labels(table, rows),
    )
    boxes["ra"], boxes["dec"] = ra[rows] * u.deg, dec[rows] * u.deg
    stream.write(_BOX.sub(_POINT, dump_ds9(boxes).decode()).encode())


def _is_scored_box(region):
    tags = map(str, region.meta.get("tag", []))
    return isinstance(region, RectangleSkyRegion) and any(t.startswith(_SCORE_TAG) for t in tags)


def _positions(table):
    """Right ascension and declination in degrees, NaN for none."""
    try:
        found = sky_positions(table, side="the")
    except InputError:
        sides = [_of_a_side(table, suffix) for suffix in _SIDES]
        if None in sides:
            raise
        left, right = sides
        # Rows that the right table has alone have no place in the left one.
        alone = ~left.usable
        return np.where(alone, right.ra, left.ra), np.where(alone, right.dec, left.dec)
    return found.ra, found.dec


def _of_a_side(table, suffix):
    names = [name for name in table.colnames if name.endswith(suffix)]
    if not names:
        return None
    side = table[names]
    side.rename_columns(names, [name.removesuffix(suffix) for name in names])
    return sky_positions(side, side="the matched")


def _scores(table):
    name = guess_column(table, "score")
    return np.full(len(table), np.nan) if name is None else numeric_values(table, name).values


def _labels(table, rows):
    name = guess_column(table, "label") or guess_column(table, "id")
    if name is None:
        return [""] * len(rows)
    column = table[name][rows]
    masked = np.broadcast_to(getattr(column, "mask", False), len(rows))
    return ["" if m else str(text) for text, m in zip(column, masked, strict=True)]
