"""A tiny recipe and archive to train on, and a program that trains in a process of its own."""

import argparse
import dataclasses
import sys

import numpy as np

from astro_objdet.detectors.deepcee import BUNDLED

SIDE = 96
#: A model that takes some 30 ms a step, for squares of 32 px.
TINY = BUNDLED.replace(
    name="deepcee-tiny",
    backbone="test_efficientnet",
    tile=96,
    overlap=32,
    neck_channels=16,
    head_width=16,
    anchor_sizes=((24.0, 32.0), (48.0, 64.0)),
    proposals=40,
    training=dataclasses.replace(
        BUNDLED.training,
        learning_rate=2e-3,
        steps=6,
        view=0,
        augmentation="turn",
        freeze_stages=3,
    ),
)
#: What the tests train with.
OPTIONS = {
    "recipe": TINY,
    "init": "none",
    "workers": 0,
    "device": "cpu",
    "log_every": 1,
    "evaluate_every": 3,
    "checkpoint_every": 2,
}


def make_square(number):
    """A noisy image (3, y, x) with a bright square, and the square's place."""
    rng = np.random.default_rng([11, number])
    x, y = rng.integers(4, SIDE - 36, 2)
    image = rng.normal(0, 0.1, (3, SIDE, SIDE)).astype(np.float32)
    image[:, y : y + 32, x : x + 32] += 3
    return image, (int(x), int(y))


def write_archive(path, n_train=6, n_test=3, *, redshift=0.2, splits=("train", "test"), empty=()):
    """An archive of squares, each a target at one redshift but for those of ``empty`` splits."""
    from astro_objdet.skies.archive import ArchiveWriter

    with ArchiveWriter(
        path,
        bands=("g", "r", "i"),
        pixel_scale=BUNDLED.pixel_scale,
        shape=(SIDE, SIDE),
        dtype="float32",
    ) as archive:
        for number in range(n_train + n_test):
            image, (x, y) = make_square(number)
            split = splits[number >= n_train]
            box = {"x1": x, "y1": y, "x2": x + 32, "y2": y + 32, "redshift": redshift}
            box["role"] = "ignored" if split in empty else "target"
            archive.append(image, [box], field=f"square_{number}", split=split)
    return path


def main():
    """Train as a program, which may send itself a signal after a step."""
    import os

    import torch

    from astro_objdet import trainings

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("output")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--signal", type=int, default=9)
    parser.add_argument("--at", type=int, default=0, help="step after which the signal comes")
    parser.add_argument("--workers", type=int, default=0)
    args = parser.parse_args()

    class Killer(trainings.Listener):
        def at(self, step, steps):
            if step == args.at:
                os.kill(os.getpid(), args.signal)

        def notice(self, text):
            print("notice:", text)

    options = {} if args.resume else OPTIONS
    options = options | {"workers": args.workers, "device": "cpu"}
    report = trainings.train(
        data=args.data, output=args.output, resume=args.resume, listener=Killer(), **options
    )
    sys.exit(report.exit_code)


if __name__ == "__main__":
    main()
