"""Results as JSON takes them, and meta as every format of tables does."""

import numpy as np
from astropy import units as u
from astropy.table import Table

__all__ = ["plain", "plain_meta"]


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


def plain_meta(meta):
    """The part of a table's meta that every format can write: numbers, texts, lists, dicts."""
    return {str(key): _unboxed(value) for key, value in dict(meta).items() if _is_plain(value)}


def _is_plain(value):
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool | int | float | np.generic)


def _unboxed(value):
    if isinstance(value, dict):
        return {str(key): _unboxed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_unboxed(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
