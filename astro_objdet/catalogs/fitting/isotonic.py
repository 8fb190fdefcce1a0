"""Centred isotonic regression of yes and no on a score.

Arrays come checked: float64 scores, bool truths, weights above 0, all of shape (N,).
"""

import numpy as np
from scipy.optimize import isotonic_regression

__all__ = ["isotonic_knots"]

MAX_KNOTS = 64
_PRIOR = 0.5


def isotonic_knots(score, true, weights):
    """Where the probability of being true is fixed, linear in between.

    Half a true object is added at the lowest score and half a false one at the
    highest, each of its kind's mean weight (Jeffreys' prior at the ends): no finite
    sample gives 0 or 1. The blocks that isotonic regression pools then become
    one knot each, at their mean score: centred isotonic regression (Oron & Flournoy
    2017, Statistics in Biopharmaceutical Research 9, 258).

    Parameters
    ----------
    score, true, weights : `~numpy.ndarray`, shape (N,), N > 0

    Returns
    -------
    scores, probabilities : `~numpy.ndarray` of float64, shape (K,), K ≤ 64
        Both ascending, the probabilities above 0 and below 1.
    """
    values, index = np.unique(score, return_inverse=True)
    total = np.bincount(index, weights)
    hits = np.bincount(index, weights * true)
    half_true, half_false = (
        _PRIOR * (weights[kind].mean() if kind.any() else weights.mean()) for kind in (true, ~true)
    )
    hits[0] += half_true
    total[0] += half_true
    total[-1] += half_false
    starts = isotonic_regression(hits / total, weights=total).blocks[:-1]
    total, hits, moment = (np.add.reduceat(a, starts) for a in (total, hits, total * values))
    while len(total) > MAX_KNOTS:
        total, hits, moment = _merge_closest(total, hits, moment)
    return moment / total, hits / total


def _merge_closest(total, hits, moment):
    """Pool the two neighbours whose pooling adds least to the squared error."""
    cost = total[:-1] * total[1:] / (total[:-1] + total[1:]) * np.diff(hits / total) ** 2
    starts = np.delete(np.arange(len(total)), np.argmin(cost) + 1)
    return tuple(np.add.reduceat(a, starts) for a in (total, hits, moment))
