"""Columns, quantities and lists as plain arrays."""

import numpy as np
from astropy import units as u

from astro_objdet.errors import InputError

__all__ = ["float_array"]


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
    mask = getattr(values, "mask", False)
    plain = np.asarray(getattr(values, "unmasked", values))
    if plain.dtype.kind not in "fiub":
        raise InputError(f"{name} must hold numbers, got {plain.dtype}")
    plain = np.where(mask, np.nan, plain.astype(float))
    if unit is None or given is None:
        return plain
    try:
        return plain * u.Unit(given).to(unit)
    except u.UnitConversionError:
        raise InputError(f"{name} must be in {unit}, got {given}") from None
