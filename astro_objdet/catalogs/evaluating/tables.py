"""The tables of an evaluation: thresholds, detections, truth, and tests of distributions."""

import numpy as np
from astropy import units as u
from astropy.coordinates import angular_separation, position_angle
from astropy.table import QTable
from scipy.stats import ks_2samp

from astro_objdet.catalogs.evaluating.inputs import PROPERTIES, Status
from astro_objdet.catalogs.evaluating.matches import nearest_counted
from astro_objdet.catalogs.metrics import (
    centre_error,
    completeness,
    f1,
    ks_critical,
    poisson_interval,
    purity,
    wilson,
)

__all__ = [
    "KS_PROPERTIES",
    "centre_errors",
    "detections_table",
    "ks_table",
    "pair_offsets",
    "thresholds_table",
    "truth_table",
]

# Objects up to which the p-values are exact.
_FEW = 100

KS_PROPERTIES = (*PROPERTIES, "field_x", "field_y")


_WHY = {
    Status.FALSE: "no truth within the radius",
    Status.DUPLICATE: "its truth has another detection",
    Status.IGNORED: "on truth that is not counted",
}


def thresholds_table(thresholds, counts, confidence, area):
    """A row per threshold; the columns are those of `Evaluation.thresholds`."""
    tp, fp, fn = counts.tp, counts.fp, counts.fn
    strict = fp + counts.ignored
    table = QTable({"threshold": thresholds, "tp": tp, "fp": fp, "fn": fn})
    table["purity"] = purity(tp, fp)
    table["purity_low"], table["purity_high"] = wilson(tp, tp + fp, confidence)
    table["completeness"] = completeness(tp, fn)
    table["completeness_low"], table["completeness_high"] = wilson(tp, tp + fn, confidence)
    table["f1"] = f1(table["purity"], table["completeness"])
    for name, error in counts.errors._asdict().items():
        table[f"{name}_jackknife"] = error
    table["ignored"] = counts.ignored
    table["fp_strict"] = strict
    table["purity_strict"] = purity(tp, strict)
    table["f1_strict"] = f1(table["purity_strict"], table["completeness"])
    looked_at = np.nan * u.deg**2 if area is None else area.to(u.deg**2)
    low, high = poisson_interval(fp, confidence)
    table["false_per_deg2"] = fp / looked_at
    table["false_per_deg2_low"], table["false_per_deg2_high"] = low / looked_at, high / looked_at
    return table


def pair_offsets(found, truth, detection_row):
    """How far detections are from their true objects.

    Parameters
    ----------
    found, truth : `~astro_objdet.catalogs.evaluating.inputs.Rows`
    detection_row : `~numpy.ndarray` of int64, shape (n_truth,)
        Of each true object; −1 for none.

    Returns
    -------
    `~numpy.ndarray` of float64, shape (2, n_truth)
        Arcsec east and north from the true object, along a great circle; NaN for none.
    """
    matched = np.flatnonzero(detection_row >= 0)
    ours = detection_row[matched]
    ra, dec = np.radians(found.ra[ours]), np.radians(found.dec[ours])
    ra0, dec0 = np.radians(truth.ra[matched]), np.radians(truth.dec[matched])
    arcsec = np.degrees(angular_separation(ra0, dec0, ra, dec)) * 3600
    towards = np.asarray(position_angle(ra0, dec0, ra, dec))
    offsets = np.full((2, len(detection_row)), np.nan)
    offsets[:, matched] = arcsec * np.sin(towards), arcsec * np.cos(towards)
    return offsets


def detections_table(found, truth, matches, offsets, given):
    """A row per row of found; the columns are those of `Evaluation.detections`.

    ``offsets`` are those of all pairs, from `pair_offsets`.
    """
    truth_row = _truth_rows(matches, len(found))
    true = truth_row >= 0
    nearest_row, separation = nearest_counted(found, truth, ~true)
    separation[true] = np.hypot(*offsets[:, truth_row[true]])
    nearest_row[true] = truth_row[true]
    table = QTable({"row": np.arange(len(found))})
    table["ra"], table["dec"] = found.ra * u.deg, found.dec * u.deg
    table["score"] = found.values["score"]
    if "field" in given.colnames:
        table["field"] = np.asarray(given["field"]).astype(str)
    table["truth_row"] = truth_row
    table["nearest_row"] = nearest_row
    table["separation"] = separation * u.arcsec
    table["separation_kpc"] = separation * _scale(truth, nearest_row) * u.kpc
    table["status"], table["reason"] = _verdicts(found, matches, true)
    return table


def truth_table(found, truth, matches, offsets):
    """A row per row of truth; the columns are those of `Evaluation.truth`.

    ``offsets`` are those of all pairs, from `pair_offsets`.
    """
    detection_row = matches.detection_row
    matched = np.flatnonzero(detection_row >= 0)
    score, separation = np.full(len(truth), np.nan), np.hypot(*offsets)
    score[matched] = found.values["score"][detection_row[matched]]
    table = QTable({"row": np.arange(len(truth))})
    table["ra"], table["dec"] = truth.ra * u.deg, truth.dec * u.deg
    for name in PROPERTIES:
        table[name] = truth.values[name]
    table["detection_row"] = detection_row
    table["score"] = score
    table["separation"] = separation * u.arcsec
    table["separation_kpc"] = separation * truth.values["kpc_per_arcsec"] * u.kpc
    table["offset_x"], table["offset_y"] = offsets * u.arcsec
    for name in ("field_x", "field_y", "radius"):
        table[name] = truth.values[name] * u.arcsec
    table["status"], table["reason"] = Status.NAMES[truth.status], _text(truth.reason)
    return table


def centre_errors(found, truth, matches, offsets, thresholds):
    """Distances of detections from the centres of their objects, in short.

    Parameters
    ----------
    found, truth : `~astro_objdet.catalogs.evaluating.inputs.Rows`
    matches : `~astro_objdet.catalogs.evaluating.matches.Matches`
    offsets : `~numpy.ndarray` of float64, shape (2, n_truth)
        Of all pairs, from `pair_offsets`.
    thresholds : `~numpy.ndarray` of float64, shape (T,)

    Returns
    -------
    list of dict
        At each threshold; see `Evaluation.centre_at`.
    """
    separation = np.hypot(*offsets)
    errors = []
    for number, threshold in enumerate(thresholds):
        rows = matches.at(number)
        if matches.anew is not None:
            separation = np.hypot(*pair_offsets(found, truth, rows))
        matched = rows >= 0
        arcsec = separation[matched]
        kpc = arcsec * truth.values["kpc_per_arcsec"][matched]
        known = int(np.isfinite(kpc).sum())
        errors.append({"n": len(arcsec), "n_kpc": known, "threshold": float(threshold)})
        errors[-1] |= _rms_and_median("kpc", kpc) | _rms_and_median("arcsec", arcsec)
    return errors


def _rms_and_median(unit, offsets):
    known = offsets[np.isfinite(offsets)]
    median = float(np.median(known)) if len(known) else np.nan
    return {f"rms_{unit}": float(centre_error(known)), f"median_{unit}": median}


def ks_table(truth, recovered, alpha=0.05):
    """Compare the recovered objects with all counted ones, a row per property.

    Parameters
    ----------
    truth : `~astropy.table.QTable`
        As `truth_table` makes it.
    recovered : `~numpy.ndarray` of bool
        Which of them were found.
    alpha : float, optional
        Level of significance: paper I, section 3.1.

    Returns
    -------
    `~astropy.table.QTable`
        The columns are those of `Evaluation.ks`.
    """
    counted = np.asarray(truth["status"]) == Status.NAMES[Status.COUNTED]
    rows = []
    for name in KS_PROPERTIES:
        values = np.asarray(getattr(truth[name], "value", truth[name]))
        known = counted & np.isfinite(values)
        ours, everyone = values[known & recovered], values[known]
        statistic = p_value = np.nan
        if len(ours):
            # The limit is wrong for few, the exact sum slow and at times in vain for many.
            method = "exact" if len(everyone) <= _FEW else "asymp"
            statistic, p_value = ks_2samp(ours, everyone, method=method)
        sizes = len(ours), len(everyone)
        critical = [ks_critical(*sizes, alpha, sides) for sides in (1, 2)]
        rows.append((name, statistic, *critical, p_value, *sizes, statistic > critical[0]))
    names = ("property", "statistic", "critical", "critical_two_sided", "p_value")
    names += ("n_recovered", "n_truth", "differs")
    return QTable(rows=rows, names=names, dtype=(str, *[float] * 4, int, int, bool))


def _truth_rows(matches, n_found):
    truth_row = np.full(n_found, -1)
    matched = np.flatnonzero(matches.detection_row >= 0)
    truth_row[matches.detection_row[matched]] = matched
    return truth_row


def _verdicts(found, matches, true):
    """What each detection counts as, and why it is not true."""
    counted = found.status == Status.COUNTED
    status = found.status.copy()
    status[counted] = Status.FALSE
    status[counted & matches.doubled] = Status.DUPLICATE
    status[counted & matches.excused] = Status.IGNORED
    status[counted & true] = Status.TRUE
    why = dict.fromkeys(range(len(Status.NAMES)), "") | _WHY
    reason = np.array(list(why.values()))[status]
    if not counted.all():
        reason = np.where(counted, reason, _text(found.reason))
    return Status.NAMES[status], reason


def _text(reason):
    """Objects to text of a fixed width, which each file format can write."""
    # Most tables have no bad rows, and 10⁶ objects take a while.
    return reason.astype(str) if np.any(reason != "") else np.full(len(reason), "")


def _scale(truth, rows):
    scale = np.full(len(rows), np.nan)
    scale[rows >= 0] = truth.values["kpc_per_arcsec"][rows[rows >= 0]]
    return scale
