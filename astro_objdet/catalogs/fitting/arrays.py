"""Columns, quantities and lists as plain arrays."""

import numbers

import numpy as np
from astropy import units as u

from astro_objdet.catalogs.columns.masks import unmasked
from astro_objdet.errors import InputError

__all__ = ["edge_array", "float_array"]


def float_array(name, values, unit=None):
    """Numbers of any kind as float64.

    Parameters
    ----------
    name : str
        What they are, for messages.
    values : array_like
        Columns, masked arrays and quantities too.
    unit : `~astropy.units.Unit`, optional
        To convert to, where the values have a unit.

    Returns
    -------
    `~numpy.ndarray` of float64
        NaN where masked.

    Raises
    ------
    InputError
        When they are no numbers, or of another unit.
    """
    given = getattr(values, "unit", None)
    plain, masked = unmasked(values)
    if plain.dtype.kind not in "fiub":
        raise InputError(f"{name} must hold numbers, got {plain.dtype}")
    plain = np.where(masked, np.nan, plain.astype(float))
    if unit is None or given is None:
        return plain
    try:
        return plain * u.Unit(given).to(unit)
    except u.UnitConversionError:
        raise InputError(f"{name} must be in {unit}, got {given}") from None


def edge_array(name, bins, spaced):
    """Edges of bins.

    Parameters
    ----------
    name : str
        What they are, for messages.
    bins : int or array_like of float
        How many bins, or their edges.
    spaced : callable
        Makes so many edges.

    Returns
    -------
    `~numpy.ndarray` of float64
        Ascending.

    Raises
    ------
    InputError
        When they are neither.
    """
    if isinstance(bins, numbers.Integral) and not isinstance(bins, bool) and bins > 0:
        return spaced(bins + 1)
    edges = np.atleast_1d(float_array(name, bins))
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise InputError(f"{name} must be an integer above 0 or ascending edges, got {bins!r}")
    return edges
