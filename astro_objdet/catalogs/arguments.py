"""Checks of parameters that several of the catalogue's tools take."""

import numbers

import numpy as np
from astropy.table import Table

from astro_objdet.catalogs.columns.ranges import check_range
from astro_objdet.errors import InputError

__all__ = ["check_ranges", "check_table", "check_threshold", "check_thresholds", "property_names"]


def check_table(name, table):
    """Return ``table`` if it is an astropy Table, else raise `InputError`."""
    if not isinstance(table, Table):
        raise InputError(f"{name} must be an astropy Table, got {type(table).__name__}")
    return table


def check_ranges(ranges):
    """The ranges of properties that count, ends included.

    Parameters
    ----------
    ranges : dict of str to pair of float or None, or None

    Returns
    -------
    dict of str to (float, float)
        Infinite at an open end; empty for None.

    Raises
    ------
    InputError
        If it is no dict, or a range is not two numbers in their order.
    """
    if ranges is None:
        return {}
    if not isinstance(ranges, dict):
        raise InputError(
            "ranges must be a dict of (low, high) by column, such as {'redshift': (0.1, 0.3)}; "
            f"got {ranges!r}"
        )
    return {str(name): check_range(name, limits) for name, limits in ranges.items()}


def property_names(name, given):
    """Names of properties, one or several, as a tuple, else raise `InputError`."""
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
        raise InputError(f"{name} must be names of properties, got {given!r}")
    return tuple(names)


def check_threshold(threshold):
    """Return a score threshold as a float if it is a finite number, else raise `InputError`."""
    number = isinstance(threshold, numbers.Real) and not isinstance(threshold, bool)
    if not number or not np.isfinite(threshold):
        raise InputError(f"threshold must be a finite number, got {threshold!r}")
    return float(threshold)


def check_thresholds(given):
    """Score thresholds, rising, each once, as `~numpy.ndarray` of float64.

    Raises
    ------
    InputError
        If they are not one or more finite numbers.
    """
    try:
        thresholds = np.unique(np.asarray(given, dtype=float))
    except (TypeError, ValueError):
        thresholds = np.empty(0)
    if not (thresholds.size and np.isfinite(thresholds).all()):
        raise InputError(f"thresholds must be one or more finite numbers, got {given!r}")
    return thresholds
