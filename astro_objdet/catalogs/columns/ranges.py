"""Ranges of a property, as users give them."""

import numpy as np

from astro_objdet.errors import InputError

__all__ = ["check_range"]


def check_range(name, limits):
    """The two ends of a range, ends included.

    Parameters
    ----------
    name : str
        Of the property, for the message.
    limits : pair of float or None
        None for an open end.

    Returns
    -------
    low, high : float
        Infinite at an open end.

    Raises
    ------
    InputError
        If they are not two numbers in their order.
    """
    try:
        low, high = limits
        low = -np.inf if low is None else float(low)
        high = np.inf if high is None else float(high)
    except (TypeError, ValueError):
        low = high = np.nan
    if not low <= high:
        raise InputError(f"the range of {name} must be (low, high) with low ≤ high, got {limits!r}")
    return low, high
