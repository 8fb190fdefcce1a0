"""Detections that are known to be true or false, ready for a calibration."""

import numpy as np

from astro_objdet.catalogs.arguments import check_table
from astro_objdet.catalogs.columns.masks import unmasked
from astro_objdet.catalogs.fitting.arrays import float_array
from astro_objdet.catalogs.fitting.isotonic import isotonic_knots
from astro_objdet.errors import InputError

__all__ = [
    "FALSE_STATUSES",
    "TRUE_STATUSES",
    "checked_detections",
    "held_out_probabilities",
    "judged_detections",
]

#: What the column ``status`` of an evaluation says of a detection; others are left out.
TRUE_STATUSES = ("true",)
FALSE_STATUSES = ("false", "duplicate")


def judged_detections(table):
    """Score and truth of the detections of an evaluation.

    Parameters
    ----------
    table : `~astropy.table.Table`
        As for `astro_objdet.catalogs.calibration.Calibration.from_table`.

    Returns
    -------
    judged : dict
        ``score``, ``true``, ``weights`` and ``groups``, each (N,); the last two may be None.
    left_out : int
        Rows that are neither true nor false, or have no score.

    Raises
    ------
    InputError
        For missing columns, and where no row is left.
    """
    check_table("table", table)
    for name in ("score", "status"):
        if name not in table.colnames:
            there = ", ".join(table.colnames) or "none"
            raise InputError(
                f"table must have the column {name!r}, as the detections of an evaluation "
                f"do; it has {there}"
            )
    # From text files, "true" and "false" alone come back as True and False.
    status = np.char.lower(np.ma.filled(np.ma.asarray(table["status"]).astype(str), ""))
    score = float_array("score", table["score"])
    true = np.isin(status, TRUE_STATUSES)
    used = (true | np.isin(status, FALSE_STATUSES)) & np.isfinite(score)
    if not used.any():
        there = ", ".join(sorted(set(status.tolist()))) or "no rows"
        wanted = ", ".join((*TRUE_STATUSES, *FALSE_STATUSES))
        raise InputError(f"table must have rows of status {wanted} with a score; it has {there}")
    weights = float_array("weight", table["weight"])[used] if "weight" in table.colnames else None
    groups = _groups(table)
    judged = {
        "score": score[used],
        "true": true[used],
        "weights": weights,
        "groups": None if groups is None else groups[used],
    }
    return judged, int(len(used) - used.sum())


def held_out_probabilities(score, true, weights, groups, folds):
    """Probabilities of detections, each from a calibration on other groups.

    Parameters
    ----------
    score, true, weights, groups : `~numpy.ndarray`, shape (N,)
    folds : int
        From 2; no more than there are groups.

    Returns
    -------
    probability : `~numpy.ndarray` of float64, or None where there is one group only
    folds : int
        How many were used.

    Raises
    ------
    InputError
        For another number of folds, and groups of another length.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise InputError(f"folds must be an integer from 2, got {folds!r}")
    if groups.shape != score.shape:
        raise InputError(f"groups must have length {len(score)}, got shape {groups.shape}")
    names, number = np.unique(groups, return_inverse=True)
    folds = min(folds, len(names))
    if folds < 2:
        return None, folds
    probability = np.empty_like(score)
    # groups in a fixed shuffle: in their order they may drift across the sky
    fold = (np.random.default_rng(0).permutation(len(names)) % folds)[number]
    for k in range(folds):
        held = fold == k
        knots = isotonic_knots(score[~held], true[~held], weights[~held])
        probability[held] = np.interp(score[held], *knots)
    return probability, folds


def checked_detections(score, true, weights):
    """Arrays of one length, and what makes no sense refused."""
    score, (true, masked) = float_array("score", score), unmasked(true)
    if masked.any():
        raise InputError(
            f"true must be known of each detection, got {np.count_nonzero(masked)} masked values: "
            "leave these rows out"
        )
    if not np.isin(true, (0, 1)).all():
        raise InputError("true must hold True and False, or 1 and 0")
    weights = np.ones(score.shape) if weights is None else float_array("weights", weights)
    if score.ndim != 1 or not score.shape == true.shape == weights.shape:
        raise InputError(
            "score, true and weights must have one length, got shapes "
            f"{score.shape}, {true.shape} and {weights.shape}"
        )
    if not np.isfinite(score).all():
        first = int(np.argmin(np.isfinite(score)))
        raise InputError(f"score must be finite, got {score[first]} at index {first}")
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise InputError("weights must be finite numbers above 0")
    return score, true.astype(bool), weights


def _groups(table):
    """Field of each detection, else its cell of sky, else None."""
    if "field" in table.colnames:
        return np.ma.filled(np.ma.asarray(table["field"]).astype(str), "")
    if not {"ra", "dec"} <= set(table.colnames):
        return None
    # needed by few, and imports a library of its own
    from astro_objdet.catalogs.footprint import sky_cells

    ra, dec = (np.nan_to_num(float_array(name, table[name])) for name in ("ra", "dec"))
    return sky_cells(ra, dec)[0]
