"""Angles of a table's column in degrees: any unit, sexagesimal text, masks."""

import re

import numpy as np
from astropy import units as u

from astro_objdet.catalogs.columns.masks import unmasked
from astro_objdet.errors import InputError

__all__ = ["degrees_of"]

_MISSING = {"", "-", "--", "nan", "null", "none", "n/a", "na", "masked"}
_SEXAGESIMAL = re.compile(
    r"""\s*(?P<sign>[-+\u2212]?)\s*(?P<first>\d+(?:\.\d*)?)
    (?:\s*(?P<mark>[hHdD°:])\s*|\s+)
    (?:(?P<minutes>\d+(?:\.\d*)?)\s*(?:[mM:'′]\s*|\s+|$)
    (?:(?P<seconds>\d*(?:\.\d*)?)\s*[sS"″]?|'')?)?\s*""",
    re.VERBOSE,
)
_DEGREES = re.compile(r"deg(r|ree|rees|s)?\.?|°", re.IGNORECASE)
_HOURS = re.compile(r"h|hr|hrs|hour|hours|hourangle", re.IGNORECASE)


def degrees_of(column, what, is_lat):
    """Return a column of angles in degrees.

    Parameters
    ----------
    column : `~astropy.table.Column` or `~astropy.units.Quantity`
        Numbers, or text in decimal or sexagesimal form.
    what : str
        Names the column in messages.
    is_lat : bool
        Whether it is a latitude; hours are only for longitudes.

    Returns
    -------
    degrees : `~numpy.ndarray` of float64, shape (N,)
    masked : `~numpy.ndarray` of bool, shape (N,)
    in_degrees : bool
        Whether the column has decimal degrees, or numbers that were taken for them.

    Raises
    ------
    InputError
        If the column has several values a row, a unit that is no angle, or text that is none.
    """
    values, masked = unmasked(column)
    if values.ndim != 1:
        raise InputError(f"{what} must hold one angle a row, got shape {values.shape}")
    unit = _angle_unit(getattr(column, "unit", None), what, is_lat, values.dtype.kind)
    if values.dtype.kind in "OSUT":
        return _from_text(values, masked, unit, what, is_lat)
    if values.dtype.kind not in "iuf":
        raise InputError(f"{what} must hold angles, got {values.dtype}")
    degrees = np.array(values, dtype=np.float64)
    if unit is not None and unit != u.deg:
        degrees *= _degrees_in(unit)
    return degrees, masked, unit in (None, u.deg)


def _angle_unit(unit, what, is_lat, kind):
    """Return the unit as an angle, None if there is none."""
    if unit is None or unit == u.dimensionless_unscaled or not str(unit).strip():
        return None
    text = str(unit).strip(" \"'")
    if _HOURS.fullmatch(text) and not is_lat:
        # Catalogues write h, a time, and mean an hour angle.
        return u.hourangle
    if _DEGREES.fullmatch(text):
        return u.deg
    if kind in "OSUT" and ":" in text:
        # VizieR's "h:m:s" and "d:m:s" describe the text, which says it too.
        return u.hourangle if text.startswith("h") else None
    if unit.physical_type != "angle":
        raise InputError(f"{what} must be an angle, got the unit {str(unit)!r}")
    return u.Unit(unit)


def _degrees_in(unit):
    # Astropy's own 15 is off in its last digit.
    return 15.0 if unit == u.hourangle else unit.to(u.deg)


def _from_text(values, masked, unit, what, is_lat):
    if values.dtype.kind == "S":
        values = np.char.decode(values, "latin-1")
    masked = masked.copy()
    degrees = np.full(len(values), np.nan)
    default_hours = not is_lat and unit in (None, u.hourangle)
    in_degrees = unit in (None, u.deg)
    scale = 1.0 if unit is None else _degrees_in(unit)
    for row, text in enumerate(values.tolist()):
        text = str(text).strip()
        if masked[row] or text.lower() in _MISSING:
            masked[row] = True
            continue
        try:
            degrees[row] = float(text) * scale
            continue
        except ValueError:
            found = _SEXAGESIMAL.fullmatch(text)
        angle = None if found is None else _sexagesimal(found)
        if angle is None:
            raise InputError(f"{what} must hold angles, got {text!r} in row {row}")
        mark = (found["mark"] or "").lower()
        hours = mark == "h" or (default_hours and mark not in ("d", "°"))
        if hours and is_lat:
            raise InputError(f"{what} is a latitude, got hours, {text!r}, in row {row}")
        degrees[row] = angle * 15 if hours else angle
        in_degrees = False
    return degrees, masked, in_degrees


def _sexagesimal(found):
    """Return the number of a match, None where minutes or seconds exceed 60."""
    minutes, seconds = (float(found[key] or 0) for key in ("minutes", "seconds"))
    # 60 itself comes from rounding.
    if minutes > 60 or seconds > 60:
        return None
    angle = float(found["first"]) + minutes / 60 + seconds / 3600
    return -angle if found["sign"] in ("-", "\u2212") else angle
