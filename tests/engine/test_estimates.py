"""Properties that the detection network estimates beside class and box."""

import numpy as np
import pytest
import torch
from training_fixture import TINY

from astro_objdet.detectors import TrainingSettings
from astro_objdet.detectors.base import get_detector_class
from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.inference import predict_tiles
from astro_objdet.engine.training import train

RECIPE = TINY.replace(estimates=("brightness", "size"), head_width=32)


class Squares(torch.utils.data.Dataset):
    """A square whose brightness is known, and a small one of which nothing is."""

    def __len__(self):
        return 10_000

    def __getitem__(self, index):
        rng = np.random.default_rng([7, index])
        bright = rng.uniform(0.2, 0.9)
        image = rng.uniform(0, 0.05, (3, 96, 96)).astype(np.float32)
        x, y = rng.integers(4, 60, 2)
        image[:, y : y + 32, x : x + 32] += np.float32(bright)
        box = torch.tensor([[x, y, x + 32, y + 32]], dtype=torch.float32)
        known = {"known": box, "properties": torch.tensor([[np.log(bright), np.nan]]).float()}
        target = {"boxes": box, "labels": torch.ones(1, dtype=torch.int64)}
        return torch.from_numpy(image), target | (known if index % 5 else {})


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    settings = TrainingSettings(learning_rate=3e-3, batch_size=2, steps=100)
    return train(build_model(RECIPE), Squares(), settings, workers=0, log=lambda line: None)


def test_brightness_is_learned(model):
    data = Squares()
    wanted, read = [], []
    for index in range(9001, 9041):
        image, target = data[index]
        with torch.no_grad():
            (out,) = model([image])
        assert out["estimates"].shape == (len(out["boxes"]), 2)
        if len(out["boxes"]) and "properties" in target:
            wanted.append(float(target["properties"][0, 0]))
            read.append(float(out["estimates"][0, 0]))
    assert len(read) > 20
    assert np.corrcoef(wanted, read)[0, 1] > 0.9
    assert np.abs(np.subtract(wanted, read)).mean() < 0.2


def test_what_is_not_known_teaches_nothing():
    torch.manual_seed(0)
    model = build_model(RECIPE).train()
    image, target = Squares()[1]
    sum(model([image], [target]).values()).backward()
    gradient = model.roi_heads.box_predictor.estimates.weight.grad
    assert gradient[0].abs().sum() > 0
    assert gradient[1].abs().sum() == 0
    image, target = Squares()[0]
    assert "known" not in target
    model.zero_grad()
    losses = model([image], [target])
    assert float(losses["loss_estimates"].detach()) == 0
    sum(losses.values()).backward()


def test_estimates_stay_with_their_boxes_over_tiles(array_grid):
    """Each box has the value of its own place, whatever tile it came from and was merged with."""

    class Telling(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            outputs = []
            for image in images:
                y, x = torch.nonzero(image[0] > 0.5, as_tuple=True)
                centre = torch.stack([x, y, x, y], 1) + 0.5
                values = image[:, y, x]
                outputs.append(
                    {
                        "boxes": centre + torch.tensor([-5.0, -5.0, 5.0, 5.0]),
                        "scores": values[0],
                        "labels": torch.ones(len(x), dtype=torch.int64),
                        "estimates": values[1:].T,
                    }
                )
            return outputs

    rng = np.random.default_rng(2)
    image = np.zeros((3, 120, 150), np.float32)
    places = [(10, 10), (55, 60), (64, 64), (100, 30), (140, 110), (58, 100)]
    for x, y in places:
        image[:, y, x] = rng.uniform(0.6, 1, 3)
    found = predict_tiles(Telling(), array_grid(image, 64, 16), threshold=0.1, nms=0.5)
    assert len(found.boxes) == len(places)
    for box, estimates in zip(found.boxes, found.estimates, strict=True):
        x, y = (int(v) for v in (box[:2] + box[2:]) / 2)
        np.testing.assert_allclose(estimates, image[1:, y, x], rtol=1e-6)


def test_estimates_are_columns_of_the_catalogue(model):
    detector = get_detector_class("deepcee")(RECIPE, model, card={"title": "t"})
    image = np.repeat(Squares()[9001][0].numpy()[:1] * 255, 3, axis=0).round().astype("uint8")
    options = {"pixel_only": True, "stretch": "identity", "bands": ("i", "r", "g")}
    found = detector.detect(image, threshold=0.05, **options)
    assert len(found)
    assert found.colnames[-2:] == ["brightness_est", "size_est"]
    bright = float(torch.exp(Squares()[9001][1]["properties"][0, 0]))
    assert found["brightness_est"][0] == pytest.approx(bright, rel=0.3)
    nothing = detector.detect(np.zeros_like(image), threshold=0.99, **options)
    assert len(nothing) == 0
    assert nothing.colnames == found.colnames
