"""How many matches chance alone makes: one table is shifted against the other.

Each row is moved by three of its own radii, which is beyond any true partner and
still within the same survey. What is moved off the other table's part of the sky
finds nothing there, so that the count is divided by the share that stays on it.
"""

import numpy as np
from astropy.stats import poisson_conf_interval

from astro_objdet.catalogs.footprint import occupied

__all__ = ["chance_matches"]

_SHIFT = 3
# Below this share of rows that stay in the field there is no telling.
_SHARE = 0.8


def chance_matches(sides, reach, trials, match):
    """Count matches with one table shifted.

    Parameters
    ----------
    sides : pair of `~astro_objdet.catalogs.matching.sides.Side`
    reach : `~astro_objdet.catalogs.matching.reach.Reach`
    trials : int
        In how many directions to shift, evenly spread.
    match : callable
        From a shift, a position angle in radians and distances in arcsec, to the number of
        matches.

    Returns
    -------
    dict
        ``trials``; ``share`` of the shifted rows that stay in the field; and, if that is at
        least 0.8, ``matches``, the mean with its 95 % interval ``low`` to ``high``, and the
        ``counts`` of all trials, both corrected for that share.
    """
    moved, still = sides if reach.of == "left" else sides[::-1]
    shifts = [
        (2 * np.pi * (number + 0.3) / trials, _SHIFT * reach.arcsec) for number in range(trials)
    ]
    shares = [_share(moved, still, shift) for shift in shifts]
    result = {"trials": trials, "share": float(np.mean(shares)), "shift": f"{_SHIFT} radii"}
    if result["share"] < _SHARE:
        return result
    counts = [match(shift) for shift in shifts]
    low, high = poisson_conf_interval(sum(counts), "frequentist-confidence", sigma=1.96)
    scale = sum(shares)
    return result | {
        "matches": sum(counts) / scale,
        "low": float(low) / scale,
        "high": float(high) / scale,
        "counts": counts,
    }


def _share(moved, still, shift):
    """Which part of the rows that lie in the other table's field still do so when moved."""
    rows, others = moved.rows, still.rows
    if not (len(rows) and len(others)):
        return 1.0
    inside = occupied(*still.radec(others))
    before = np.count_nonzero(inside(*moved.radec(rows)))
    after = np.count_nonzero(inside(*moved.radec(rows, shift)))
    return min(after / before, 1.0) if before else 1.0
