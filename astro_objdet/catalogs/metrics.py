"""The numbers by which detections are judged, each as its paper defines it.

Paper I is Chan & Stott (2019), paper II Popp et al. (2024). Purity is what both also call
precision, completeness what they call recall. All functions take scalars or arrays that
broadcast, and return float64 of that shape.
"""

import numbers
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import chi2

from astro_objdet.errors import InputError, check_choice

__all__ = [
    "JackknifeErrors",
    "average_precision",
    "average_recall",
    "centre_error",
    "check_probability",
    "completeness",
    "f1",
    "f1_of_averages",
    "jackknife",
    "ks_critical",
    "poisson_interval",
    "purity",
    "wilson",
]

# Errors from fewer pieces of sky than this say little.
FEWEST_CELLS = 10


def purity(tp, fp):
    """Share of the detections that are true: paper I Eq. 5, paper II Eq. D1.

    Parameters
    ----------
    tp, fp : array_like of int
        True and false detections.

    Returns
    -------
    float or `~numpy.ndarray` of float64
        0 without detections, as paper I prints it for a threshold of 100 per cent.
    """
    return _ratio(tp, np.add(tp, fp))


def completeness(tp, fn):
    """Share of the true objects that were found: paper I Eq. 6, paper II Eq. D2.

    Parameters
    ----------
    tp, fn : array_like of int
        True objects found and not found.

    Returns
    -------
    float or `~numpy.ndarray` of float64
        0 where there are no true objects.
    """
    return _ratio(tp, np.add(tp, fn))


def f1(purity, completeness):
    """Harmonic mean of purity and completeness: paper I Eq. 7; 0 where both are 0."""
    return _ratio(2 * np.multiply(purity, completeness), np.add(purity, completeness))


def average_precision(purity, completeness):
    """Area under the steps of purity over completeness: paper II Eq. D3.

    ``AP = Σ (r_n − r_{n−1}) p_n``, with the completeness ``r`` rising from ``r_0 = 0`` as the
    threshold falls.

    Parameters
    ----------
    purity, completeness : array_like of float, shape (N,)
        In the order of the score thresholds, rising or falling.

    Returns
    -------
    float
        0 to 1; 0 without thresholds. A coarse grid of thresholds gives a coarse area: the
        metric depends on them.

    Raises
    ------
    InputError
        If the two differ in length.
    """
    purity, completeness = _same_length(purity=purity, completeness=completeness)
    if not len(completeness):
        return 0.0
    if completeness[0] >= completeness[-1]:
        purity, completeness = purity[::-1], completeness[::-1]
    return float(np.sum(np.diff(completeness, prepend=0.0) * purity))


def average_recall(iou, recall):
    """Twice the area under the recall over IoU from 0.5 to 1: paper II Eq. D5.

    Parameters
    ----------
    iou : array_like of float, shape (N,)
        Thresholds of intersection over union, rising, reaching from 0.5 to 1.
    recall : array_like of float, shape (N,)
        Recall (completeness) at each.

    Returns
    -------
    float
        0 to 1, by the trapezoidal rule.

    Raises
    ------
    InputError
        If the lengths differ, or ``iou`` does not rise from 0.5 or less to 1.
    """
    iou, recall = _same_length(iou=iou, recall=recall)
    # np.arange(0.5, 1.01, 0.05) ends in 1 only up to rounding.
    reaches = len(iou) > 1 and iou[0] <= 0.5 + 1e-9 and iou[-1] >= 1 - 1e-9
    if not (reaches and np.all(np.diff(iou) > 0)):
        raise InputError(f"iou must rise from 0.5 to 1, got {iou.tolist()}")
    inside = (iou > 0.5) & (iou < 1)
    grid = np.concatenate([[0.5], iou[inside], [1.0]])
    return float(2 * np.trapezoid(np.interp(grid, iou, recall), grid))


def f1_of_averages(ap, ar):
    """Harmonic mean of average precision and average recall: paper II Eq. D7."""
    return f1(ap, ar)


def wilson(k, n, confidence=0.95):
    """Wilson score interval of a share ``k / n`` (Wilson 1927).

    Parameters
    ----------
    k, n : array_like of float
        Successes and trials, 0 ≤ k ≤ n. They need not be whole: of weighted trials they are
        effective numbers.
    confidence : float, optional
        Probability of the interval, two-sided.

    Returns
    -------
    low, high : float or `~numpy.ndarray` of float64
        0 and 1 where ``n`` is 0: nothing is known there.

    Raises
    ------
    InputError
        If ``k`` is not between 0 and ``n``.
    """
    z = ndtri((1 + check_probability("confidence", confidence)) / 2)
    k, n = np.broadcast_arrays(np.asarray(k, dtype=float), np.asarray(n, dtype=float))
    if not np.all((k >= 0) & (k <= n)):
        raise InputError("k must be between 0 and n")
    trials = np.where(n > 0, n, 1.0)
    share = k / trials
    middle = share + z**2 / (2 * trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    # Rounding leaves 1e-17 where the bound is 0 or 1 exactly; without trials both are.
    low = np.where(k > 0, (middle - half) / (1 + z**2 / trials), 0.0)
    high = np.where(k < n, (middle + half) / (1 + z**2 / trials), 1.0)
    return low[()], high[()]


def poisson_interval(n, confidence=0.95):
    """Exact central interval of a Poisson mean (Garwood 1936).

    Parameters
    ----------
    n : array_like of int
        Counts, 0 or more.
    confidence : float, optional
        Probability of the interval, two-sided.

    Returns
    -------
    low, high : float or `~numpy.ndarray` of float64
    """
    n = np.asarray(n, dtype=float)
    tail = (1 - check_probability("confidence", confidence)) / 2
    # chi2.ppf is NaN for 0 degrees of freedom; the lower bound of no counts is 0.
    low = np.where(n > 0, chi2.ppf(tail, 2 * np.maximum(n, 1)) / 2, 0.0)
    return low[()], chi2.ppf(1 - tail, 2 * n + 2) / 2


def centre_error(offsets):
    """Standard error of the centres, ``sqrt(Σ (Y − Y')² / N)``: paper I Eq. 8.

    Parameters
    ----------
    offsets : array_like of float or `~astropy.units.Quantity`, shape (N,)
        Distance of each true detection from its object; NaN is left out.

    Returns
    -------
    float or `~astropy.units.Quantity`
        In the unit of ``offsets``; NaN without any.
    """
    offsets = np.asanyarray(offsets, dtype=float).ravel()
    offsets = offsets[np.isfinite(offsets)]
    if not len(offsets):
        return np.sum(offsets) * np.nan
    return np.sqrt(np.mean(offsets**2))


def ks_critical(n1, n2, alpha=0.05, sides=1):
    """Critical value of the two-sample Kolmogorov-Smirnov statistic, for large samples.

    ``sqrt(−ln(α / sides) / 2) · sqrt((n1 + n2) / (n1 n2))``.

    Parameters
    ----------
    n1, n2 : int
        Sizes of the samples.
    alpha : float, optional
        Level of significance.
    sides : {1, 2}, optional
        1 is the one-sided value (Gail & Green 1976): the 0.1281 of paper I for 165 of 204
        clusters. The statistic that paper I compares with it is two-sided, whose critical
        value is 0.1421: ``sides=2``.

    Returns
    -------
    float
        NaN if a sample is empty.

    Raises
    ------
    InputError
        If ``sides`` is neither 1 nor 2, or ``alpha`` is not between 0 and 1.
    """
    check_choice("sides", sides, (1, 2))
    check_probability("alpha", alpha)
    if n1 == 0 or n2 == 0:
        return np.nan
    return float(np.sqrt(-np.log(alpha / sides) / 2) * np.sqrt((n1 + n2) / (n1 * n2)))


class JackknifeErrors(NamedTuple):
    """Standard errors from leaving out one piece of sky at a time, each of shape (T,)."""

    purity: np.ndarray
    completeness: np.ndarray
    f1: np.ndarray


def jackknife(tp, fp, fn):
    """Standard errors of purity, completeness and F1 from counts on pieces of sky.

    Binomial intervals take objects as independent; those of one field share its seeing,
    its depth and its neighbours. Leaving out one piece at a time sees that.

    Parameters
    ----------
    tp, fp, fn : array_like of int, shape (C, T)
        Counts in each of C pieces of sky at each of T thresholds.

    Returns
    -------
    JackknifeErrors
        NaN with fewer than 10 pieces.
    """
    tp, fp, fn = (np.atleast_2d(counts) for counts in (tp, fp, fn))
    cells, thresholds = tp.shape
    if cells < FEWEST_CELLS:
        return JackknifeErrors(*np.full((3, thresholds), np.nan))
    tp, fp, fn = (counts.sum(axis=0) - counts for counts in (tp, fp, fn))
    left_p, left_c = purity(tp, fp), completeness(tp, fn)
    return JackknifeErrors(
        *(
            np.sqrt((cells - 1) * np.var(left, axis=0))
            for left in (left_p, left_c, f1(left_p, left_c))
        )
    )


def _ratio(part, whole):
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)[()]


def _same_length(**given):
    arrays = [np.asarray(values, dtype=float).ravel() for values in given.values()]
    if len(arrays[0]) != len(arrays[1]):
        names = " and ".join(given)
        sizes = " and ".join(str(len(array)) for array in arrays)
        raise InputError(f"{names} must have the same length, got {sizes}")
    return arrays


def check_probability(name, value):
    """Return ``value`` if it is a number above 0 and below 1, else raise `InputError`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < 1:
        raise InputError(f"{name} must be between 0 and 1, got {value!r}")
    return value
