"""Columns of every class as plain arrays and masks."""

import numpy as np
from astropy import units as u

__all__ = ["unmasked"]


def unmasked(column):
    """Return the plain array of a column of any class, and where it is masked.

    Parameters
    ----------
    column : `~astropy.table.Column`, `~astropy.units.Quantity` or their masked forms

    Returns
    -------
    values : `~numpy.ndarray`
        A view where possible; a quantity in its own unit.
    masked : `~numpy.ndarray` of bool
        Of the same shape.
    """
    masked = getattr(column, "mask", None)
    values = column.unmasked if hasattr(column, "unmasked") else column
    values = values.value if isinstance(values, u.Quantity) else values
    values = values.data if isinstance(values, np.ma.MaskedArray) else values
    values = np.asarray(values)
    if masked is None:
        # Of one byte, whatever the number of rows.
        return values, np.broadcast_to(np.False_, values.shape)
    return values, np.broadcast_to(np.asarray(masked, dtype=bool), values.shape)
