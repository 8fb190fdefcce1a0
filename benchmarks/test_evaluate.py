"""Evaluating a million detections."""

import time

import numpy as np
from astropy.table import Table

from astro_objdet.catalogs import evaluate

ROUNDS = 3


def tables(detections=10**6, objects=10**5):
    """Objects over 10,000 deg2, half of them detected, and false detections between them."""
    rng = np.random.default_rng(1)
    ra, z = rng.uniform(100, 260, objects), rng.uniform(0.05, 0.6, objects)
    dec = np.degrees(np.arcsin(rng.uniform(0, 0.94, objects)))
    truth = Table({"ra": ra, "dec": dec, "redshift": z, "richness": rng.uniform(10, 100, objects)})
    found = rng.choice(objects, objects // 2, replace=False)
    more = detections - len(found)
    found_ra = ra[found] + rng.normal(0, 3, len(found)) / 3600
    found_dec = dec[found] + rng.normal(0, 3, len(found)) / 3600
    far = rng.uniform(100, 260, more), np.degrees(np.arcsin(rng.uniform(0, 0.94, more)))
    score = np.concatenate([rng.beta(5, 2, len(found)), rng.beta(1, 6, more)])
    where = {"ra": np.append(found_ra, far[0]), "dec": np.append(found_dec, far[1])}
    return Table({**where, "score": score}), truth


def test_a_million_detections_at_eleven_thresholds(report):
    found, truth = tables()
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        evaluation = evaluate(found, truth)
        seconds.append(time.perf_counter() - start)
        assert len(evaluation.thresholds) == 11
    text = f"{np.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"
    report("evaluate, 10⁶ detections × 10⁵ objects × 11 thresholds", "< 10 s", text)
    assert np.median(seconds) < 10
