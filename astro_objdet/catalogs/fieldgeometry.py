"""Where objects lie in the image of their field, from the corners of its footprint."""

import numpy as np

from astro_objdet.catalogs.matching.pairs import pairs_within
from astro_objdet.catalogs.sphere import normalised, ra_dec, unit_vectors

__all__ = [
    "field_positions",
    "fields_containing",
    "nearest_field",
]

_ARCSEC_PER_RADIAN = np.degrees(1) * 3600


def field_positions(corners, ra, dec):
    """Positions in a field, measured along the axes of its image.

    Parameters
    ----------
    corners : array_like of float, shape (4, 2) or (N, 4, 2)
        ra, dec in degrees of the lower left, lower right, upper right and upper left corner
        of the one field, or of the field of each position.
    ra, dec : array_like of float, shape (N,)
        Degrees.

    Returns
    -------
    x, y : `~numpy.ndarray` of float64, shape (N,)
        Arcsec from the centre of the field along the pixel axes, in the tangent plane there;
        NaN for the other half of the sky.
    """
    corners = np.asarray(corners, dtype=float)
    at = unit_vectors(corners[..., 0], corners[..., 1])
    lower_left, lower_right, upper_right, upper_left = np.moveaxis(at, -2, 0)
    centre = normalised(at.sum(axis=-2))
    right = lower_right + upper_right - lower_left - upper_left
    right = normalised(right - centre * _dot(right, centre)[..., None])
    # The pixel axes are at right angles; which way y points depends on the parity.
    up = np.cross(centre, right)
    parity = np.sign(_dot(up, upper_left + upper_right - lower_left - lower_right))
    points = unit_vectors(ra, dec)
    depth = _dot(points, centre)
    arcsec = _ARCSEC_PER_RADIAN / np.where(depth > 0, depth, np.nan)
    return _dot(points, right) * arcsec, _dot(points, up) * parity * arcsec


def nearest_field(corners, ra, dec):
    """The field that each position lies in; of several, the one whose centre is nearest.

    Parameters
    ----------
    corners : sequence of array_like of float, shape (4, 2)
        Of each field.
    ra, dec : `~numpy.ndarray` of float64, shape (N,)
        Degrees, finite.

    Returns
    -------
    field : `~numpy.ndarray` of int64, shape (N,)
        Index into ``corners``; −1 for positions in none.
    x, y : `~numpy.ndarray` of float64, shape (N,)
        As `field_positions`; NaN in none.
    """
    field, x, y = np.full(len(ra), -1), np.full(len(ra), np.nan), np.full(len(ra), np.nan)
    rows, fields, at_x, at_y = fields_containing(corners, ra, dec)
    # Furthest first, so that the nearest is the one that stays.
    order = np.argsort(-np.hypot(at_x, at_y), kind="stable")
    rows = rows[order]
    field[rows], x[rows], y[rows] = fields[order], at_x[order], at_y[order]
    return field, x, y


def fields_containing(corners, ra, dec):
    """All fields that each position lies in.

    Parameters are those of `nearest_field`.

    Returns
    -------
    row, field : `~numpy.ndarray` of int64, shape (P,)
        Indices into the positions and into ``corners``, a pair for each field of each.
    x, y : `~numpy.ndarray` of float64, shape (P,)
        As `field_positions`.
    """
    corners = np.asarray(list(corners), dtype=float).reshape(-1, 4, 2)
    at = unit_vectors(corners[..., 0], corners[..., 1])
    centre = normalised(at.sum(axis=1))
    # A little further than the corners, where rounding might lose one.
    reach = 1.001 * np.arccos(np.clip(_dot(at, centre[:, None]), -1, 1)).max(axis=1)
    near = pairs_within(ra, dec, *ra_dec(centre), reach * _ARCSEC_PER_RADIAN, of="second")
    x, y = field_positions(corners[near.second], ra[near.first], dec[near.first])
    edge_x, edge_y = _half_sizes(corners)
    inside = (np.abs(x) <= edge_x[near.second]) & (np.abs(y) <= edge_y[near.second])
    return near.first[inside], near.second[inside], x[inside], y[inside]


def _half_sizes(corners):
    """Largest offsets of the corners from the centre along x and y, each of shape (F,)."""
    offsets = [
        field_positions(corners, corners[:, corner, 0], corners[:, corner, 1])
        for corner in range(4)
    ]
    return np.abs(offsets).max(axis=0)


def _dot(first, second):
    return np.sum(first * second, axis=-1)
