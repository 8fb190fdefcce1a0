import dataclasses
import math
import os
import signal

import numpy as np
import pytest
import torch
from training_fixture import TINY

from astro_objdet.detectors import TrainingSettings
from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.precision import Precision, keep_boxes_single
from astro_objdet.engine.training import Recorder, Rhythm, Training, train
from astro_objdet.engine.training.assessing import assess
from astro_objdet.engine.training.distributed import Processes
from astro_objdet.engine.training.optim import WeightAverage, rate_and_momentum
from astro_objdet.errors import InputError, ModelError, ResourceError

CPU = Precision(torch.device("cpu"))


class Squares(torch.utils.data.Dataset):
    """One bright square per 96 px image, at a place that depends on the index."""

    def __init__(self, length=1000):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        rng = np.random.default_rng([3, index])
        x, y = rng.integers(4, 60, 2)
        image = rng.uniform(0, 0.2, (3, 96, 96)).astype(np.float32)
        image[:, y : y + 32, x : x + 32] += 0.7
        box = torch.tensor([[x, y, x + 32, y + 32]], dtype=torch.float32)
        return torch.from_numpy(image), {"boxes": box, "labels": torch.ones(1, dtype=torch.int64)}


class Notes(Recorder):
    """Remembers what it is told."""

    def __init__(self):
        self.rows, self.evaluations, self.notices, self.saved, self.bests = [], [], [], [], []

    def row(self, row):
        self.rows.append(row)

    def evaluation(self, step, rows):
        self.evaluations.append((step, rows))

    def best(self, state, step, row):
        self.bests.append((step, {k: v.clone() for k, v in state.items()}))

    def save(self, tensors, facts):
        self.saved.append(({k: v.clone() for k, v in tensors.items()}, facts))

    def notice(self, text):
        self.notices.append(text)


def settings(**changes):
    values = {"learning_rate": 2e-3, "batch_size": 2, "steps": 4} | changes
    return TrainingSettings(**values)


def tiny_model(seed=0):
    torch.manual_seed(seed)
    return build_model(TINY)


def fitted(*, images=(), rhythm=None, workers=0, model=None, **changes):
    """A training that went to its end, and what it said."""
    notes = Notes()
    training = Training(
        model or tiny_model(),
        Squares(),
        settings(**changes),
        images=images,
        rhythm=rhythm or Rhythm(1, 2, 2),
        recorder=notes,
        workers=workers,
    )
    assert training.run()
    return training, notes


def weights_of(training):
    return training.model.state_dict()


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_losses_fall_and_weights_repeat():
    training, notes = fitted(steps=14, rhythm=Rhythm(7, 14, 14))
    first, last = notes.rows
    assert last["train_total"] < 0.8 * first["train_total"]
    assert not training.model.training
    again, _ = fitted(steps=14, workers=1, rhythm=Rhythm(3, 7, 7))
    assert_same(weights_of(training), weights_of(again))


def test_plain_function_logs_lines_and_leaves_the_generator_alone():
    lines = []
    model = tiny_model()
    before = torch.get_rng_state()
    assert train(model, Squares(), settings(steps=4), workers=0, log=lines.append, every=2) is model
    assert torch.equal(torch.get_rng_state(), before)
    assert [line.split()[:2] for line in lines] == [["step", "2/4"], ["step", "4/4"]]
    words = lines[0].split()[4::2]
    names = ["total", "rpn_objectness", "rpn_box", "dn_classification", "dn_box"]
    assert words == [*names, "dn_estimates"]


def test_a_dataset_shorter_than_the_run_begins_again():
    seen = []

    class Few(Squares):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    train(tiny_model(), Few(3), settings(steps=3), workers=0, log=lambda line: None)
    assert seen == [0, 1, 2, 0, 1, 2]
    with pytest.raises(InputError, match="there is no image to train on"):
        train(tiny_model(), Few(0), settings(), workers=0)


def test_log_has_the_columns_of_table_a1():
    images = [Squares()[number] for number in range(500, 503)]
    training, notes = fitted(images=images, steps=3, rhythm=Rhythm(2, 3, 3))
    assert [row["step"] for row in notes.rows] == [2, 3]
    names = ("total", "rpn_objectness", "rpn_box", "dn_classification", "dn_box", "dn_estimates")
    row = notes.rows[-1]
    for side in ("train", "test"):
        values = [row[f"{side}_{name}"] for name in names]
        assert values[0] == pytest.approx(sum(values[1:]))
    assert "test_total" not in notes.rows[0]
    assert row["images_per_second"] > 0
    ((step, rows),) = notes.evaluations
    assert step == 3
    assert training.evaluation["scores"] in rows


def test_evaluation_uses_the_losses_and_boxes_of_the_model():
    """The one pass through the backbone gives what two passes of torchvision give."""
    model = tiny_model().train()
    images = [Squares()[number] for number in range(2)]
    losses, (one, other) = assess(
        model, images, [0, 1], seed=0, precision=CPU, processes=Processes()
    )
    assert model.training
    names = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"}
    assert set(losses) == {*names, "loss_estimates"}
    model.eval()
    with torch.no_grad():
        expected = model([image for image, _ in images])
    for result, output in zip((one, other), expected, strict=True):
        np.testing.assert_allclose(result.boxes, output["boxes"].numpy(), atol=1e-4)
        np.testing.assert_allclose(result.scores, output["scores"].numpy(), atol=1e-6)
    again, _ = assess(model, images, [0, 1], seed=0, precision=CPU, processes=Processes())
    assert again == losses


@pytest.mark.parametrize("stages", [-1, 2])
def test_frozen_stages_keep_their_weights(stages):
    model = tiny_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    changes = {"optimizer": "sgd", "schedule": "constant", "weight_decay": 0.01}
    fitted(model=model, steps=2, freeze_stages=stages, **changes)
    stem = ("backbone.body.conv_stem", "backbone.body.blocks.1")
    frozen = "backbone.body" if stages < 0 else stem
    for name, value in model.state_dict().items():
        if name.startswith(frozen):
            assert torch.equal(before[name], value), name
    assert not torch.equal(before["rpn.head.conv.0.0.weight"], model.rpn.head.conv[0][0].weight)
    if stages > 0:
        assert not torch.equal(
            before["backbone.body.blocks.4.0.conv_pw.weight"],
            model.backbone.body.blocks[4][0].conv_pw.weight,
        )


def test_more_frozen_stages_than_there_are():
    with pytest.raises(InputError, match=r"freeze_stages \(--freeze\) must be at most 5 .*got 12"):
        fitted(freeze_stages=12)


def test_loss_that_is_not_finite_stops_and_names_the_images():
    model = tiny_model()
    with torch.no_grad():
        model.rpn.head.cls_logits.bias.fill_(float("nan"))
    training = Training(
        model, Squares(), settings(), workers=0, describe="field_{}".format, recorder=Notes()
    )
    with pytest.raises(
        ModelError, match=r"not finite at step 1 \(.*objectness nan.*images: field_0, field_1\."
    ):
        training.run()
    assert training.recorder.saved == []


def test_gradient_that_is_not_finite_stops_before_it_reaches_the_weights():
    model = tiny_model()
    weight = model.rpn.head.cls_logits.weight
    weight.register_hook(lambda gradient: torch.full_like(gradient, float("inf")))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training = Training(model, Squares(), settings(), workers=0, describe="field_{}".format)
    with pytest.raises(ModelError, match="gradient is not finite at step 1; images: field_0"):
        training.run()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class Hungry(torch.nn.Module):
    """Has one weight, and memory for so many images."""

    def __init__(self, room, error):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.room, self.error, self.sizes = room, error, []

    def forward(self, images, targets):
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise self.error
        means = torch.stack([image.mean() for image in images])
        return {"loss": ((self.weight.sum() * means) ** 2).mean()}


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: type(e).__name__)
def test_out_of_memory_halves_the_batch_and_adds_up_gradients(error):
    hungry, roomy = Hungry(2, error), Hungry(100, error)
    changes = {"batch_size": 5, "steps": 2, "optimizer": "sgd", "schedule": "constant"}
    _, notes = fitted(model=hungry, **changes)
    _, quiet = fitted(model=roomy, **changes)
    assert hungry.sizes == [5, 3, 2, 2, 1, 2, 2, 1]
    assert roomy.sizes == [5, 5]
    assert len(notes.notices) == 2
    assert "memory ran out at step 1: from here 2 images go through" in notes.notices[1]
    assert quiet.notices == []
    torch.testing.assert_close(hungry.weight, roomy.weight)
    assert notes.rows[0]["train_total"] == pytest.approx(quiet.rows[0]["train_total"], rel=1e-5)
    assert notes.saved[-1][1]["piece"] == 2


def test_out_of_memory_with_one_image():
    error = RuntimeError("can't allocate memory")
    with pytest.raises(ResourceError, match="ran out of memory at step 1 with a single image"):
        fitted(model=Hungry(0, error), batch_size=2)


def test_other_errors_of_the_model_are_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="shapes differ"):
        fitted(model=Hungry(0, RuntimeError("shapes differ")))


@pytest.mark.parametrize("steps", [1, 2, 3, 11, 37])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_one_cycle_is_that_of_torch(steps, optimizer):
    ours = settings(steps=steps, optimizer=optimizer, schedule="one-cycle")
    weight = torch.nn.Parameter(torch.ones(1))
    made = torch.optim.SGD if optimizer == "sgd" else torch.optim.AdamW
    options = {"momentum": 0.9} if optimizer == "sgd" else {}
    reference = made([weight], lr=1.0, **options)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        reference, max_lr=ours.learning_rate, total_steps=steps, pct_start=0.1
    )
    for step in range(1, steps + 1):
        rate, momentum = rate_and_momentum(ours, step)
        (group,) = reference.param_groups
        expected = group["momentum"] if optimizer == "sgd" else group["betas"][0]
        assert rate == pytest.approx(group["lr"], rel=1e-9)
        assert momentum == pytest.approx(expected, rel=1e-9)
        reference.step()
        if step < steps:
            schedule.step()


def test_constant_and_cosine():
    flat = settings(schedule="constant", steps=9)
    assert {rate_and_momentum(flat, step) for step in range(1, 10)} == {(2e-3, None)}
    falling = settings(schedule="cosine", steps=4)
    rates = [rate_and_momentum(falling, step)[0] for step in (1, 3)]
    assert rates == pytest.approx([2e-3, 1e-3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "adagrad"}, "optimizer must be one of 'adamw', 'sgd'"),
        ({"schedule": "steps"}, "schedule must be one of 'constant', 'cosine', 'one-cycle'"),
        ({"learning_rate": -1}, "learning_rate must be a finite number above 0"),
        ({"batch_size": 0}, "batch_size must be an integer from 1, got 0"),
        ({"freeze_stages": -2}, "freeze_stages must be an integer from -1"),
        ({"ema": 1.0}, "ema must be below 1"),
        ({"ema": math.nan}, "ema must be a number from 0 to 1"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(TrainingSettings(), **changes)


def test_average_of_weights():
    weight = torch.nn.Parameter(torch.zeros(3))
    average = WeightAverage([weight], 0.5)
    expected = torch.zeros(3)
    for step in range(1, 9):
        weight.data.fill_(float(step))
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        average.update(step)
    torch.testing.assert_close(average.values[0], expected)
    with average.in_place():
        torch.testing.assert_close(weight.data, expected)
    assert weight.data.tolist() == [8, 8, 8]


def test_average_is_evaluated_and_kept():
    images = [Squares()[number] for number in range(500, 502)]
    averaged, notes = fitted(images=images, steps=4, ema=0.9)
    plain, _ = fitted(steps=4)
    key = "rpn.head.conv.0.0.weight"
    assert not torch.equal(weights_of(averaged)[key], weights_of(plain)[key])
    # it follows the same path, and saves both
    saved, facts = notes.saved[-1]
    assert facts["step"] == 4
    torch.testing.assert_close(saved[f"model.{key}"], weights_of(plain)[key])
    numbers = [k for k, w in enumerate(averaged.model.parameters()) if w.requires_grad]
    assert len([name for name in saved if name.startswith("average.")]) == len(numbers)
    again, _ = fitted(images=images, steps=4, ema=0.9)
    assert_same(weights_of(averaged), weights_of(again))


def test_boxes_stay_in_single_precision():
    """In bfloat16 the next number after 512 is 516."""
    model = keep_boxes_single(keep_boxes_single(tiny_model())).eval()
    assert len(model.rpn.head._forward_hooks) == 1
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        (found,) = model([torch.rand(3, 96, 96)])
        assert found["boxes"].dtype == torch.float32
        features = model.backbone(torch.rand(1, 3, 96, 96))
        assert features["0"].dtype == torch.bfloat16
        maps = [value for name, value in features.items() if name != "image"]
        objectness, deltas = model.rpn.head(maps)
    assert {value.dtype for value in (*objectness, *deltas)} == {torch.float32}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_step_end_and_keeps_it(number):
    class Interrupting(Notes):
        def at(self, step, steps):
            if step == 2:
                os.kill(os.getpid(), number)

    notes = Interrupting()
    before = signal.getsignal(number)
    rhythm = Rhythm(10, 10, 10)
    training = Training(
        tiny_model(), Squares(), settings(steps=6), workers=0, rhythm=rhythm, recorder=notes
    )
    assert not training.run()
    assert training.step == 2
    assert [facts["step"] for _, facts in notes.saved] == [2]
    assert signal.getsignal(number) == before


def test_workers_leave_signals_to_the_parent(tmp_path):
    """A dataset's error in a worker comes as it was raised, in one line."""

    class Broken(Squares):
        def __getitem__(self, index):
            raise InputError("is truncated: its last images are missing", "archive.h5")

    with pytest.raises(InputError) as caught:
        train(tiny_model(), Broken(), settings(), workers=1)
    assert str(caught.value) == "archive.h5: is truncated: its last images are missing"


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
        ),
    ],
)
def test_mixed_precision(device, monkeypatch):
    """Convolutions in half the bits; weights, losses and boxes stay in single precision."""
    seen = []

    class Half(Precision):
        def __init__(self, device):
            super().__init__(device)
            self.dtype = torch.bfloat16 if device.type == "cpu" else self.dtype

    monkeypatch.setattr("astro_objdet.engine.training.loop.Precision", Half)
    model = tiny_model()
    model.rpn.head.conv[0][0].register_forward_hook(lambda *call: seen.append(call[2].dtype))
    notes = Notes()
    rhythm = Rhythm(7, 100, 100)
    training = Training(
        model, Squares(), settings(steps=14), rhythm=rhythm, recorder=notes, workers=0,
        device=device,
    )  # fmt: skip
    assert training.run()
    assert {*seen} <= {torch.bfloat16, torch.float16}
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert notes.rows[1]["train_total"] < 0.9 * notes.rows[0]["train_total"]
    with torch.inference_mode(), training.precision.context():
        (found,) = model([Squares()[0][0].to(device)])
    assert found["boxes"].dtype == torch.float32
