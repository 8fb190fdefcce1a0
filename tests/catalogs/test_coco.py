"""COCO metrics against cases done by hand and a slow evaluation of our own."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table

from astro_objdet.catalogs import Detections
from astro_objdet.catalogs.evaluating.coco import coco_metrics
from astro_objdet.catalogs.evaluation import evaluate
from astro_objdet.errors import InputError


def square(x, y=0.0, side=10.0):
    return [x, y, x + side, y + side]


def metrics_of(found, scores, truth, **options):
    """All boxes in one image."""
    return coco_metrics(found, scores, [0] * len(found), truth, [0] * len(truth), **options)


def overlap(one, two):
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    both = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)]
    return both / (sum(areas) - both)


def slow_average_precision(found, scores, images, truth, truth_images, iou):
    """The 101 points of COCO, with loops over everything."""
    free, hits = set(range(len(truth))), []
    for row in np.argsort(-scores, kind="stable"):
        here = [n for n in free if truth_images[n] == images[row]]
        best = max(here, key=lambda n: overlap(found[row], truth[n]), default=None)
        hit = best is not None and overlap(found[row], truth[best]) >= iou
        hits.append(hit)
        free -= {best} if hit else set()
    tp = np.cumsum(hits)
    purity, recall = tp / np.arange(1, len(tp) + 1), tp / len(truth)
    points = [purity[recall >= at].max(initial=0) for at in np.linspace(0, 1, 101)]
    return np.mean(points), recall[-1]


def test_perfect_boxes():
    boxes = [square(0), square(50), square(100)]
    result = metrics_of(boxes, [0.9, 0.8, 0.7], boxes)
    assert result.metrics["AP"] == result.metrics["AP50"] == result.metrics["AP75"] == 1
    assert result.metrics["AR1"] == pytest.approx(1 / 3)
    assert result.metrics["AR10"] == result.metrics["AR100"] == 1
    assert result.average_recall == pytest.approx(1)
    assert result.f1 == pytest.approx(1)


def test_one_box_that_overlaps_by_two_thirds():
    # 8 of 10 wide in common: IoU 8 / 12, which passes 0.5, 0.55, 0.6 and 0.65.
    result = metrics_of([square(2)], [0.5], [square(0)])
    assert result.metrics["AP50"] == 1
    assert result.metrics["AP75"] == 0
    assert result.metrics["AP"] == pytest.approx(0.4)
    assert result.metrics["AR100"] == pytest.approx(0.4)
    # D5: twice the area of a step from 0.5 to 2/3, on a grid of 0.01.
    assert result.average_recall == pytest.approx(1 / 3, abs=0.01)
    assert result.f1 == pytest.approx(2 * 0.4 * 0.33 / 0.73, abs=0.01)


def test_a_false_box_of_higher_score_halves_the_precision():
    result = metrics_of([square(0), square(500)], [0.5, 0.9], [square(0)])
    assert result.metrics["AP50"] == pytest.approx(0.5)
    assert result.metrics["AR1"] == 0
    lower = metrics_of([square(0), square(500)], [0.9, 0.5], [square(0)])
    assert lower.metrics["AP50"] == 1


def test_a_second_box_on_an_object_is_false():
    twice = metrics_of([square(0), square(0.1)], [0.9, 0.8], [square(0), square(50)])
    # Recall stops at 1/2: 51 of 101 points have precision 1.
    assert twice.metrics["AP50"] == pytest.approx(51 / 101)


def test_boxes_of_other_images_do_not_match():
    result = coco_metrics([square(0)], [0.9], ["a"], [square(0)], ["b"])
    assert result.metrics["AP50"] == 0
    same = coco_metrics([square(0)], [0.9], ["a"], [square(0)], ["a"])
    assert same.metrics["AP50"] == 1


def test_a_box_on_an_ignored_object_is_neither_true_nor_false():
    truth = [square(0), square(50)]
    found, scores = [square(50), square(0)], [0.9, 0.8]
    assert metrics_of(found, scores, truth[:1]).metrics["AP50"] == pytest.approx(0.5)
    ignoring = metrics_of(found, scores, truth, ignored=[False, True])
    assert ignoring.metrics["AP50"] == 1


def test_classes_are_averaged():
    boxes = [square(0), square(50)]
    mixed = metrics_of(boxes, [0.9, 0.9], boxes, found_labels=list("aa"), truth_labels=list("ab"))
    # Class a has a false box of the same score behind a true one; class b has none.
    assert mixed.metrics["AP50"] == pytest.approx(0.5)
    assert mixed.metrics["AR100"] == pytest.approx(0.5)
    with pytest.raises(InputError, match="both or neither"):
        metrics_of(boxes, [0.9, 0.9], boxes, found_labels=list("aa"))


def test_against_a_slow_evaluation():
    rng = np.random.default_rng(9)
    truth = np.array([square(*rng.uniform(0, 200, 2)) for _ in range(150)])
    truth_images = rng.integers(0, 6, 150)
    moved = truth[:120] + np.tile(rng.normal(0, 1.5, (120, 2)), 2)
    other = np.array([square(*rng.uniform(0, 200, 2)) for _ in range(80)])
    found = np.concatenate([moved, other])
    images = np.concatenate([truth_images[:120], rng.integers(0, 6, 80)])
    scores = rng.permutation(200) / 200
    result = coco_metrics(found, scores, images, truth, truth_images)
    slow = [
        slow_average_precision(found, scores, images, truth, truth_images, iou)
        for iou in np.arange(0.5, 0.96, 0.05)
    ]
    ap, recall = np.array(slow).T
    assert result.metrics["AP50"] == pytest.approx(ap[0], abs=1e-9)
    assert result.metrics["AP75"] == pytest.approx(ap[5], abs=1e-9)
    assert result.metrics["AP"] == pytest.approx(ap.mean(), abs=1e-9)
    assert result.metrics["AR100"] == pytest.approx(recall.mean(), abs=1e-9)
    np.testing.assert_allclose(result.recall[:50:5], recall, atol=1e-9)


def test_more_than_a_hundred_boxes_in_an_image():
    boxes = [square(20 * n) for n in range(250)]
    result = metrics_of(boxes, np.linspace(0.1, 0.9, 250), boxes)
    assert result.metrics["AR100"] == pytest.approx(0.4)
    assert result.metrics["AR_all"] == result.metrics["AP_all"] == 1


def test_empty_sides():
    nothing = np.empty((0, 4))
    missed = metrics_of(nothing, [], [square(0)])
    assert missed.metrics["AP"] == missed.metrics["AR100"] == missed.average_recall == 0
    for found in ([square(0)], nothing):
        unknown = metrics_of(found, [0.9] * len(found), nothing)
        assert np.isnan([*unknown.metrics.values(), unknown.average_recall, unknown.f1]).all()
        assert unknown.recall.shape == unknown.iou.shape == (51,)
    all_ignored = metrics_of([square(0)], [0.9], [square(0)], ignored=[True])
    assert np.isnan(all_ignored.metrics["AP"])


@pytest.mark.parametrize(
    ("found", "scores", "rule"),
    [
        ([[0, 0, 1]], [1], r"found_boxes must have shape \(N, 4\), got \(1, 3\)"),
        ([square(0)], [1, 2], "found: 1 boxes need as many images, scores and labels, got 2"),
        ([square(0, side=-1)], [1], r"x1 < x2 and y1 < y2, got \[0.0, .*\] at index 0"),
        ([square(0), square(np.nan)], [1, 1], "finite .* at index 1"),
        ([square(0)], [np.nan], "boxes and scores must be finite"),
    ],
)
def test_bad_boxes_are_named(found, scores, rule):
    with pytest.raises(InputError, match=rule):
        coco_metrics(found, scores, [0] * len(found), [square(0)], [0])


def detections(wcs, boxes, scores, **meta):
    return Detections.from_boxes(boxes, scores, ["cluster"] * len(boxes), wcs=wcs, meta=meta)


def corners(wcs, nx=128, ny=96):
    edges = np.array([0, nx, nx, 0]) - 0.5, np.array([0, 0, ny, ny]) - 0.5
    sky = wcs.pixel_to_world(*edges)
    return np.stack([sky.ra.deg, sky.dec.deg], axis=1).tolist()


@pytest.mark.parametrize("rotation", [0, 35])
def test_boxes_on_the_sky_are_those_in_pixels(make_wcs, rotation):
    wcs = make_wcs(ra=0.0, rotation=rotation)
    truth_boxes = np.array([square(20, 30), square(60, 50), square(90, 20)])
    found_boxes = truth_boxes + [[1.0, 0.5, 1.0, 0.5], [3.0, 0, 3.0, 0], [0, 0, 0, 0]]
    found = detections(wcs, found_boxes, [0.9, 0.8, 0.7], footprint_deg=corners(wcs))
    truth = QTable(detections(wcs, truth_boxes, [1, 1, 1]), meta={})
    truth.remove_column("score")
    in_pixels = evaluate(found, truth, 3 * u.arcsec, coco=True)
    assert in_pixels.coco["AR100"] == pytest.approx(
        metrics_of(found_boxes, [0.9, 0.8, 0.7], truth_boxes).metrics["AR100"]
    )
    on_sky = evaluate(found, truth["ra", "dec"], 3 * u.arcsec, coco=5 * 0.396 * u.arcsec)
    assert on_sky.coco == pytest.approx(in_pixels.coco)
    # The box that is exact has an IoU of 1 but for rounding on the sky.
    assert on_sky.f1_coco == pytest.approx(in_pixels.f1_coco, abs=2e-3)
    assert 0 < on_sky.average_recall < 1
    found.meta.clear()
    if not rotation:
        alone = evaluate(found, truth["ra", "dec"], 3 * u.arcsec, coco=5 * 0.396 * u.arcsec)
        assert alone.coco == pytest.approx(in_pixels.coco)


def test_each_field_has_the_truth_in_it(make_wcs):
    # Two images of the same sky, and one of another: an object is looked for in each.
    boxes = [square(20, 30), square(60, 50)]
    here, there = make_wcs(), make_wcs(ra=20.0)
    tables = [detections(wcs, boxes, [0.9, 0.8]) for wcs in (here, here, there)]
    found = Table(np.concatenate([table.as_array() for table in tables]))
    found["field"] = np.repeat(["a", "b", "c"], 2)
    for name in ("width", "height"):
        found[name].unit = u.arcsec
    footprints = {name: {"footprint_deg": corners(here)} for name in "ab"}
    found.meta["fields"] = footprints | {"c": {"footprint_deg": corners(there)}}
    truth = Table({"ra": found["ra"][[0, 1, 4, 5]], "dec": found["dec"][[0, 1, 4, 5]]})
    result = evaluate(found, truth, 1 * u.arcsec, coco=1.98 * u.arcsec)
    assert result.coco["AP"] == pytest.approx(1)
    # On the sky the second image has nothing new.
    assert (result.at(0)["tp"], result.at(0)["fp"]) == (4, 2)


def in_fields(found_fields=None, truth_fields=None):
    """The same two boxes in both tables, in images of these names."""
    boxes = dict(
        zip(
            ("x_min", "y_min", "x_max", "y_max"), np.transpose([square(0), square(50)]), strict=True
        )
    )
    tables = [Table({"ra": [1.0, 1.1], "dec": [0.0, 0.0], **boxes}) for _ in range(2)]
    tables[0]["score"] = [0.9, 0.8]
    for table, fields in zip(tables, (found_fields, truth_fields), strict=True):
        if fields:
            table["field"] = list(fields)
    return tables


def test_fields_of_both_tables_correspond():
    for fields in (None, "ab"):
        result = evaluate(*in_fields(fields, fields), 1 * u.arcsec, coco=True)
        assert result.coco["AP"] == pytest.approx(1)
    found, truth = in_fields("ab", "bc")
    assert evaluate(found, truth, 1 * u.arcsec, coco=True).coco["AP"] == 0
    assert np.isnan(evaluate(found, truth[:0], 1 * u.arcsec, coco=True).coco["AP"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("ab", None), "the found table has a column 'field' and the truth table has none"),
        ((None, "ab"), "the truth table has a column 'field' and the found table has none"),
        (("ab", "cd"), "'field' of found and truth must have names in common, got a, .* and c"),
    ],
)
def test_fields_that_do_not_correspond(fields, message):
    found, truth = in_fields(*fields)
    with pytest.raises(InputError, match=message):
        evaluate(found, truth, 1 * u.arcsec, coco=True)


def test_fields_that_have_no_footprint(make_wcs):
    found, truth = in_fields("ab")
    found["width"] = found["height"] = 10 * u.arcsec
    frame = {"footprint_deg": corners(make_wcs(ra=1.0, dec=0.0, scale=20))}
    found.meta["fields"] = {"one": frame, "two": frame}
    with pytest.raises(InputError, match=r"must name fields of found.meta.*'one'; got 'a'"):
        evaluate(found, truth["ra", "dec"], 1 * u.arcsec, coco=5 * u.arcsec)


def test_boxes_need_images_or_a_small_field():
    found = Table({"ra": [1.0, 90], "dec": [0.0, 0], "score": [0.5, 0.5]})
    found["width"] = found["height"] = 10 * u.arcsec
    with pytest.raises(InputError, match="coco needs images: found.meta has no footprint_deg"):
        evaluate(found, found["ra", "dec"], 1 * u.arcsec, coco=5 * u.arcsec)
    found.remove_column("width")
    with pytest.raises(InputError, match="width"):
        evaluate(found[:1], found["ra", "dec"][:1], 1 * u.arcsec, coco=5 * u.arcsec)
    found["width"] = 10 * u.Jy
    with pytest.raises(InputError, match="column 'width' of the found table must be an angle"):
        evaluate(found[:1], found["ra", "dec"][:1], 1 * u.arcsec, coco=5 * u.arcsec)
