"""What goes into a selection function: properties of objects, checked."""

import numpy as np
from astropy import units as u

from astro_objdet.catalogs.arguments import property_names
from astro_objdet.catalogs.columns.masks import unmasked
from astro_objdet.catalogs.fitting.arrays import float_array
from astro_objdet.errors import InputError, check_choice

__all__ = ["check_enough", "logarithms", "property_columns", "usable_rows"]

#: Fitted in their decimal logarithm unless told otherwise.
LOG_PROPERTIES = ("richness", "flux_ratio")
LEAST = 10


def property_columns(values, recovered):
    """The properties as plain arrays, their units, and the outcome.

    Parameters
    ----------
    values : dict of str to array_like, shape (N,)
    recovered : array_like of bool, shape (N,)

    Returns
    -------
    columns : dict of str to `~numpy.ndarray` of float64, NaN where masked
    units : dict of str to `~astropy.units.Unit`
        Of those that have one.
    recovered : `~numpy.ndarray` of float64
        1 or 0, NaN where masked.

    Raises
    ------
    InputError
        For other numbers of properties than one and two, lengths that differ, and
        outcomes that are not true or false.
    """
    if not isinstance(values, dict) or len(values) not in (1, 2):
        raise InputError(
            "values must be a dict of one or two properties, got "
            f"{list(values) if isinstance(values, dict) else type(values).__name__}"
        )
    columns = {name: float_array(name, given) for name, given in values.items()}
    units = {
        name: u.Unit(given.unit)
        for name, given in values.items()
        if getattr(given, "unit", None) not in (None, u.dimensionless_unscaled)
    }
    recovered, masked = unmasked(recovered)
    shapes = [column.shape for column in (*columns.values(), recovered)]
    if recovered.ndim != 1 or len(set(shapes)) != 1:
        raise InputError(f"properties and recovered must have one length, got shapes {shapes}")
    if not np.isin(recovered[~masked], (0, 1)).all():
        raise InputError("recovered must hold True and False, or 1 and 0")
    return columns, units, np.where(masked, np.nan, recovered == 1)


def logarithms(log, columns):
    """Names of the properties that are fitted in their logarithm.

    Raises
    ------
    InputError
        For a name that is none of the properties.
    """
    if log is None:
        return tuple(name for name in columns if name in LOG_PROPERTIES)
    log = property_names("log", log)
    for name in log:
        check_choice("log", name, columns)
    return log


def usable_rows(columns, recovered, log):
    """Rows that can be fitted (bool, shape (N,)), and how many cannot by reason."""
    usable = np.isfinite(recovered)
    counts = {"recovered masked": int((~usable).sum())}
    for name, column in columns.items():
        rules = {f"{name} masked, NaN or infinite": np.isfinite(column)}
        if name in log:
            rules[f"{name} 0 or negative"] = ~(column <= 0)
        for reason, good in rules.items():
            counts[reason] = int((usable & ~good).sum())
            usable &= good
    return usable, {reason: count for reason, count in counts.items() if count}


def check_enough(columns, counts):
    """Raise `InputError` for too few rows, or a property that is the same in all."""
    n = len(next(iter(columns.values())))
    if n < LEAST:
        aside = "".join(f"; {count} set aside: {reason}" for reason, count in counts.items())
        raise InputError(f"a selection function needs at least {LEAST} objects, got {n}{aside}")
    for name, column in columns.items():
        if column.min() == column.max():
            raise InputError(f"{name} must take more than one value, got {column[0]:g} in each row")
