"""The table a cross-match returns: rows joined, and for the unmatched the reason."""

from importlib.metadata import version

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn

from astro_objdet.catalogs.cosmology import cosmology_meta
from astro_objdet.catalogs.matching.joining import join_tables
from astro_objdet.catalogs.matching.pairs import groups, nearest
from astro_objdet.catalogs.plain import plain_meta

__all__ = ["match_table"]

# Which unmatched rows a join returns, and whether pairs.
_ROWS = {
    "1and2": (True, False, False),
    "1or2": (True, True, True),
    "all1": (True, True, False),
    "all2": (True, False, True),
    "1not2": (False, True, False),
    "2not1": (False, False, True),
    "1xor2": (False, True, True),
}
_STATUS = np.array(["matched", "unmatched", "set aside"])
_REASONS = (
    "nothing within the radius",
    "redshifts differ",
    "a redshift is missing",
    "its candidates have better matches",
    "the other table has no usable row",
)


def match_table(sides, match, join, suffixes, *, scale, window, cosmology, settings, chance):
    """Put the result of a cross-match into one table.

    Parameters
    ----------
    sides : pair of `~astro_objdet.catalogs.matching.sides.Side`
    match : Match
        As `~astro_objdet.catalogs.crossmatch.crossmatch` finds it.
    join, suffixes : as for `~astro_objdet.catalogs.crossmatch.crossmatch`
    scale : callable or None
        From pairs to kpc per arcsec.
    window : `~astro_objdet.catalogs.matching.radius.RedshiftWindow` or None
    cosmology : `~astropy.cosmology.Cosmology`
    settings : dict
        Parameters to record.
    chance : dict or None
        What `~astro_objdet.catalogs.matching.chance.chance_matches` found.

    Returns
    -------
    `~astropy.table.QTable`
    """
    pairs = match.near[match.chosen]
    with_pairs, *alone = _ROWS[join]
    used = (pairs.first, pairs.second)
    lonely = [_unmatched(side, rows) for side, rows in zip(sides, used, strict=True)]
    counts = [len(side) - len(rows) for side, rows in zip(sides, lonely, strict=True)]
    shown = pairs if with_pairs else pairs[:0]
    left_only = lonely[0] if alone[0] else lonely[0][:0]
    right_only = lonely[1] if alone[1] else lonely[1][:0]
    none = [np.full(len(rows), -1) for rows in (right_only, left_only)]
    rows = (
        np.concatenate([shown.first, left_only, none[0]]),
        np.concatenate([shown.second, none[1], right_only]),
    )
    # In the order of the left table, rows of the right one alone behind.
    order = np.lexsort((rows[1], np.where(rows[0] < 0, len(sides[0]), rows[0])))
    columns = [
        *_pair_columns(shown, len(rows[0]), scale, window),
        *_group_columns(sides, match, rows),
    ]
    if any(alone):
        columns += _reason_columns(sides, match, lonely, rows)
    only = {"1not2": (True, False), "2not1": (False, True)}.get(join, (True, True))
    tables = [side.table if wanted else None for side, wanted in zip(sides, only, strict=True)]
    joined = join_tables(
        *tables,
        *(part[order] for part in rows),
        suffixes=suffixes,
        extra=[column[order] for column in columns],
    )
    joined.meta.update(_meta(sides, pairs, counts, settings, window, scale, cosmology, chance))
    return joined


def _unmatched(side, matched):
    alone = np.ones(len(side), bool)
    alone[matched] = False
    return np.flatnonzero(alone)


def _pair_columns(pairs, count, scale, window):
    """Separation and what else is of a pair; NaN for the rows behind the pairs."""
    pad = np.full(count - len(pairs), np.nan)

    def column(name, values, unit, description):
        values = np.concatenate([values, pad])
        return Column(values, name, unit=unit, description=description)

    yield column("separation", pairs.separation, u.arcsec, "angle between the two positions")
    if scale is not None:
        kpc = pairs.separation * scale(pairs)
        yield column("separation_kpc", kpc, u.kpc, "that angle as a proper length")
    if window is not None:
        gap = window.left.values[pairs.first] - window.right.values[pairs.second]
        yield column("delta_z", gap, None, "redshift, left minus right")


def _group_columns(sides, match, rows):
    """Number and size of the group of each row; masked for rows in none."""
    left, right, size = groups(match.near[match.inside], len(sides[0]), len(sides[1]))
    number = np.zeros(len(rows[0]), np.int64)
    for of_side, row in zip((left, right), rows, strict=True):
        number[row >= 0] = of_side[row[row >= 0]]
    none = number == 0
    what = "rows of both tables that candidate pairs link"
    yield MaskedColumn(number, "group_id", mask=none, description=f"identifier of the {what}")
    yield MaskedColumn(size[number], "group_size", mask=none, description=f"count of the {what}")


def _reason_columns(sides, match, lonely, rows):
    """Why rows are alone, and what they came closest to."""
    count = len(rows[0])
    status = np.zeros(count, np.uint8)
    longest = max(map(len, (*_REASONS, *sides[0].reasons, *sides[1].reasons)))
    reason = np.full(count, "", dtype=f"U{longest}")
    row = np.full(count, -1)
    separation = np.full(count, np.nan)
    for i, (side, other) in enumerate((sides, sides[::-1])):
        here = np.flatnonzero((rows[i] >= 0) & (rows[1 - i] < 0))
        if not len(here):
            continue
        why, near_row, angle = _why(side, other, match, lonely[i], left=i == 0)
        place = np.searchsorted(lonely[i], rows[i][here])
        status[here] = np.where(side.code[rows[i][here]] > 0, 2, 1)
        reason[here], row[here], separation[here] = why[place], near_row[place], angle[place]
    yield Column(_STATUS[status], "match_status", description="matched, unmatched, or set aside")
    yield Column(reason, "match_reason", description="why there is no match")
    yield MaskedColumn(
        row,
        "nearest_row",
        mask=row < 0,
        description="row of the other table, from 0: the nearest candidate, or the nearest of all",
    )
    yield Column(separation, "nearest_separation", unit=u.arcsec, description="angle to that row")


def _why(side, other, match, alone, left):
    """Reason, nearest row of the other table and its separation, for unmatched rows."""
    mine, theirs = match.near.first, match.near.second
    if not left:
        mine, theirs = theirs, mine
    # From the weakest reason to the strongest: one candidate decides.
    code = np.zeros(len(side), np.uint8)
    code[mine] = 1
    code[mine[match.missing & ~match.inside]] = 2
    code[mine[match.inside]] = 3
    if not len(other.rows):
        code[:] = 4
    code = np.where(side.code > 0, side.code + len(_REASONS) - 1, code)
    reasons = np.array([*_REASONS, *side.reasons[1:]])
    row = np.full(len(side), -1)
    separation = np.full(len(side), np.nan)
    asked = alone[side.code[alone] == 0]
    if len(asked) and len(other.rows):
        # Of pairs the closest last, so that it is the one that stays written.
        order = np.argsort(-match.near.separation, kind="stable")
        row[mine[order]], separation[mine[order]] = theirs[order], match.near.separation[order]
        far = asked[row[asked] < 0]
        found, angle = nearest(*side.radec(far), *other.radec(other.rows))
        row[far], separation[far] = other.rows[found], angle
    return reasons[code[alone]], row[alone], separation[alone]


def _meta(sides, pairs, counts, settings, window, scale, cosmology, chance):
    """What ``.meta`` records of the match, and the meta of both tables."""
    record = {"parameters": settings, "pairs": len(pairs)}
    for side, matched in zip(sides, counts, strict=True):
        record[side.name] = side.summary(matched)
    if window is not None:
        record["left"]["redshift"] = window.left.name
        record["right"]["redshift"] = window.right.name
        for side, error in ((sides[0], window.left_error), (sides[1], window.right_error)):
            if error is not None:
                record[side.name]["redshift_error"] = error.name
    if scale is not None:
        record["cosmology"] = cosmology_meta(cosmology)
    if chance is not None:
        record["chance"] = chance
    record["version"] = version("astro-objdet")
    meta = {"crossmatch": record}
    for side in sides:
        kept = plain_meta(side.table.meta)
        if kept:
            meta[side.name] = kept
    return plain_meta(meta)
