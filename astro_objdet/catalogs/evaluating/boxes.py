"""Boxes of detections and of true objects in the same images, for COCO metrics."""

import numpy as np
from astropy import units as u

from astro_objdet.catalogs.columns import numeric_values
from astro_objdet.catalogs.evaluating.coco import CocoMetrics, coco_metrics, have_area
from astro_objdet.catalogs.evaluating.inputs import IN_PLAY, Status
from astro_objdet.catalogs.fieldgeometry import (
    field_positions,
    fields_containing,
    nearest_field,
)
from astro_objdet.catalogs.footprint import field_corners
from astro_objdet.catalogs.matching.radius import radius_arcsec
from astro_objdet.catalogs.sphere import normalised, ra_dec, unit_vectors
from astro_objdet.errors import InputError

__all__ = ["box_metrics"]

_EDGES = ("x_min", "y_min", "x_max", "y_max")
# Half the width of the boxes that both papers' detectors of this package are trained on.
_HALF_WIDTH = 250 * u.kpc
# Without footprints all is one image, on one tangent plane, if it is no larger than this.
_ONE_IMAGE_DEG = 5


def box_metrics(found, truth, ours, theirs, half_width, redshift, cosmology) -> CocoMetrics:
    """Compare the boxes of two tables.

    Parameters
    ----------
    found, truth : `~astropy.table.Table`
    ours, theirs : `~astro_objdet.catalogs.evaluating.inputs.Rows`
        The same tables, read: rows that are set aside take no part, true boxes that are not
        counted excuse the boxes on them.
    half_width : True, `~astropy.units.Quantity` or str
        As ``coco`` of `~astro_objdet.catalogs.evaluation.evaluate`.
    redshift, cosmology
        As for `~astro_objdet.catalogs.matching.radius.radius_arcsec`.

    Raises
    ------
    InputError
        Where the fields of the two tables do not correspond, or boxes cannot be made.
    """
    mine, others = ours.having(Status.COUNTED), theirs.having(*IN_PLAY)
    if half_width is True and set(_EDGES) <= set(truth.colnames):
        boxes = _pixel_boxes(found, mine, "found"), _pixel_boxes(truth, others, "truth")
        _check_fields(found, truth, *boxes)
    else:
        size = _HALF_WIDTH if half_width is True else half_width
        reach, _ = radius_arcsec(size, truth, side="truth", redshift=redshift, cosmology=cosmology)
        others = others[np.isfinite(reach[others])]
        boxes = _sky_boxes(found, mine, ours, others, theirs, reach)
    (found_rows, found_boxes, found_images), (truth_rows, truth_boxes, truth_images) = boxes
    return coco_metrics(
        found_boxes,
        ours.values["score"][found_rows],
        found_images,
        truth_boxes,
        truth_images,
        ignored=theirs.status[truth_rows] != Status.COUNTED,
    )


def _pixel_boxes(table, rows, side):
    """Rows with a box, their boxes in pixels, and their fields."""
    edges = [numeric_values(table, name, side=side).values for name in _EDGES]
    boxes = np.stack(edges, axis=1)[rows]
    fields = table["field"] if "field" in table.colnames else np.full(len(table), "")
    good = have_area(boxes)
    return rows[good], boxes[good], np.asarray(fields).astype(str)[rows[good]]


def _check_fields(found, truth, *boxes):
    """Refuse tables of which no box of the one can be in an image of the other."""
    having = ["field" in table.colnames for table in (found, truth)]
    if having[0] != having[1]:
        which, other = ("found", "truth") if having[0] else ("truth", "found")
        raise InputError(
            f"coco: the {which} table has a column 'field' and the {other} table has none, so "
            "that the images of their boxes cannot be told: both need it, or neither"
        )
    names = [np.unique(fields) for _, _, fields in boxes]
    if all(map(len, names)) and not np.isin(*names).any():
        raise InputError(
            "coco: the columns 'field' of found and truth must have names in common, got "
            + " and ".join(f"{names_of[0]!s}, …" for names_of in names)
        )


def _sky_boxes(found, mine, ours, others, theirs, reach):
    """The same for boxes in arcsec, in the tangent plane of each field."""
    corners = field_corners(found.meta)
    if not corners:
        corners = {"": _around(ours, mine, theirs, others)}
    names, frames = list(corners), np.array(list(corners.values()))
    inside, fields, x, y = fields_containing(frames, theirs.ra[others], theirs.dec[others])
    others, half = others[inside], reach[others[inside]]
    truth_boxes = np.stack([x - half, y - half, x + half, y + half], axis=1)

    field = _field_of(found, mine, ours, names, frames)
    mine, field = mine[field >= 0], field[field >= 0]
    x, y = field_positions(frames[field], ours.ra[mine], ours.dec[mine])
    width, height = (_half_arcsec(found, name)[mine] for name in ("width", "height"))
    boxes = np.stack([x - width, y - height, x + width, y + height], axis=1)
    good = have_area(boxes)
    return (mine[good], boxes[good], field[good]), (others, truth_boxes, fields)


def _half_arcsec(found, name):
    size = numeric_values(found, name, side="found")
    unit = size.unit or u.arcsec
    if not unit.is_equivalent(u.arcsec):
        raise InputError(f"column {name!r} of the found table must be an angle, got {unit}")
    return size.values * unit.to(u.arcsec) / 2


def _field_of(found, rows, ours, names, frames):
    """Index of the field of each detection: by its column, or the nearest."""
    if len(names) == 1:
        return np.zeros(len(rows), dtype=int)
    if "field" not in found.colnames:
        return nearest_field(frames, ours.ra[rows], ours.dec[rows])[0]
    index = {name: number for number, name in enumerate(names)}
    named = np.asarray(found["field"]).astype(str)[rows].tolist()
    field = np.array([index.get(name, -1) for name in named], dtype=int)
    if len(field) and not (field >= 0).any():
        raise InputError(
            "coco: the column 'field' of the found table must name fields of "
            f"found.meta['fields'], such as {names[0]!r}; got {named[0]!r}"
        )
    return field


def _around(ours, mine, theirs, others):
    """Corners of one field around all positions, with x east and y north."""
    ra = np.concatenate([ours.ra[mine], theirs.ra[others]])
    dec = np.concatenate([ours.dec[mine], theirs.dec[others]])
    points = unit_vectors(ra, dec)
    middle = points.sum(axis=0) if len(points) else np.array([1.0, 0.0, 0.0])
    centre = normalised(middle)
    size = np.degrees(np.arccos(np.clip(points @ centre, -1, 1))).max(initial=0)
    if size > _ONE_IMAGE_DEG:
        raise InputError(
            "coco needs images: found.meta has no footprint_deg, and the positions span more "
            f"than {2 * _ONE_IMAGE_DEG} deg"
        )
    east = normalised(np.cross([0.0, 0.0, 1.0], centre))
    north = np.cross(centre, east)
    half = np.tan(np.radians(2 * _ONE_IMAGE_DEG))
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.stack(ra_dec(np.array([centre + half * (a * east + b * north) for a, b in signs])), 1)
