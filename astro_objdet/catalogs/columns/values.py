"""Positions, redshifts and other numbers of a table, each row with the reason if it is unusable.

Columns are found by `~astro_objdet.catalogs.columns.names`, or given by name. Rows that astropy
would compute nonsense for, masked ones among them, become NaN and say why.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.cosmology import units as cosmology_units

from astro_objdet.catalogs.columns.angles import degrees_of
from astro_objdet.catalogs.columns.frames import known_frame, to_icrs, wrap
from astro_objdet.catalogs.columns.masks import unmasked
from astro_objdet.catalogs.columns.names import (
    check_names,
    find_column,
    find_positions,
    frame_of,
)
from astro_objdet.errors import InputError

__all__ = [
    "ColumnValues",
    "SkyPositions",
    "guess_column",
    "numeric_values",
    "position_names",
    "redshift_values",
    "sky_positions",
]

_POSITION_REASONS = ("", "position masked", "position is NaN or infinite", "|dec| > 90")
_EQUATORIAL = ("icrs", "fk5", "fk4")
_HOURS = 24
_HOURS_MIN_ROWS = {"warn": 20, "refuse": 5}
_HOURS_MIN_SPAN = 45
# Of right ascensions: a field of a few degrees is no whole sky in hours.
_HOURS_MIN_RANGE = 12


@dataclass(frozen=True)
class _Rows:
    """What is wrong with each row, as a number: strings for 10⁷ rows would take a gigabyte."""

    code: np.ndarray
    reasons: tuple

    @property
    def usable(self):
        """`~numpy.ndarray` of bool, shape (N,)."""
        return self.code == 0

    @property
    def reason(self):
        """`~numpy.ndarray` of str, shape (N,), empty where usable; made anew at each call."""
        if not self.code.any():
            return np.broadcast_to(np.array(""), self.code.shape)
        return np.array(self.reasons)[self.code]


@dataclass(frozen=True)
class SkyPositions(_Rows):
    """ICRS positions of the rows of a table.

    Attributes
    ----------
    ra, dec : `~numpy.ndarray` of float64, shape (N,)
        Degrees, ICRS, 0 ≤ ra < 360; NaN where unusable.
    columns : tuple of str
        Names of the two columns, or the one of a `~astropy.coordinates.SkyCoord`.
    frame : str
        In which the table has them.
    how : str
        How the columns were found: "given", "SkyCoord", "UCD", "unit and name" or "name".
    """

    ra: np.ndarray
    dec: np.ndarray
    columns: tuple
    frame: str
    how: str


@dataclass(frozen=True)
class ColumnValues(_Rows):
    """Numbers of a column.

    Attributes
    ----------
    name : str
        Of the column.
    values : `~numpy.ndarray` of float64, shape (N,)
        In ``unit``; NaN where unusable.
    unit : `~astropy.units.Unit` or None
    """

    name: str
    values: np.ndarray
    unit: u.UnitBase | None


def sky_positions(table, *, side="left", ra=None, dec=None, frame=None, hours="warn"):
    """Return the positions of a table, in ICRS.

    Parameters
    ----------
    table : `~astropy.table.Table`
        With columns of positions in any angular unit, sexagesimal text, or a
        `~astropy.coordinates.SkyCoord` column. Numbers without a unit are degrees; text such as
        ``12:34:56.7`` is hours in a right ascension.
    side : str, optional
        Word for the table in messages.
    ra, dec : str, optional
        Names of the columns of longitude and latitude. Without them they are found by class, by
        UCD, and by unit and usual names. ``ra`` alone may name a SkyCoord column.
    frame : str or `~astropy.coordinates.BaseCoordinateFrame`, optional
        Of the columns: any that astropy knows. Without it the UCD or the names tell, and ICRS is
        meant otherwise.
    hours : str, optional
        What becomes of right ascensions without a unit that look like hours: "warn", or
        "refuse" where the wrong sky would cost a lot.

    Returns
    -------
    SkyPositions

    Raises
    ------
    InputError
        If no columns are found, several pairs could be meant, a name is not there, a column holds
        no angles, a frame is not known, or right ascensions look like hours and ``hours`` says so.

    Warns
    -----
    UserWarning
        If a right ascension in degrees looks like hours.
    """
    names, found_frame, how = _position_columns(table, side, ra, dec)
    if len(names) == 1:
        return _coords_positions(table, names, found_frame, how, frame, side)
    frame = known_frame(found_frame if frame is None else frame, side)
    (lon, lon_masked, in_degrees), (lat, lat_masked, _) = (
        degrees_of(table[name], f"{side} table: column {name!r}", is_lat=number == 1)
        for number, name in enumerate(names)
    )
    code = _position_codes(lon, lat, lon_masked | lat_masked)
    if in_degrees and frame.name in _EQUATORIAL:
        bare = getattr(table[names[0]], "unit", None) is None
        _tell_hours(lon, lat, names[0], side, "refuse" if bare and hours == "refuse" else "warn")
    if frame.name != "icrs":
        to_icrs(lon, lat, code == 0, frame, side)
    wrap(lon)
    return SkyPositions(code, _POSITION_REASONS, lon, lat, names, frame.name, how)


def position_names(columns, parameter):
    """Names of the columns of a position, as a user gives them.

    Parameters
    ----------
    columns : pair of str, str, or None
        Longitude and latitude, or one column of `~astropy.coordinates.SkyCoord`.
    parameter : str
        Named in the message.

    Returns
    -------
    lon, lat : str or None
        For ``ra`` and ``dec`` of `sky_positions`.

    Raises
    ------
    InputError
        If it is neither.
    """
    if columns is None:
        return None, None
    names = (columns,) if isinstance(columns, str) else columns
    given = isinstance(names, tuple | list) and len(names) in (1, 2)
    if not given or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"{parameter} must be two names of columns, longitude and latitude, or that of "
            f"one column of coordinates; got {columns!r}"
        )
    return tuple(names) if len(names) == 2 else (*names, None)


def redshift_values(table, *, side="left", column=None):
    """Return the redshifts of a table, None if it has none.

    Parameters
    ----------
    table : `~astropy.table.Table`
    side : str, optional
        Word for the table in messages.
    column : str, optional
        Name of the column. Without it it is found by UCD and usual names.

    Returns
    -------
    ColumnValues or None
        Unusable are masked and non-finite redshifts, and those that are 0 or negative.

    Raises
    ------
    InputError
        If the name is not there or no number, or several columns could be meant.
    """
    column = column or find_column(table, "redshift", side)
    if column is None:
        return None
    values = _numbers(table, column, side, "redshift", positive=True)
    if values.unit not in (None, u.dimensionless_unscaled, cosmology_units.redshift):
        raise InputError(
            f"{side} table: column {column!r} must hold redshifts, which have no unit, "
            f"got {values.unit}"
        )
    return values


def numeric_values(table, column, *, side="left", positive=False):
    """Return the numbers of a column.

    Parameters
    ----------
    table : `~astropy.table.Table`
    column : str
        Name of the column.
    side : str, optional
        Word for the table in messages.
    positive : bool, optional
        Whether 0 and negative numbers are unusable.

    Returns
    -------
    ColumnValues

    Raises
    ------
    InputError
        If the name is not there, or the column holds anything but one number a row.
    """
    return _numbers(table, column, side, column, positive)


def guess_column(table, kind, *, side="left", required=False, of=None):
    """Return the name of the column of a kind.

    Parameters
    ----------
    table : `~astropy.table.Table`
    kind : str
        "redshift", "redshift_error", "richness", "score", "magnitude", "id", "label" or
        "probability".
    side : str, optional
        Word for the table in messages.
    required : bool, optional
        Whether there must be one.
    of : str, optional
        For "redshift_error", the column whose error it is; guessed without it.

    Returns
    -------
    str or None
        None if no column is of that kind, or it is not clear which.

    Raises
    ------
    InputError
        If it is required and not there or not clear. A redshift must be clear if there is any.
    """
    return find_column(table, kind, side, required=required, of=of)


def _position_columns(table, side, ra, dec):
    if ra is None and dec is None:
        return find_positions(table, side)
    given = [name for name in (ra, dec) if name is not None]
    check_names(table, given, side)
    if dec is None and isinstance(table[ra], SkyCoord):
        return (ra,), table[ra].frame.name, "given"
    if len(given) == 1:
        missing = "latitude" if dec is None else "longitude"
        raise InputError(
            f"{side} table: {given[0]!r} is no column of coordinates; give the column of the "
            f"{missing} too"
        )
    return tuple(given), frame_of(table, given), "given"


def _coords_positions(table, names, own_frame, how, frame, side):
    """Return the positions of a column of coordinates."""
    if frame is not None:
        raise InputError(
            f"{side} table: frame must not be given for the column {names[0]!r}, "
            f"which knows its own, {own_frame}"
        )
    icrs = table[names[0]].icrs
    (lon, lon_masked), (lat, lat_masked) = map(unmasked, (icrs.ra.to(u.deg), icrs.dec.to(u.deg)))
    lon, lat = np.array(lon, dtype=float), np.array(lat, dtype=float)
    code = _position_codes(lon, lat, lon_masked | lat_masked)
    wrap(lon)
    return SkyPositions(code, _POSITION_REASONS, lon, lat, names, own_frame, how)


def _position_codes(lon, lat, masked):
    """Return the reason of each row, and put NaN where there is one."""
    code = np.zeros(len(lon), dtype=np.uint8)
    # Comparisons with NaN are false, so that the order of these three matters.
    code[np.abs(lat) > 90] = 3
    code[~(np.isfinite(lon) & np.isfinite(lat))] = 2
    code[masked] = 1
    lon[code > 0] = np.nan
    lat[code > 0] = np.nan
    return code


def _tell_hours(lon, lat, name, side, how):
    """Warn of a right ascension in degrees that looks like hours, or refuse it."""
    if np.count_nonzero(np.isfinite(lon)) < _HOURS_MIN_ROWS[how]:
        return
    if np.nanmin(lon) < 0 or np.nanmax(lon) > _HOURS:
        return
    told = (
        f"{side} table: column {name!r} is read as degrees, but all its values lie from 0 to "
        "24 as if they were hours; "
    )
    wide = np.nanmax(lat) - np.nanmin(lat) > _HOURS_MIN_SPAN
    if how == "refuse" and wide:
        raise InputError(
            told + "give the column its unit, hourangle or deg, as ECSV, FITS and VOTable can"
        )
    # a strip of sky may well lie there, but the wrong sky would cost a lot
    if wide or (how == "refuse" and np.nanmax(lon) - np.nanmin(lon) > _HOURS_MIN_RANGE):
        warnings.warn(told + "if so, set the column's unit to hourangle", UserWarning, stacklevel=3)


def _numbers(table, name, side, what, positive):
    check_names(table, [name], side)
    column = table[name]
    if not hasattr(column, "dtype") or isinstance(column, SkyCoord):
        raise InputError(f"{side} table: column {name!r} must hold numbers, got {type(column)}")
    values, masked = unmasked(column)
    if values.ndim != 1 or values.dtype.kind not in "iufO":
        raise InputError(
            f"{side} table: column {name!r} must hold one number a row, got {values.dtype} "
            f"of shape {values.shape}"
        )
    try:
        values = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{side} table: column {name!r} must hold numbers: {error}") from error
    reasons = ["", f"{what} masked", f"{what} is NaN or infinite", f"{what} is 0 or negative"]
    code = np.zeros(len(values), dtype=np.uint8)
    if positive:
        code[values <= 0] = 3
    code[~np.isfinite(values)] = 2
    code[masked] = 1
    values[code > 0] = np.nan
    return ColumnValues(code, tuple(reasons), name, values, getattr(column, "unit", None))
