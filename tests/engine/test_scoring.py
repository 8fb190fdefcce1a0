import dataclasses

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.table import QTable

from astro_objdet.catalogs import evaluate
from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.engine.training.scoring import THRESHOLDS, ImageResult, best_row, score_images

SCALE = 0.792


def squares(centres, side=40.0):
    centres = np.asarray(centres, dtype=float).reshape(-1, 2)
    return np.hstack([centres - side / 2, centres + side / 2])


def result(found, scores, true, *, z=0.2, ignored=(), row=0):
    true = squares(true)
    return ImageResult(
        row=row,
        boxes=squares(found),
        scores=np.asarray(scores, dtype=float),
        labels=np.ones(len(scores), int),
        true_boxes=true,
        true_labels=np.ones(len(true), int),
        redshift=np.full(len(true), z),
        ignored_boxes=squares(ignored),
    )


def at(rows, threshold):
    (row,) = [row for row in rows if row["threshold"] == threshold]
    return row["tp"], row["fp"], row["fn"], row["ignored"]


def test_one_detection_for_one_object_the_best_first():
    pixel = SCALE * kpc_per_arcsec(0.2)
    one = result([(100, 100), (105, 100), (300, 300)], [0.5, 0.9, 0.3], [(100, 100)])
    rows = score_images([one], SCALE)
    assert at(rows, 0.05) == (1, 2, 0, 0)
    assert at(rows, 0.4) == (1, 1, 0, 0)
    assert at(rows, 0.6) == (1, 0, 0, 0)
    assert at(rows, 0.95) == (0, 0, 1, 0)
    best = best_row(rows)
    assert best["threshold"] == 0.5  # paper I counts scores above the threshold
    assert best["f1"] == 1
    assert best["offset_kpc"] == pytest.approx(5 * pixel)


def test_same_place_in_another_image_is_another_place():
    images = [result([(100, 100)], [0.9], []), result([], [], [(100, 100)], row=1)]
    assert at(score_images(images, SCALE), 0.5) == (0, 1, 1, 0)


def test_ignored_objects_excuse_detections():
    one = result([(100, 100), (310, 300)], [0.8, 0.7], [(100, 100)], ignored=[(300, 300)])
    assert at(score_images([one], SCALE), 0.5) == (1, 0, 0, 1)


def test_without_redshifts_boxes_must_overlap():
    one = result([(113, 100), (214, 200)], [0.8, 0.7], [(100, 100), (200, 200)], z=np.nan)
    # shifts of 13 and 14 px of 40 are overlaps of 0.51 and 0.48
    rows = score_images([one], SCALE)
    assert at(rows, 0.5) == (1, 1, 1, 0)
    assert best_row(rows)["offset_kpc"] is None


def test_classes_are_told_apart():
    one = result([(100, 100)], [0.9], [(100, 100)])
    other = dataclasses.replace(one, true_labels=np.array([2]))
    assert at(score_images([other], SCALE), 0.5) == (0, 1, 1, 0)


def test_nothing_at_all():
    for images in ([], [result([], [], [])]):
        rows = score_images(images, SCALE)
        assert at(rows, 0.5) == (0, 0, 0, 0)
        assert best_row(rows)["f1"] == 0


def test_agrees_with_the_evaluation_of_catalogues():
    """The same image on the sky, through `astro_objdet.catalogs.evaluate`."""
    rng = np.random.default_rng(8)
    true = rng.uniform(0, 2000, (30, 2))
    found = np.vstack([true[:22] + rng.normal(0, 25, (22, 2)), rng.uniform(0, 2000, (40, 2))])
    scores = rng.uniform(0, 1, len(found))
    ours = score_images([result(found, scores, true)], SCALE)

    def table(centres, **columns):
        degrees = centres * SCALE / 3600
        return QTable({"ra": degrees[:, 0] * u.deg, "dec": degrees[:, 1] * u.deg, **columns})

    theirs = evaluate(
        table(found, score=scores),
        table(true, redshift=np.full(30, 0.2)),
        100 * u.kpc,
        thresholds=THRESHOLDS,
        jackknife=False,
    ).thresholds
    for row, other in zip(ours, theirs, strict=True):
        assert (row["tp"], row["fp"], row["fn"]) == (other["tp"], other["fp"], other["fn"])
        assert row["f1"] == pytest.approx(other["f1"])


def test_result_of_a_model():
    output = {
        "boxes": torch.tensor([[1.0, 2, 3, 4]]),
        "scores": torch.tensor([0.5]),
        "labels": torch.tensor([1]),
    }
    target = {"boxes": torch.empty(0, 4), "labels": torch.empty(0, dtype=torch.int64)}
    one = ImageResult.of(7, output, target)
    assert (one.row, one.boxes.shape, one.true_boxes.shape) == (7, (1, 4), (0, 4))
    assert one.redshift.shape == (0,)
    assert one.ignored_boxes.shape == (0, 4)
