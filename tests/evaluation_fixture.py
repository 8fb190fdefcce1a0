"""Evaluations made by hand: their counts are known because they are put in.

Not by `astro_objdet.catalogs.evaluation.evaluate`, so that what draws and writes an evaluation
is tested apart from what makes one.
"""

import numpy as np
from astropy import units as u
from astropy.table import QTable

from astro_objdet.catalogs import metrics
from astro_objdet.catalogs.evaluating.matches import Matches
from astro_objdet.catalogs.evaluating.tables import ks_table
from astro_objdet.catalogs.evaluation import Evaluation

#: True, false and missed of Table 2 of paper I at 0, 10, ... 100 per cent; of the 60997
#: false ones at threshold 0, a thousand.
PAPER_COUNTS = (
    *((203, 1000, 1), (198, 538, 6), (197, 391, 7), (193, 302, 11), (191, 243, 13)),
    *((188, 202, 16), (181, 163, 23), (177, 119, 27), (165, 72, 39), (136, 29, 68), (0, 0, 204)),
)
RADIUS_KPC = 100.0
KPC_PER_ARCSEC = 2.7
AREA = 105 * u.deg**2


def make_evaluation(counts=PAPER_COUNTS, *, seed=1, area=AREA, fields=True):
    """An evaluation with these counts at evenly spaced thresholds from 0 to 1."""
    rng = np.random.default_rng(seed)
    tp, fp, fn = np.array(counts).T
    thresholds = np.linspace(0, 1, len(tp))
    truth, found = _tables(rng, tp, fp, fn, thresholds, fields)
    table = _counts(thresholds, tp, fp, fn, area)
    best = int(np.argmax(table["f1"]))
    matches = Matches(
        level=np.searchsorted(thresholds, found["score"]),
        excused=np.zeros(len(found), bool),
        doubled=found["truth_row"] >= 0,
        detection_row=np.asarray(truth["detection_row"]),
    )
    matched = matches.at(best) >= 0
    return Evaluation(
        thresholds=table,
        best=best,
        detections=found,
        truth=truth,
        average_precision=metrics.average_precision(table["purity"], table["completeness"]),
        coco=None,
        average_recall=np.nan,
        f1_coco=np.nan,
        centres=[
            _centre(truth, matches.at(number) >= 0, float(threshold))
            for number, threshold in enumerate(thresholds)
        ],
        ks=ks_table(truth, matched),
        area=area,
        meta={
            "radius": f"{RADIUS_KPC:g} kpc",
            "cosmology": {"name": "FlatLambdaCDM", "H0": 71.0, "Om0": 0.27},
            "find": "score",
            "inclusive": False,
            "rule": "score > threshold",
            "ranges": {},
            "confidence": 0.95,
            "jackknife": {"cells": 20, "nside": 16},
            "columns": {
                "found": {"position": ["ra", "dec"], "frame": "icrs", "how": "name"},
                "truth": {"position": ["ra", "dec"], "frame": "icrs", "how": "name"},
            },
            "rows": {"found": len(found), "truth": len(truth)},
            "not_counted": {"found": {}, "truth": {}},
            "found": {},
            "versions": {"astro-objdet": "0.1.0"},
        },
        matches=matches,
    )


def empty_evaluation():
    """No detections and no truth."""
    return make_evaluation([(0, 0, 0)] * 11, area=None, fields=False)


def _tables(rng, tp, fp, fn, thresholds, fields):
    """Scores in the middle between two thresholds, as many as the counts say."""
    middles = np.append((thresholds[:-1] + thresholds[1:]) / 2, 1)
    true_scores = np.repeat(middles, -np.diff(tp, append=0))
    false_scores = np.repeat(middles, -np.diff(fp, append=0))
    n, hits, false = tp[0] + fn[0], len(true_scores), len(false_scores)
    score = np.full(n, np.nan)
    score[:hits] = true_scores
    partner = np.full(n, -1)
    partner[:hits] = np.arange(hits)
    offset = rng.rayleigh(17, n).clip(0, RADIUS_KPC - 1) / KPC_PER_ARCSEC
    offset[hits:] = np.nan
    angle = rng.uniform(0, 2 * np.pi, n)
    place = rng.uniform(-400, 400, (2, n)) if fields else np.full((2, n), np.nan)
    ra, dec = rng.uniform(140, 150, n), rng.uniform(0, 10, n)
    truth = QTable(
        {
            "row": np.arange(n),
            "ra": ra * u.deg,
            "dec": dec * u.deg,
            "redshift": rng.uniform(0.1, 0.2, n),
            "richness": 20 + rng.exponential(25, n),
            "magnitude": rng.normal(15.8, 0.6, n),
            "detection_row": partner,
            "score": score,
            "separation": offset * u.arcsec,
            "separation_kpc": offset * KPC_PER_ARCSEC * u.kpc,
            "offset_x": offset * np.cos(angle) * u.arcsec,
            "offset_y": offset * np.sin(angle) * u.arcsec,
            "field_x": place[0] * u.arcsec,
            "field_y": place[1] * u.arcsec,
            "status": np.full(n, "counted"),
            "reason": np.full(n, "", dtype="U40"),
        }
    )
    away = rng.exponential(600, false) / KPC_PER_ARCSEC + 40
    separation = np.concatenate([offset[:hits], away]) * u.arcsec
    found = QTable(
        {
            "row": np.arange(hits + false),
            "ra": np.concatenate([ra[:hits], rng.uniform(140, 150, false)]) * u.deg,
            "dec": np.concatenate([dec[:hits], rng.uniform(0, 10, false)]) * u.deg,
            "score": np.concatenate([true_scores, false_scores]),
            "truth_row": np.concatenate([np.arange(hits), np.full(false, -1)]),
            "separation": separation,
            "separation_kpc": separation.value * KPC_PER_ARCSEC * u.kpc,
            "status": np.repeat(["true", "false"], [hits, false]),
            "reason": np.full(hits + false, "", dtype="U40"),
        }
    )
    return truth, found


def _counts(thresholds, tp, fp, fn, area):
    table = QTable({"threshold": thresholds, "tp": tp, "fp": fp, "fn": fn})
    for name, k, n in (("purity", tp, tp + fp), ("completeness", tp, tp + fn)):
        table[name] = k / np.maximum(n, 1)
        table[f"{name}_low"], table[f"{name}_high"] = metrics.wilson(k, n)
    table["f1"] = metrics.f1(table["purity"], table["completeness"])
    for name in ("purity", "completeness", "f1"):
        table[f"{name}_jackknife"] = np.full(len(table), 0.02)
    table["ignored"] = np.zeros(len(table), int)
    table["fp_strict"] = fp
    table["purity_strict"], table["f1_strict"] = table["purity"], table["f1"]
    low, high = metrics.poisson_interval(fp)
    for name, values in (("", fp), ("_low", low), ("_high", high)):
        rate = np.full(len(table), np.nan) if area is None else values / area.value
        table[f"false_per_deg2{name}"] = rate / u.deg**2
    return table


def _centre(truth, matched, threshold):
    errors = {"threshold": threshold, "n": int(matched.sum()), "n_kpc": int(matched.sum())}
    for name, unit in (("separation_kpc", "kpc"), ("separation", "arcsec")):
        offsets = truth[name].to_value(unit)[matched]
        errors[f"rms_{unit}"], errors[f"median_{unit}"] = _rms(offsets), _median(offsets)
    return errors


def _rms(values):
    return float(np.sqrt(np.mean(values**2))) if len(values) else np.nan


def _median(values):
    return float(np.median(values)) if len(values) else np.nan
