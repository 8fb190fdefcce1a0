"""What our training loop adds to the plain one, and what reading the archive adds to that."""

import itertools
import statistics
import time

import numpy as np
import pytest
import torch

from astro_objdet.detectors.deepcee import BUNDLED
from astro_objdet.engine.data import ArchiveViews
from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.training import Recorder, Rhythm, Training
from astro_objdet.engine.training.optim import freeze, make_optimizer
from astro_objdet.skies.rendering import render_archive
from astro_objdet.trainings import default_workers

pytestmark = pytest.mark.benchmark(group="training")
ROUNDS, WARM_UP, SIDE = 15, 2, 512


class InMemory(torch.utils.data.Dataset):
    """A few views, made before the clock starts."""

    def __init__(self, length, views=None):
        self.length = length
        self.items = _squares(4) if views is None else [views[k] for k in range(8)]

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.items[index % len(self.items)]


def _squares(number):
    """Views with a bright square each."""
    rng = np.random.default_rng(2)
    items = []
    for _ in range(number):
        x, y = rng.integers(0, SIDE - 180, 2)
        image = rng.uniform(0, 0.3, (3, SIDE, SIDE)).astype(np.float32)
        image[:, y : y + 180, x : x + 180] += 0.5
        box = torch.tensor([[x, y, x + 180, y + 180]], dtype=torch.float32)
        target = {"boxes": box, "labels": torch.ones(1, dtype=torch.int64)}
        items.append((torch.from_numpy(image), target))
    return items


def plain_steps(views):
    """The loop of torchvision's reference scripts, a step per ``next``."""
    torch.manual_seed(0)
    model = build_model(BUNDLED)
    freeze(model, BUNDLED.training.freeze_stages)
    model.backbone.to(memory_format=torch.channels_last)
    model.train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = make_optimizer(weights, BUNDLED.training)
    size = BUNDLED.training.batch_size
    for first in itertools.count(0, size):
        images, targets = zip(*(views[k] for k in range(first, first + size)), strict=True)
        losses = model(list(images), list(targets))
        total = sum(losses.values())
        if not np.isfinite(total.item()):
            raise ValueError("not finite")
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(weights, BUNDLED.training.clip_norm)
        optimizer.step()
        yield


def our_steps(views, workers=0):
    """Ours, stepwise; with everything that is done per step."""
    torch.manual_seed(0)
    training = Training(
        build_model(BUNDLED),
        views,
        BUNDLED.training,
        rhythm=Rhythm(50, 500, 500),
        recorder=Recorder(),
        workers=workers,
    )
    training.model.train()
    steps = training.batches.read(1, BUNDLED.training.steps, training.device, workers=workers)
    for step, images, targets in steps:
        training.take_step(step, images, targets)
        yield


def interleaved(*loops, rounds=ROUNDS):
    """Seconds of each loop's steps, taken in turn."""
    seconds = [[] for _ in loops]
    for number in range(rounds + WARM_UP):
        for loop, taken in zip(loops, seconds, strict=True):
            start = time.perf_counter()
            next(loop)
            if number >= WARM_UP:
                taken.append(time.perf_counter() - start)
    for loop in loops:
        loop.close()
    return seconds


def ratio_of(seconds, reference):
    """Median over the rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(seconds, reference, strict=True))


def test_step_against_the_plain_loop(benchmark, report):
    views = InMemory(10_000)

    def measure():
        return interleaved(our_steps(views), plain_steps(views))

    ours, plain = benchmark.pedantic(measure, rounds=1)
    ratio = ratio_of(ours, plain)
    report(
        "training step, 2 images of 512 px, against the plain torchvision loop",
        "<= 1.05",
        f"{ratio:.3f} ({statistics.median(ours):.2f} s and {statistics.median(plain):.2f} s)",
    )
    assert ratio <= 1.05


@pytest.fixture
def sky(tmp_path):
    """A few rendered fields as the bundled weights are trained on."""
    pytest.importorskip("galsim")
    more = {"area": 0.4, "seed": 5, "noise": False, "parts": ("train",), "cluster_odds": (0, 1)}
    return render_archive(tmp_path / "archive.h5", "sdss", recipe=BUNDLED, **more).path


def test_reading_the_archive_against_memory(benchmark, report, sky):
    """The same views, clusters drawn into them and all, with the pixels of the fields in memory."""
    views, held = (ArchiveViews(sky, BUNDLED, length=10_000, seed=1) for _ in range(2))
    pixels = {row: held.archive.image(row) for row in held.rows}
    held.archive.image = pixels.__getitem__
    # views as they come, made in no time
    made = InMemory(10_000, views)
    workers = default_workers("cpu")

    def measure():
        return interleaved(our_steps(views, workers), our_steps(held, workers), our_steps(made))

    read, memory, made = benchmark.pedantic(measure, rounds=1)
    speed = 1 / ratio_of(read, memory)
    report(
        "speed of a training step that reads the archive, against its pixels in memory",
        ">= 0.95",
        f"{speed:.3f} ({statistics.median(read):.2f} s and {statistics.median(memory):.2f} s)",
    )
    report(
        "the same, against views that are made beforehand",
        "-",
        f"{1 / ratio_of(read, made):.3f} ({statistics.median(made):.2f} s)",
    )
    assert speed >= 0.95
