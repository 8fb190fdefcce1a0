import dataclasses

import numpy as np
import pytest
import torch

from astro_objdet.detectors import TrainingSettings, get_recipe
from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.training import train
from astro_objdet.errors import InputError, ModelError


class Squares(torch.utils.data.Dataset):
    """One bright square per 96 px image, at a place that depends on the index."""

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        rng = np.random.default_rng([3, index])
        x, y = rng.integers(4, 52, 2)
        image = rng.uniform(0, 0.2, (3, 96, 96)).astype(np.float32)
        image[:, y : y + 40, x : x + 40] += 0.7
        box = torch.tensor([[x, y, x + 40, y + 40]], dtype=torch.float32)
        return torch.from_numpy(image), {"boxes": box, "labels": torch.ones(1, dtype=torch.int64)}


@pytest.fixture
def recipe():
    return get_recipe("deepcee-lite0").replace(
        head_width=16, neck_channels=16, anchor_sizes=((32.0, 40.0), (56.0, 80.0))
    )


def fitted(recipe, steps, **changes):
    settings = TrainingSettings(learning_rate=2e-3, batch_size=2, steps=steps, **changes)
    torch.manual_seed(0)
    lines = []
    model = build_model(recipe)
    train(model, Squares(), settings, workers=0, log=lines.append, every=5)
    return model, lines


def test_losses_fall_and_weights_repeat(recipe):
    model, lines = fitted(recipe, 20)
    totals = [sum(float(value) for value in line.split()[5::2]) for line in lines]
    assert len(lines) == 4
    assert totals[-1] < 0.8 * totals[0]
    again, _ = fitted(recipe, 20)
    for one, other in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_frozen_backbone_keeps_its_weights(recipe):
    torch.manual_seed(0)
    before = build_model(recipe).state_dict()
    model, _ = fitted(recipe, 2, freeze_stages=-1, optimizer="sgd", schedule="constant")
    after = model.state_dict()
    for name in before:
        same = torch.equal(before[name], after[name])
        if name.startswith("backbone.body"):
            assert same, name
    assert not torch.equal(before["rpn.head.conv.0.0.weight"], after["rpn.head.conv.0.0.weight"])


def test_loss_that_is_not_finite_stops(recipe):
    model = build_model(recipe)
    with torch.no_grad():
        model.rpn.head.cls_logits.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="loss is not finite at step 1"):
        train(model, Squares(), TrainingSettings(steps=2), workers=0)


def test_unknown_settings(recipe):
    settings = dataclasses.replace(TrainingSettings(steps=1), optimizer="adagrad")
    with pytest.raises(InputError, match="optimizer must be one of 'adamw', 'sgd'"):
        train(build_model(recipe), Squares(), settings, workers=0)
