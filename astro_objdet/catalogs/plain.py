"""Results as JSON takes them."""

import numpy as np
from astropy import units as u
from astropy.table import Table

__all__ = ["plain"]


def plain(value):
    """Tables, arrays and numbers as dicts, lists and Python's own numbers.

    Parameters
    ----------
    value : object
        Tables become dicts of their columns, and quantities the numbers in their unit; parts of
        dicts and sequences are treated alike.

    Returns
    -------
    object
        None in the place of NaN and infinity, which JSON does not have.
    """
    if isinstance(value, Table):
        return {name: plain(value[name]) for name in value.colnames}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, u.Quantity):
        value = value.value
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
