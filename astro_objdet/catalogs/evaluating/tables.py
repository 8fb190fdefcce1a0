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


def detections_table(found, truth, matches, given):
    """A row per row of found; the columns are those of `Evaluation.detections`."""
    truth_row = _truth_rows(matches, len(found))
    nearest_row, separation = nearest_counted(found, truth)
    true = truth_row >= 0
    separation[true] = _separation(found, truth, np.flatnonzero(true), truth_row[true])
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


def truth_table(found, truth, matches):
    """A row per row of truth; the columns are those of `Evaluation.truth`."""
    detection_row = matches.detection_row
    matched = np.flatnonzero(detection_row >= 0)
    theirs = detection_row[matched]
    table = QTable({"row": np.arange(len(truth))})
    table["ra"], table["dec"] = truth.ra * u.deg, truth.dec * u.deg
    for name in PROPERTIES:
        table[name] = truth.values[name]
    table["detection_row"] = detection_row
    known = {name: np.full(len(truth), np.nan) for name in ("score", "separation", "x", "y")}
    known["score"][matched] = found.values["score"][theirs]
    known["separation"][matched] = _separation(found, truth, theirs, matched)
    known["x"][matched], known["y"][matched] = _offsets(found, truth, theirs, matched)
    table["score"] = known["score"]
    table["separation"] = known["separation"] * u.arcsec
    table["separation_kpc"] = known["separation"] * truth.values["kpc_per_arcsec"] * u.kpc
    table["offset_x"], table["offset_y"] = known["x"] * u.arcsec, known["y"] * u.arcsec
    for name in ("field_x", "field_y", "radius"):
        table[name] = truth.values[name] * u.arcsec
    table["status"], table["reason"] = Status.NAMES[truth.status], _text(truth.reason)
    return table


def centre_errors(found, truth, detection_row, threshold):
    """Distances of detections from the centres of their objects, in short."""
    matched = np.flatnonzero(detection_row >= 0)
    arcsec = _separation(found, truth, detection_row[matched], matched)
    kpc = arcsec * truth.values["kpc_per_arcsec"][matched]
    errors = {"n": len(matched), "threshold": threshold}
    for name, offsets in (("kpc", kpc), ("arcsec", arcsec)):
        known = offsets[np.isfinite(offsets)]
        errors[f"rms_{name}"] = float(centre_error(known))
        errors[f"median_{name}"] = float(np.median(known)) if len(known) else np.nan
    return errors


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


def _separation(found, truth, ours, theirs):
    """Arcsec between pairs of rows."""
    x, y = _offsets(found, truth, ours, theirs)
    return np.hypot(x, y)


def _offsets(found, truth, ours, theirs):
    """Arcsec east and north from true objects to their detections, along great circles."""
    ra, dec = np.radians(found.ra[ours]), np.radians(found.dec[ours])
    ra0, dec0 = np.radians(truth.ra[theirs]), np.radians(truth.dec[theirs])
    separation = angular_separation(ra0, dec0, ra, dec)
    towards = np.asarray(position_angle(ra0, dec0, ra, dec))
    arcsec = np.degrees(separation) * 3600
    return arcsec * np.sin(towards), arcsec * np.cos(towards)
