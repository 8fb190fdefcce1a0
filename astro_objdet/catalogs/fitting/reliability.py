"""How well probabilities agree with what came true.

Arrays come checked: float64 scores and probabilities, bool truths, weights above 0, all of
shape (N,).
"""

import numpy as np
from astropy.table import QTable

from astro_objdet.catalogs.metrics import wilson

__all__ = ["calibration_error", "reliability_table"]


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
        effective = np.where(total > 0, total**2 / summed(weights), 0.0)
    low, high = wilson(np.nan_to_num(fraction) * effective, effective, confidence)
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
