"""The two tables of a match, and which of them a column is meant of."""

import dataclasses

import numpy as np
from astropy import units as u
from astropy.coordinates import offset_by
from astropy.table import Table

from astro_objdet.catalogs.columns import SkyPositions, position_names, sky_positions
from astro_objdet.errors import InputError

__all__ = ["Side", "column_of", "open_side"]


@dataclasses.dataclass
class Side:
    """A table to match: its rows, where they are, and which cannot be used.

    Attributes
    ----------
    name : {"left", "right"}
    table : `~astropy.table.Table`
    positions : `~astro_objdet.catalogs.columns.SkyPositions`
    reasons : list of str
        Why rows are set aside; the first is empty.
    code : `~numpy.ndarray` of uint8, shape (N,)
        Which reason is that of a row; 0 for rows that take part.
    """

    name: str
    table: Table
    positions: SkyPositions
    reasons: list
    code: np.ndarray

    def __len__(self):
        return len(self.table)

    @property
    def rows(self):
        """Numbers of the rows that take part, int64."""
        return np.flatnonzero(self.code == 0)

    def set_aside(self, reason):
        """Set rows aside that have a reason, an array of str, and take part as yet."""
        for text in sorted(set(reason[reason != ""])):
            self.reasons.append(str(text))
            self.code[(reason == text) & (self.code == 0)] = len(self.reasons) - 1

    def radec(self, rows, shift=None):
        """Right ascension and declination of rows, in degrees.

        ``shift`` is a position angle and a distance in arcsec, a number or one
        for each row of the table, to move them by.
        """
        ra, dec = self.positions.ra[rows], self.positions.dec[rows]
        if shift is None:
            return ra, dec
        angle, distance = shift
        distance = np.broadcast_to(distance, len(self))[rows]
        moved = offset_by(np.radians(ra), np.radians(dec), angle, np.radians(distance / 3600))
        return tuple(part.to_value(u.deg) for part in moved)

    def summary(self, matched):
        """What ``.meta`` records of the table and of how many rows were matched."""
        counts = np.bincount(self.code, minlength=len(self.reasons)).tolist()
        aside = zip(self.reasons[1:], counts[1:], strict=True)
        return {
            "rows": len(self),
            "matched": int(matched),
            "set_aside": {reason: count for reason, count in aside if count},
            "position": list(self.positions.columns),
            "frame": self.positions.frame,
            "position_by": self.positions.how,
        }


def open_side(table, name, columns=None, frame=None):
    """Make a `Side` of a table.

    Parameters
    ----------
    table : `~astropy.table.Table`
    name : {"left", "right"}
    columns : pair of str, or str, optional
        Names of the columns with the position, or of one of coordinates.
    frame : str, optional
        Of the position.

    Raises
    ------
    InputError
        If it is no table, or has no position that can be told.
    """
    if not isinstance(table, Table):
        raise InputError(f"{name} must be an astropy Table, got {type(table).__name__}")
    ra, dec = position_names(columns, f"{name}_columns")
    positions = sky_positions(table, side=name, ra=ra, dec=dec, frame=frame)
    return Side(name, table, positions, list(positions.reasons), positions.code.copy())


def column_of(name, sides, parameter, what="column"):
    """Which side's column a name means.

    Parameters
    ----------
    name : str
        A column of one of the two, or ``left.NAME`` and ``right.NAME``.
    sides : pair of Side
    parameter : str
        Named in messages.
    what : str, optional
        What it might be besides, for the message: "unit and no column".

    Returns
    -------
    side : Side
    column : str

    Raises
    ------
    InputError
        If neither has it, or both do.
    """
    having = [side for side in sides if name in side.table.colnames]
    if len(having) == 1:
        return having[0], name
    if having:
        raise InputError(
            f"{parameter}: both tables have a column {name!r}; write left.{name} or right.{name}"
        )
    for side in sides:
        prefix, _, column = name.partition(".")
        if prefix == side.name and column:
            return side, column
    listed = "; ".join(f"{side.name} has {', '.join(side.table.colnames)}" for side in sides)
    raise InputError(f"{parameter}: {name!r} is no {what} of either table; {listed}")
