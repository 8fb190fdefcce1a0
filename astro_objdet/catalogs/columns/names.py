"""Which columns of a table hold what, by UCD and by the usual names.

The words are those of `~astro_objdet.catalogs.columns.words`. Nothing here looks at the values of
a column.
"""

import difflib
import re

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from astro_objdet.catalogs.columns.words import (
    BANDS,
    COOSYS_FRAMES,
    ERROR_NAMES,
    KINDS,
    POSITION_RANKS,
    POSITION_UCDS,
)
from astro_objdet.errors import InputError, check_choice

__all__ = ["check_names", "find_column", "find_positions", "frame_of", "listed", "ucd_of"]

# As the parameters of cross-match and evaluation are called.
_SIDES = ("left", "right", "found", "truth")


def _option(side):
    """The parameter that names the columns of a table; one that comes alone has no side."""
    return f"{side}_columns" if side in _SIDES else "columns"


def find_positions(table, side):
    """Return names of longitude and latitude, their frame, and how they were found.

    Parameters
    ----------
    table : `~astropy.table.Table`
    side : str
        Word for the table in messages: "left".

    Returns
    -------
    names : tuple of str
        Two, or one of a column of `~astropy.coordinates.SkyCoord`.
    frame : str
    how : str
        "SkyCoord", "UCD", "unit and name" or "name".

    Raises
    ------
    InputError
        If there is none, or more than one pair of the same rank.
    """
    coords = [name for name in table.colnames if isinstance(table[name], SkyCoord)]
    if coords:
        _check_one([(name,) for name in coords], side, "positions", "the one that is meant")
        return (coords[0],), table[coords[0]].frame.name, "SkyCoord"
    names = [name for name in table.colnames if table[name].ndim == 1]
    pairs = _pairs_by_ucd(table, names)
    if len(pairs) == 1:
        return pairs[0], frame_of(table, pairs[0]), "UCD"
    # Names decide between pairs that UCDs do not tell apart.
    chosen = _pairs_by_name(table, names) or pairs
    if not chosen:
        raise InputError(
            f"{side} table: no columns with positions were recognised among "
            f"{listed(table)}; name the two columns ({_option(side)})"
        )
    _check_one(chosen, side, "positions", _option(side))
    units = [getattr(table[name], "unit", None) for name in chosen[0]]
    how = "unit and name" if all(map(_is_angle, units)) else "name"
    return chosen[0], frame_of(table, chosen[0]), how


def find_column(table, kind, side, required=False, of=None):
    """Return the name of the column of a kind, None if there is none.

    Parameters
    ----------
    table : `~astropy.table.Table`
    kind : str
        One of `~astro_objdet.catalogs.columns.words.KINDS`.
    side : str
        Word for the table in messages.
    required : bool, optional
        Whether there must be one.
    of : str, optional
        With an error, the column whose error it is.

    Raises
    ------
    InputError
        If it is required and not there, or several columns could be it and it is required or a
        redshift.
    """
    check_choice("kind", kind, KINDS)
    candidates = _candidates(table, kind, side, of)
    if len(candidates) == 1:
        return candidates[0]
    if candidates and (required or kind == "redshift"):
        _check_one([(name,) for name in candidates], side, kind, "the column that is meant")
    if required:
        raise InputError(
            f"{side} table: no column with the {kind} was recognised among {listed(table)}; "
            f"say which it is by {kind}"
        )
    return None


def check_names(table, names, side, parameter=None):
    """Raise `InputError` unless the table has all these columns; it lists what there is."""
    for name in names:
        if name in table.colnames:
            continue
        folded = {str(known).lower(): known for known in table.colnames}
        close = difflib.get_close_matches(str(name).lower(), folded, n=3)
        hint = " or ".join(folded[key] for key in close)
        hint = f" (did you mean {hint}?)" if close else ""
        what = f"{parameter}: " if parameter else ""
        raise InputError(
            f"{side} table: {what}no column {str(name)!r}{hint}; it has {listed(table)}"
        )


def frame_of(table, pair):
    """Return the frame that a VOTable says two columns have, or their names or UCDs mean.

    Names come before UCDs, which do not tell B1950 from J2000. ICRS if nothing says another.
    """
    systems = {(table[name].info.meta or {}).get("coosys") for name in pair}
    if len(systems) == 1 and systems <= set(COOSYS_FRAMES):
        return COOSYS_FRAMES[systems.pop()]
    folded = tuple(map(_fold, pair))
    for frame, pairs in POSITION_RANKS:
        if folded in pairs:
            return frame
    words = [ucd_of(table[name]).split(";")[0] for name in pair]
    for lon, lat, frame in POSITION_UCDS:
        if words[0] in lon and words[1] in lat:
            return frame
    return "icrs"


def listed(table):
    """Return the names of all columns as text."""
    return ", ".join(table.colnames) if table.colnames else "no columns at all"


def ucd_of(column):
    """Return the UCD of a column in lower case, empty if it has none."""
    meta = getattr(getattr(column, "info", None), "meta", None) or {}
    ucd = next((value for key, value in meta.items() if str(key).lower() == "ucd"), None)
    return str(ucd or "").strip().lower().replace(" ", "")


def _pairs_by_ucd(table, names):
    """Return the pairs of the best UCD there is, those called main before others."""
    ucds = {name: ucd_of(table[name]) for name in names}
    for main in (True, False):
        for lon, lat, _ in POSITION_UCDS:
            lons = [name for name in names if _has_ucd(ucds[name], lon, main)]
            lats = [name for name in names if _has_ucd(ucds[name], lat, main)]
            if lons and len(lons) == len(lats):
                return list(zip(lons, lats, strict=True))
    return []


def _has_ucd(ucd, words, main):
    """Whether a UCD is first of all one of these words, and called main if it must be."""
    first, *rest = ucd.split(";")
    if main:
        return (first in words and "meta.main" in rest) or ucd in [f"{w}_main" for w in words]
    return first in words


def _pairs_by_name(table, names):
    folded = {}
    for name in names:
        folded.setdefault(_fold(name), []).append(name)
    for _, pairs in POSITION_RANKS:
        found = [
            (first, second)
            for lon, lat in pairs
            for first, second in _couples(folded.get(lon, []), folded.get(lat, []))
        ]
        if pairs == [("l", "b")]:
            # One letter each: only with a unit that says they are angles.
            found = [pair for pair in found if all(_is_angle(table[name].unit) for name in pair)]
        if found:
            return found
    return []


def _couples(lons, lats):
    """Pair names that differ only in their case: RA with DEC and ra with dec."""
    if len(lons) == len(lats):
        return zip(lons, lats, strict=True)
    return [(lon, lat) for lon in lons for lat in lats]


def _candidates(table, kind, side, of):
    """Return the columns that could be of a kind: one if that is clear."""
    rule = KINDS[kind]
    names = [name for name in table.colnames if _fits_kind(table[name], rule)]
    by_ucd = [n for n in names if rule.ucd and re.fullmatch(rule.ucd, ucd_of(table[n]))]
    by_ucd = [n for n in by_ucd if "main" in ucd_of(table[n])] or by_ucd
    ranks = rule.ranks
    if kind == "redshift_error":
        # The name says whose error it is, the UCD does not.
        of = of or find_column(table, "redshift", side)
        ranks = () if of is None else (ERROR_NAMES.replace("{}", _fold(of)),)
    elif len(by_ucd) == 1:
        return by_ucd
    names = [name for name in names if not _is_other(table, name, kind)]
    for rank in ranks:
        found = [name for name in names if _fold(name) in rank.split()]
        if found:
            return found
    return by_ucd


def _is_other(table, name, kind):
    """Whether a column with a fitting name is something else: a z magnitude, say."""
    ucd = ucd_of(table[name])
    bands = len(BANDS & {_fold(other) for other in table.colnames})
    if kind != "redshift_error" and ucd.startswith(("stat.error", "error")):
        return True
    if kind == "redshift":
        unit = getattr(table[name], "unit", None)
        if ucd.startswith("phot") or (unit is not None and unit != u.dimensionless_unscaled):
            return True
        return _fold(name) == "z" and bands >= 2
    return kind == "magnitude" and _fold(name) in BANDS and bands < 2


def _fits_kind(column, rule):
    if column.ndim != 1 or not hasattr(column, "dtype"):
        return False
    return not rule.numeric or np.dtype(column.dtype).kind in "iuf"


def _check_one(found, side, what, option):
    if len(found) > 1:
        choices = " or ".join(", ".join(names) for names in found)
        raise InputError(f"{side} table: {what} could be {choices}; say which by name ({option})")


def _fold(name):
    """Return a name in lower case, with _ for blanks and brackets."""
    return re.sub(r"[\s(\[]+", "_", str(name).strip().lower()).rstrip(")]")


def _is_angle(unit):
    return unit is not None and getattr(unit, "physical_type", None) == "angle"
