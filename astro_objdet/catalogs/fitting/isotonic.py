"""Centred isotonic regression of yes and no on a score, and how well it fits.

Arrays come checked: float64 scores, bool truths, weights above 0, all of shape (N,).
"""

import numpy as np
from astropy.table import QTable
from scipy.optimize import isotonic_regression
from scipy.special import ndtri

__all__ = ["calibration_error", "isotonic_knots", "reliability_table"]

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


def reliability_table(score, probability, true, weights, edges, confidence):
    """Share of true objects in bins of the score, against the mean probability.

    Parameters
    ----------
    score, probability, true, weights : `~numpy.ndarray`, shape (N,)
    edges : `~numpy.ndarray` of float64, shape (B + 1,)
        Ascending; the last bin includes its upper edge.
    confidence : float
        Of the Wilson intervals, at the effective number (Σw)² / Σw².

    Returns
    -------
    `~astropy.table.QTable`
        See `astro_objdet.catalogs.calibration.Calibration.reliability`.
    """
    bins = len(edges) - 1
    number = np.searchsorted(edges, score, side="right") - 1
    number[score == edges[-1]] = bins - 1
    inside = (number >= 0) & (number < bins)
    number, weights = number[inside], weights[inside]

    def summed(values=1.0):
        return np.bincount(number, weights * values, minlength=bins)

    total = summed()
    with np.errstate(invalid="ignore"):
        mean_score, mean_probability, fraction = (
            summed(a[inside]) / total for a in (score, probability, true)
        )
        effective = total**2 / summed(weights)
    low, high = _wilson(fraction, effective, confidence)
    table = QTable(
        {
            "score_low": edges[:-1],
            "score_high": edges[1:],
            "n": np.bincount(number, minlength=bins),
            "mean_score": mean_score,
            "mean_probability": mean_probability,
            "fraction": fraction,
            "low": low,
            "high": high,
        },
        meta={"confidence": confidence},
    )
    table["fraction"].info.description = "of the detections in the bin that are true"
    return table


def calibration_error(probability, true, weights, bins=10):
    """Expected calibration error: Σ w |share of true − mean probability| / Σ w over bins.

    Parameters
    ----------
    probability, true, weights : `~numpy.ndarray`, shape (N,)
    bins : int
        Of equal width from 0 to 1.

    Returns
    -------
    float
    """
    number = np.clip((probability * bins).astype(int), 0, bins - 1)
    differences = np.bincount(number, weights * (probability - true), minlength=bins)
    return float(np.abs(differences).sum() / weights.sum())


def _wilson(fraction, n, confidence):
    """Wilson's interval for numbers of trials that need not be whole; 0 to 1 for none."""
    z = ndtri((1 + confidence) / 2)
    some = n > 0
    n, p = np.where(some, n, 1.0), np.where(some, fraction, 0.5)
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return np.where(some, middle - half, 0.0).clip(0), np.where(some, middle + half, 1.0).clip(
        max=1
    )
