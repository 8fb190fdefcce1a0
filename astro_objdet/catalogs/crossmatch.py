"""Cross-matching two catalogues by angle, by length at a redshift, and by redshift.

The words are those of STILTS ``tskymatch2``. What STILTS leaves to the user is
said here: which columns were taken, which rows could not be used and why, what
each unmatched row came closest to, and how many matches chance alone makes.
"""

import dataclasses
import numbers

import numpy as np

from astro_objdet.catalogs.columns import numeric_values
from astro_objdet.catalogs.cosmology import get_cosmology
from astro_objdet.catalogs.matching.chance import chance_matches
from astro_objdet.catalogs.matching.pairs import Pairs, best_pairs, pairs_within
from astro_objdet.catalogs.matching.reach import kpc_scale, open_reach
from astro_objdet.catalogs.matching.sides import column_of, open_side
from astro_objdet.catalogs.matching.table import match_table
from astro_objdet.catalogs.matching.window import open_window
from astro_objdet.errors import InputError, check_choice

__all__ = ["FIND", "JOIN", "crossmatch"]

FIND = ("best", "all", "best1", "best2")
JOIN = ("1and2", "1or2", "all1", "all2", "1not2", "2not1", "1xor2")
RELATIVE = "separation/radius"


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
    left_redshift_error=None,
    right_redshift_error=None,
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
        Whether ``max_dz`` is of \\|z1 - z2\\|, of that over 1 + z of the right table, or in
        units of the combined standard errors.
    left_redshift, right_redshift : str, optional
        Columns that ``max_dz`` compares; found by UCD and usual names by default.
    left_redshift_error, right_redshift_error : str, optional
        Their standard errors, for ``dz="sigma"``; found likewise, and by the name of the
        redshift's column.
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
        Names of the columns of the position, longitude first; or that of one column of
        coordinates.
    left_frame, right_frame : str, optional
        Frames of the positions, any that astropy knows.
    chance : int, optional
        Number of times to shift the tables against each other, by three times the
        radius, to count the matches that chance makes; see
        `~astro_objdet.catalogs.matching.chance.chance_matches`.

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
    reach = open_reach(sides, radius, redshift, radius_unit, cosmology)
    names, errors = (left_redshift, right_redshift), (left_redshift_error, right_redshift_error)
    window = open_window(sides, max_dz, dz, names, errors, missing_redshift)
    rank = _ranking(sides, best_by, reach)

    def match(shift=None):
        return _match(sides, reach, window, find, rank, shift)

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
        match(),
        join,
        suffixes,
        scale=kpc_scale(sides, redshift, window, cosmology),
        window=window,
        cosmology=cosmology,
        settings=settings,
        chance=_by_chance(sides, reach, chance, lambda shift: len(match(shift).chosen)),
    )


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


def _by_chance(sides, reach, trials, match):
    return chance_matches(sides, reach, trials, match) if trials else None


def _ranking(sides, best_by, reach):
    """A function from pairs to their indices, the best first."""
    if not isinstance(best_by, str):
        raise InputError(f"best_by must be 'separation' or a column, got {best_by!r}")
    if best_by == "separation" or (best_by == RELATIVE and not np.ndim(reach.arcsec)):
        return lambda pairs: np.argsort(pairs.separation, kind="stable")
    if best_by == RELATIVE:

        def by_fraction(pairs):
            return np.argsort(pairs.separation / reach.at(pairs.first, pairs.second), kind="stable")

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
