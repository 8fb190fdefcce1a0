"""Two tables in one: rows side by side, columns renamed where they clash."""

from collections.abc import Sequence

import numpy as np
from astropy import units as u
from astropy.coordinates import Latitude, Longitude
from astropy.table import Column, MaskedColumn, QTable
from astropy.utils.masked import Masked

from astro_objdet.errors import InputError

__all__ = ["join_tables"]


def join_tables(left, right, left_rows, right_rows, *, suffixes=("_1", "_2"), extra=()):
    """Put rows of two tables side by side.

    Parameters
    ----------
    left, right : `~astropy.table.Table`
        Either may be None for no columns of it.
    left_rows, right_rows : array of int, shape (N,)
        Row of each table in each row of the output, -1 for none.
    suffixes : pair of str
        For names that both tables have, in whatever case.
    extra : iterable of `~astropy.table.Column`
        Columns of the output behind those of the tables; a column of a table that has
        the name of one gets its suffix.

    Returns
    -------
    `~astropy.table.QTable`
        Where a row has no partner numbers are NaN, or masked if they are integers or
        booleans without a unit; all else is masked.

    Raises
    ------
    InputError
        If the suffixes do not make the names different.
    """
    extra = list(extra)
    names = _output_names(left, right, suffixes, [column.name for column in extra])
    joined = QTable()
    parts = ((left, left_rows, names[0]), (right, right_rows, names[1]))
    for table, rows, renamed in parts:
        for name, new in renamed.items():
            joined[new] = _take(table[name], rows)
            joined[new].info.description = table[name].info.description
    for column in extra:
        joined[column.name] = column
        joined[column.name].info.description = column.info.description
    return joined


def _output_names(left, right, suffixes, reserved):
    """New name by old one, for each table."""
    if (
        isinstance(suffixes, str)
        or not isinstance(suffixes, Sequence)
        or len(suffixes) != 2
        or suffixes[0] == suffixes[1]
    ):
        raise InputError(f"suffixes must be two different texts, got {suffixes!r}")
    sides = [[] if table is None else table.colnames for table in (left, right)]
    # FITS, VOTable readers and SQL know no difference of case. Names of one table that differ
    # in nothing else are the table's own affair.
    folded = [{name.lower() for name in side} for side in sides]
    taken = {name.lower() for name in reserved}
    renamed, used = [], set(reserved)
    for side, other, suffix in zip(sides, folded[::-1], suffixes, strict=True):
        new = {n: f"{n}{suffix}" if n.lower() in other | taken else n for n in side}
        for old, name in new.items():
            if name in used:
                raise InputError(
                    f"suffixes {tuple(suffixes)!r} do not make column names different: with "
                    f"{suffix!r} {old!r} becomes {name!r}, which is there already"
                )
            used.add(name)
        renamed.append(new)
    return renamed


def _take(column, rows):
    """Rows of a column, with what stands for none where a row is -1."""
    missing = rows < 0
    if not missing.any():
        return _unmasked(column[rows])
    if not len(column):
        return _nothing(column, len(rows))
    taken = column[np.where(missing, 0, rows)]
    if isinstance(taken, u.Quantity) or (isinstance(taken, Column) and taken.dtype.kind == "f"):
        taken = _with_place_for_nan(_unmasked(taken))
        taken[missing] = np.nan
        if isinstance(taken, MaskedColumn):
            taken.mask[missing] = True
        return taken
    if isinstance(taken, Column):
        taken = MaskedColumn(taken, copy=False)
        taken.mask[missing] = True
        return taken
    taken = taken.copy()
    taken[missing] = np.ma.masked
    return taken


def _with_place_for_nan(taken):
    """A quantity that can be NaN: integers cannot, and latitudes and longitudes refuse it."""
    if not isinstance(taken, u.Quantity):
        return taken
    info = taken.info
    if taken.dtype.kind != "f":
        taken = taken.astype(float)
    if isinstance(taken, Latitude | Longitude):
        taken = taken.view(u.Quantity)
    taken.info.description, taken.info.format = info.description, info.format
    return taken


def _unmasked(taken):
    """A masked quantity with NaN under its mask: few formats can write the mask."""
    if not isinstance(taken, Masked) or not isinstance(taken, u.Quantity):
        return taken
    info = taken.info
    filled = taken.filled(np.nan)
    filled.info.description, filled.info.format = info.description, info.format
    return filled


def _nothing(column, count):
    """A column with nothing in any row, of a table without rows."""
    if isinstance(column, u.Quantity):
        return np.full((count, *column.shape[1:]), np.nan) << column.unit
    if not isinstance(column, Column):
        return MaskedColumn(np.zeros(count, bool), mask=True)
    shape = (count, *column.shape[1:])
    if column.dtype.kind == "f":
        return Column(np.full(shape, np.nan, column.dtype), unit=column.unit)
    return MaskedColumn(np.zeros(shape, column.dtype), mask=True, unit=column.unit)
