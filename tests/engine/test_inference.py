import numpy as np
import pytest
import torch

from astro_objdet.engine.backbones import make_backbone
from astro_objdet.engine.folding import fold_norms, fold_norms_in_training
from astro_objdet.engine.inference import predict_tiles
from astro_objdet.errors import ResourceError


@pytest.fixture
def peaks():
    """A noisy 300 x 400 image with peaks at known places, some on seams."""
    rng = np.random.default_rng(5)
    image = rng.uniform(0, 0.3, (3, 300, 400)).astype(np.float32)
    # tiles of 128 with an overlap of 32: their cores meet at 112 px and beyond
    places = {(20, 30), (111, 60), (112, 111), (208, 208), (399, 0), (0, 299)}
    places |= {(333, 250), (95, 200), (140, 160), (272, 96), (287, 216)}
    for number, (x, y) in enumerate(sorted(places)):
        image[:, y, x] = 0.6 + 0.02 * number
    return image, places


def centres(boxes):
    return {(int(x), int(y)) for x, y in (boxes[:, :2] + boxes[:, 2:]) / 2}


def test_each_object_once_wherever_the_seams_fall(peaks, peak_model, array_grid):
    image, places = peaks
    for size, overlap in ((128, 32), (128, 64), (96, 40), (160, 48), (512, 0)):
        grid = array_grid(image, size, overlap)
        boxes, scores, labels, _ = predict_tiles(peak_model, grid, threshold=0.5, nms=0.5)
        assert centres(boxes) == places
        assert len(boxes) == len(places)
        assert set(labels) == {1}
        assert np.all(np.diff(scores) <= 0)


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_same_result_for_any_workers_and_batch(peaks, peak_model, array_grid, workers, batch_size):
    image, _ = peaks
    grid = array_grid(image, 128, 32)
    alone = predict_tiles(peak_model, grid, threshold=0.5, nms=0.5, workers=0)
    together = predict_tiles(
        peak_model, grid, threshold=0.5, nms=0.5, workers=workers, batch_size=batch_size
    )
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_tiles_that_disagree_about_a_seam_give_one_box(array_grid):
    image = np.random.default_rng(1).uniform(0, 1, (3, 64, 120)).astype(np.float32)
    grid = array_grid(image, 64, 8)
    seam = grid.tiles[0].core_x1

    class Disagreeing(torch.nn.Module):
        """Places the same object on this side of the seam and on that."""

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.x0 = iter([tile.x0 for tile in grid.tiles])

        def forward(self, images):
            x0 = next(self.x0)
            x = seam + (0.4 if x0 == 0 else -0.4) - x0
            box = torch.tensor([[x - 10, 20.0, x + 10, 40.0]])
            score = torch.tensor([0.9 if x0 == 0 else 0.8])
            return [{"boxes": box, "scores": score, "labels": torch.tensor([1])}]

    boxes, scores, *_ = predict_tiles(Disagreeing(), grid, threshold=0.5, nms=0.5)
    assert len(boxes) == 1
    assert scores[0] == pytest.approx(0.9)


def test_threshold_and_nothing_found(peaks, peak_model, array_grid):
    image, _ = peaks
    grid = array_grid(image, 128, 32)
    _, scores, *_ = predict_tiles(peak_model, grid, threshold=0.7, nms=0.5)
    assert scores.min() >= 0.7
    boxes, scores, labels, _ = predict_tiles(peak_model, grid, threshold=1.0, nms=0.5)
    assert boxes.shape == (0, 4)
    assert len(scores) == len(labels) == 0


def test_blank_tiles_are_not_run(peak_model, array_grid):
    image = np.zeros((3, 256, 256), dtype=np.float32)
    image[:, 10, 10] = 0.9
    steps = []
    predict_tiles(
        peak_model,
        array_grid(image, 128, 0),
        threshold=0.5,
        nms=0.5,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert peak_model.calls == [1]
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_out_of_memory_names_the_batch(array_grid):
    class Hungry(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            raise torch.OutOfMemoryError("too much")

    grid = array_grid(np.random.default_rng(1).random((3, 64, 64), dtype=np.float32), 64, 0)
    with pytest.raises(ResourceError, match="batch of 1 tiles; ask for a smaller batch_size"):
        predict_tiles(Hungry(), grid, threshold=0.5, nms=0.5)


def test_a_reader_that_fails_is_heard(peak_model, array_grid):
    grid = array_grid(np.ones((3, 64, 64), dtype=np.float32), 32, 0)

    def broken(tile):
        raise OSError("disk gone")

    grid.read = broken
    for workers in (0, 2):
        with pytest.raises(OSError, match="disk gone"):
            predict_tiles(peak_model, grid, threshold=0.5, nms=0.5, workers=workers)


def test_folded_norms_compute_the_same():
    torch.manual_seed(3)
    backbone = make_backbone("tf_efficientnet_lite0", (16, 32), 32).eval()
    for name, buffer in backbone.named_buffers():
        if name.endswith(("running_var", "weight")):
            buffer.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            buffer.normal_(0, 0.1)
    image = torch.rand(1, 3, 96, 64)
    with torch.no_grad():
        before = backbone(image)
        fold_norms(backbone, torch.zeros(1, 3, 64, 64))
        after = backbone(image)
    assert not any("Frozen" in type(m).__name__ for m in backbone.modules())
    for one, other in zip(before.values(), after.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_norms_folded_in_training_give_the_same_gradients():
    torch.manual_seed(3)
    backbone = make_backbone("tf_efficientnet_lite0", (16, 32), 32).eval()
    names = list(backbone.state_dict())
    image = torch.rand(1, 3, 96, 64)
    results = []
    for fold in (False, True):
        if fold:
            fold_norms_in_training(backbone, torch.zeros(1, 3, 64, 64))
        backbone.zero_grad()
        out = backbone(image)
        sum(part.square().mean() for part in out.values()).backward()
        stem = backbone.body.conv_stem.weight.grad.clone()
        results.append((out["1"].detach(), stem))
    (before, gradient), (after, folded) = results
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, folded, rtol=1e-3, atol=1e-3 * float(gradient.abs().max()))
    assert list(backbone.state_dict()) == names
