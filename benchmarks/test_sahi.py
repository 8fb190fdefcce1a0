"""The same weights through sahi's sliced prediction, which a user would take instead."""

import statistics

import numpy as np
import pytest
import torch

from astro_objdet.engine.convert import fit_state
from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.weights import load_state
from astro_objdet.images import TileGrid, read_bands, stretch_from_dict

pytestmark = pytest.mark.benchmark(group="sahi")
ROUNDS = 7
#: Objects of a higher score do not hang on where the tiles lie.
SURE = 0.85


@pytest.fixture(scope="module")
def sahi_model(detector, weights):
    """The weights in torchvision's own model, as sahi takes it."""
    sahi = pytest.importorskip("sahi", reason="compares with sahi")
    state, _, _ = load_state(weights)
    return sahi.AutoDetectionModel.from_pretrained(
        "torchvision",
        model=fit_state(build_model(detector.recipe), state, weights),
        category_mapping={"1": "cluster"},
        confidence_threshold=detector.recipe.score_threshold,
        device="cpu",
    )


@pytest.fixture
def picture(detector, field):
    """The field stretched, (y, x, channel) in 0-1, at the recipe's pixel scale."""
    recipe = detector.recipe
    stack = read_bands(field.image).select(recipe.bands)
    stretch = stretch_from_dict(recipe.stretch)
    grid = TileGrid(stack, recipe.pixel_scale, max(field.grid_shape), 0, stretch)
    (tile,) = grid.tiles
    return np.ascontiguousarray(grid.read(tile).transpose(1, 2, 0)), grid


@pytest.fixture
def sliced(sahi_model, picture, detector):
    """sahi on the picture with the recipe's tiles; everything else as sahi has it."""
    from sahi.predict import get_sliced_prediction

    recipe = detector.recipe
    ratio = recipe.overlap / recipe.tile

    def predict(**options):
        return get_sliced_prediction(
            picture[0],
            sahi_model,
            slice_height=recipe.tile,
            slice_width=recipe.tile,
            overlap_height_ratio=ratio,
            overlap_width_ratio=ratio,
            verbose=0,
            **options,
        )

    return predict


def _lean(predict, **options):
    """What a user who knows sahi and torch well would add."""
    with torch.inference_mode():
        return predict(perform_standard_pred=False, **options)


def test_sahi_takes_longer(benchmark, detector, field, sliced, stopwatch, report):
    rivals = {
        "as it comes": stopwatch(sliced),
        "without standard prediction": stopwatch(lambda: sliced(perform_standard_pred=False)),
        "without that and gradients": stopwatch(lambda: _lean(sliced)),
    }

    def others():
        # taken in turn with ours, so that a change of the machine's pace meets all of them
        for run, _ in rivals.values():
            run()

    benchmark.pedantic(
        lambda: detector.detect(field.image), setup=others, rounds=ROUNDS, warmup_rounds=1
    )
    own = benchmark.stats.stats.data
    ratios = {}
    for name, (_, seconds) in rivals.items():
        each = [a / b for a, b in zip(seconds[-ROUNDS:], own, strict=True)]
        ratios[name] = statistics.median(each)
        report(
            f"sahi {name}, grid {field.grid_shape[1]} px: times as long",
            ">= 1.3" if name == "as it comes" else "",
            f"{ratios[name]:.2f} ({min(each):.2f} to {max(each):.2f}), "
            f"{statistics.median(seconds[-ROUNDS:]):.2f} s to {statistics.median(own):.2f} s",
        )
    assert ratios["as it comes"] >= 1.3


def test_sahi_finds_the_same(detector, field, sliced, picture, report):
    """Sure objects of the one are objects of the other.

    Boxes are merged by the recipe's rule: sahi's own unites neighbours. Tiles lie
    differently, so objects at the threshold may differ; and sahi takes objects also from
    slices that end beside them, where a cluster's surroundings are not seen.
    """
    ours = detector.detect(field.image)
    result = _lean(
        sliced,
        postprocess_type="NMS",
        postprocess_match_metric="IOU",
        postprocess_match_threshold=detector.recipe.box_nms,
    )
    mine, theirs = ours.boxes, [p.bbox.to_xyxy() for p in result.object_prediction_list]
    cut = _cut_by_a_slice(np.reshape(theirs, (-1, 4)), picture[0].shape[:2], detector.recipe)
    theirs = picture[1].to_image_pixels(np.reshape(theirs, (-1, 4)))
    scores = np.array([p.score.value for p in result.object_prediction_list])
    near = _near(mine, theirs)
    report(
        f"objects on grid {field.grid_shape[1]} px: ours, sahi's, both",
        "",
        f"{len(mine)}, {len(theirs)}, {near.any(axis=1).sum()}",
    )
    sure_of_ours, sure_of_theirs = np.array(ours["score"]) > SURE, scores > SURE
    assert sure_of_ours.any()
    assert near.any(axis=1)[sure_of_ours].all()
    assert near.any(axis=0)[sure_of_theirs & ~cut].all()


def _cut_by_a_slice(boxes, shape, recipe):
    """Whether an inner edge of a slice that holds its centre goes through a box."""
    from sahi.slicing import get_slice_bboxes

    ratio, (height, width) = recipe.overlap / recipe.tile, shape
    slices = get_slice_bboxes(
        height, width, recipe.tile, recipe.tile, overlap_height_ratio=ratio,
        overlap_width_ratio=ratio,
    )  # fmt: skip
    x, y = _centres(boxes).T
    cut = np.zeros(len(boxes), bool)
    for x0, y0, x1, y1 in slices:
        inside = (x > x0) & (x < x1) & (y > y0) & (y < y1)
        beyond = (boxes[:, 0] < x0) & (x0 > 0) | (boxes[:, 2] > x1) & (x1 < width)
        beyond |= (boxes[:, 1] < y0) & (y0 > 0) | (boxes[:, 3] > y1) & (y1 < height)
        cut |= inside & beyond
    return cut


def _near(boxes, others):
    """Whether centres lie within a quarter of a box, for each pair."""
    apart = np.linalg.norm(_centres(boxes)[:, None] - _centres(others), axis=-1)
    return apart < 0.25 * (boxes[:, 2] - boxes[:, 0])[:, None]


def _centres(boxes):
    return (boxes[:, :2] + boxes[:, 2:]) / 2
