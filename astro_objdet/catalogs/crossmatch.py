"""Cross-matching two catalogues by angle, by length at a redshift, and by redshift.

The words are those of STILTS ``tskymatch2``. What STILTS leaves to the user is
said here: which columns were taken, which rows could not be used and why, what
each unmatched row came closest to, and how many matches chance alone makes.
"""

import dataclasses
import numbers

import numpy as np

from astro_objdet.catalogs.columns import (
    ColumnValues,
    guess_column,
    numeric_values,
    redshift_values,
)
from astro_objdet.catalogs.cosmology import get_cosmology, kpc_per_arcsec
from astro_objdet.catalogs.matching.pairs import Pairs, best_pairs, pairs_within
from astro_objdet.catalogs.matching.radius import RedshiftWindow, parse_radius, radius_arcsec
from astro_objdet.catalogs.matching.sides import column_of, open_side
from astro_objdet.catalogs.matching.table import match_table
from astro_objdet.errors import InputError, check_choice, check_positive

__all__ = ["FIND", "JOIN", "crossmatch"]

FIND = ("best", "all", "best1", "best2")
JOIN = ("1and2", "1or2", "all1", "all2", "1not2", "2not1", "1xor2")
RELATIVE = "separation/radius"

# How far rows are moved to count matches by chance, in radii: beyond any true
# partner, and still within the same survey at the same density.
_SHIFT = 5


def crossmatch(
    left,
    right,
    radius,
    *,
    redshift=None,
    max_dz=None,
    dz="absolute",
    left_redshift=None,
    right_redshift=None,
    missing_redshift=None,
    find="best",
    join="1and2",
    best_by="separation",
    radius_unit=None,
    cosmology=None,
    suffixes=("_1", "_2"),
    left_columns=None,
    right_columns=None,
    left_frame=None,
    right_frame=None,
    chance=0,
):
    """Match the rows of two catalogues on the sky.

    Parameters
    ----------
    left, right : `~astropy.table.Table`
        Tables with positions, `~astro_objdet.catalogs.Detections` among them.
        Their position columns are found by UCD, unit and usual names.
    radius : `~astropy.units.Quantity` or str
        Largest separation: an angle (``"30 arcsec"``), a length (``"100 kpc"``), a
        column of either table with a unit (``"R200"``), or a multiple of one
        (``"0.75 psf_fwhm"``).
    redshift : float or str, optional
        Redshift at which a length is meant: a number, or a column of either table.
        ``left.z`` and ``right.z`` tell columns of the same name apart.
    max_dz : float, optional
        Largest difference of redshift.
    dz : {"absolute", "relative", "sigma"}
        Whether ``max_dz`` is of \\|z1 - z2\\|, of that over 1 + z2, or in units of
        the combined standard errors.
    left_redshift, right_redshift : str, optional
        Columns that ``max_dz`` compares; found by UCD and usual names by default.
    missing_redshift : {"reject", "accept"}, optional
        What becomes of a pair of which a redshift is missing. There is no default:
        with ``max_dz`` and a missing redshift it must be given.
    find : {"best", "all", "best1", "best2"}
        ``"best"`` pairs each row with one at most, the best pairs first, the same
        whichever table is left; ``"all"`` keeps all pairs within the radius;
        ``"best1"`` the best partner of each left row, ``"best2"`` of each right row.
    join : {"1and2", "1or2", "all1", "all2", "1not2", "2not1", "1xor2"}
        Which rows to return: pairs only, also the unmatched of both, of the left, of
        the right; or the unmatched only, of the left, of the right, of both.
    best_by : str
        ``"separation"``; ``"separation/radius"``, which are kiloparsecs where the radius is
        a length; or a numeric column of either table, the highest first (``"-column"``: the
        lowest). Ties go by separation, then by row.
    radius_unit : str, optional
        Unit of a radius column that has none in its table.
    cosmology : `~astropy.cosmology.Cosmology`, str or dict, optional
        A name or numbers (``"H0=70,Om0=0.3"``); that of Chan & Stott (2019) by default.
    suffixes : pair of str
        For names of columns that both tables have.
    left_columns, right_columns : pair of str, optional
        Names of the columns of the position, longitude first.
    left_frame, right_frame : str, optional
        Frames of the positions, any that astropy knows.
    chance : int, optional
        Number of times to shift the tables against each other, by five times the
        radius, to count the matches that chance makes.

    Returns
    -------
    `~astropy.table.QTable`
        Columns of both tables, then ``separation`` (arcsec), ``separation_kpc`` (kpc, where
        there is a redshift), ``delta_z`` (with ``max_dz``; left minus right), ``group_id``
        and ``group_size`` (rows of both tables that candidate pairs link),
        and for joins with unmatched rows ``match_status`` ("matched", "unmatched", "set
        aside"), ``match_reason``, ``nearest_row`` (row of the other table, from 0) and
        ``nearest_separation`` (arcsec). ``.meta["crossmatch"]`` records all of the above
        parameters, what was guessed, and the counts.

    Raises
    ------
    InputError
        Naming the parameter, for one that cannot be used, a length without redshift, or
        columns that are missing or ambiguous.

    Notes
    -----
    Chan & Stott (2019), section 3.1, match at 100 kpc at the redshift of the known
    cluster; Popp et al. (2024), section 4.4.2, at 0.75 of the PSF FWHM. Rows with an
    unusable position, or an unusable redshift or radius where one is needed, take no part;
    they stay in joins with unmatched rows.
    """
    check_choice("find", find, FIND)
    check_choice("join", join, JOIN)
    if isinstance(chance, bool) or not isinstance(chance, numbers.Integral) or chance < 0:
        raise InputError(f"chance must be an integer not below 0, got {chance!r}")
    sides = (
        open_side(left, "left", left_columns, left_frame),
        open_side(right, "right", right_columns, right_frame),
    )
    cosmology = get_cosmology(cosmology)
    reach = _reach(sides, radius, redshift, radius_unit, cosmology)
    window = None
    if max_dz is not None:
        names = (left_redshift, right_redshift)
        window = _window(sides, names, max_dz, dz, missing_redshift)
    rank = _ranking(sides, best_by, reach)

    def match(shift=None):
        return _match(sides, reach, window, find, rank, shift)

    matched = match()
    scale = _kpc_scale(sides, redshift, window, cosmology)
    by_chance = [len(match((angle, _SHIFT * reach.arcsec)).chosen) for angle in _angles(chance)]
    settings = {
        "radius": str(reach.radius),
        "redshift": redshift,
        "max_dz": max_dz,
        "dz": dz if max_dz is not None else None,
        "missing_redshift": missing_redshift,
        "find": find,
        "join": join,
        "best_by": best_by,
    }
    return match_table(
        sides,
        matched,
        join,
        suffixes,
        scale=scale,
        window=window,
        cosmology=cosmology,
        settings=settings,
        by_chance=by_chance,
    )


@dataclasses.dataclass(frozen=True)
class _Reach:
    """The radius, understood: one for all, or one for each row of a side."""

    radius: object
    of: str
    arcsec: float | np.ndarray


@dataclasses.dataclass(frozen=True)
class Match:
    """What was found.

    Attributes
    ----------
    near : `~astro_objdet.catalogs.matching.pairs.Pairs`
        All pairs within the radius.
    inside, missing : `~numpy.ndarray` of bool
        Which of them pass the redshift window, and which lack a redshift.
    chosen : `~numpy.ndarray` of int64
        Which of them are matches.
    """

    near: Pairs
    inside: np.ndarray
    missing: np.ndarray
    chosen: np.ndarray


def _reach(sides, radius, redshift, unit, cosmology):
    """Radius in arcsec; rows that have none are set aside."""
    radius = parse_radius(radius, unit)
    side = z = None
    if radius.column is not None:
        side, column = column_of(radius.column, sides, "radius")
        radius = dataclasses.replace(radius, column=column)
    if isinstance(redshift, str):
        z_side, column = column_of(redshift, sides, "redshift")
        if side is not None and z_side is not side:
            raise InputError(
                f"redshift {redshift!r} is of the {z_side.name} table, the radius "
                f"{radius} of the {side.name} one: both must be of the same row"
            )
        z = redshift_values(z_side.table, side=z_side.name, column=column)
        side = z_side if side is None and radius.is_length else side
    elif redshift is not None:
        z = check_positive("redshift", redshift)
    if side is None and (not radius.is_length or z is not None):
        # The same for every row of whichever table.
        one, _ = radius_arcsec(radius, ["any row"], redshift=z, cosmology=cosmology)
        return _Reach(radius, "right", float(one[0]))
    side = sides[1] if side is None else side
    arcsec, reason = radius_arcsec(
        radius, side.table, side=side.name, redshift=z, cosmology=cosmology
    )
    side.set_aside(reason)
    return _Reach(radius, side.name, arcsec)


def _window(sides, names, max_dz, kind, missing):
    """The redshift window, with the columns that were given or guessed."""
    redshifts, errors = [], []
    for side, name in zip(sides, names, strict=True):
        values = redshift_values(side.table, side=side.name, column=name)
        if values is None:
            raise InputError(
                f"max_dz: no redshift was found in the {side.name} table; name the column by "
                f"{side.name}_redshift; it has {', '.join(side.table.colnames)}"
            )
        redshifts.append(values)
        errors.append(_redshift_error(side, values) if kind == "sigma" else None)
    return RedshiftWindow(
        *redshifts,
        check_positive("max_dz", max_dz),
        kind,
        missing,
        left_error=errors[0],
        right_error=errors[1],
    )


def _redshift_error(side, redshift):
    """The column of standard errors: named after the redshift, or guessed."""
    named = {name.lower(): name for name in side.table.colnames}
    for pattern in ("{}_err", "{}_error", "e_{}", "{}err", "{}_unc"):
        name = named.get(pattern.format(redshift.name).lower())
        if name is not None:
            return numeric_values(side.table, name, side=side.name)
    name = guess_column(side.table, "redshift_error", side=side.name, required=True)
    return numeric_values(side.table, name, side=side.name)


def _ranking(sides, best_by, reach):
    """A function from pairs to their indices, the best first."""
    if best_by == "separation" or (best_by == RELATIVE and not np.ndim(reach.arcsec)):
        return lambda pairs: np.argsort(pairs.separation, kind="stable")
    if best_by == RELATIVE:

        def by_fraction(pairs):
            radius = reach.arcsec[pairs.first if reach.of == "left" else pairs.second]
            return np.argsort(pairs.separation / radius, kind="stable")

        return by_fraction
    lowest = best_by.startswith("-")
    side, name = column_of(best_by.removeprefix("-"), sides, "best_by")
    values = numeric_values(side.table, name, side=side.name).values
    values = values if lowest else -values

    def rank(pairs):
        of_row = values[pairs.first if side.name == "left" else pairs.second]
        # NaN goes to the end.
        return np.lexsort((pairs.separation, of_row))

    return rank


def _match(sides, reach, window, find, rank, shift=None):
    left, right = sides
    rows, others = left.rows, right.rows
    # Moved are the rows whose radius it is, each by its own.
    moved = [shift if side.name == reach.of else None for side in sides]
    arcsec = reach.arcsec
    if np.ndim(arcsec):
        arcsec = arcsec[rows if reach.of == "left" else others]
    found = pairs_within(
        *left.radec(rows, moved[0]),
        *right.radec(others, moved[1]),
        arcsec,
        of="first" if reach.of == "left" else "second",
    )
    near = Pairs(rows[found.first], others[found.second], found.separation)
    inside, missing = np.ones(len(near), bool), np.zeros(len(near), bool)
    if window is not None:
        inside, missing = window.test(near)
    return Match(near, inside, missing, _choose(near, np.flatnonzero(inside), find, rank))


def _choose(near, candidates, find, rank):
    """Which of the candidate pairs are matches, indices into ``near``."""
    pairs = near[candidates]
    if find == "all":
        return candidates
    order = rank(pairs)
    if find == "best":
        return candidates[best_pairs(pairs, order)]
    row = (pairs.first if find == "best1" else pairs.second)[order]
    _, first = np.unique(row, return_index=True)
    return candidates[np.sort(order[first])]


def _angles(count):
    """Position angles in radians, evenly spread and along no axis."""
    return 2 * np.pi * (np.arange(count) + 0.3) / max(count, 1)


def _kpc_scale(sides, redshift, window, cosmology):
    """A function from pairs to kpc per arcsec, None without any redshift."""
    if redshift is not None and not isinstance(redshift, str):
        scale = kpc_per_arcsec(redshift, cosmology)
        return lambda pairs: np.full(len(pairs), scale)
    if isinstance(redshift, str):
        side, column = column_of(redshift, sides, "redshift")
        z = redshift_values(side.table, side=side.name, column=column)
    elif window is not None:
        side, z = sides[1], window.right
    else:
        return None
    return lambda pairs: _scale_of(
        z, pairs.first if side.name == "left" else pairs.second, cosmology
    )


def _scale_of(redshift: ColumnValues, rows, cosmology):
    scale = np.full(len(rows), np.nan)
    usable = redshift.usable[rows]
    scale[usable] = kpc_per_arcsec(redshift.values[rows[usable]], cosmology)
    return scale
