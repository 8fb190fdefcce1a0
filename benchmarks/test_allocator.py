"""What it costs to give memory back after each layer of a model, and to ask for it again."""

import os
import platform
import statistics
import subprocess
import sys

import pytest
import torch

from astro_objdet.allocator import OWN_SETTINGS

pytestmark = [
    pytest.mark.benchmark(group="allocator"),
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are those of glibc"),
]
PAIRS = 5

# Detections in a process of its own, as `astro-objdet detect` and as a script: seconds of each.
DETECT = """
import sys, time
import numpy as np, torch
from astropy import units as u
from astro_objdet.allocator import keep_memory
if sys.argv[2] == "keep":
    assert keep_memory()
from astro_objdet import Detector
torch.set_num_threads(int(sys.argv[3]))
detector = Detector.from_pretrained(sys.argv[1], device="cpu")
sky = np.random.default_rng(0).normal(0, 0.05, (3, 2000, 2000)).astype("f4") * u.nmgy
for _ in range(4):
    start = time.perf_counter()
    detector.detect(sky, bands=detector.recipe.bands, pixel_only=True)
    print(time.perf_counter() - start)
"""


def seconds(weights, how):
    env = {name: v for name, v in os.environ.items() if not name.startswith(OWN_SETTINGS)}
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        DETECT,
        weights,
        how,
        str(torch.get_num_threads()),
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return statistics.median(float(line) for line in done.stdout.split()[1:])


def test_memory_that_is_kept(weights, report):
    pairs = [(seconds(weights, "give back"), seconds(weights, "keep")) for _ in range(PAIRS)]
    ratios = [given / kept for given, kept in pairs]
    report(
        "2000 x 2000 px at the recipe's scale: memory given back, over keep_memory",
        "> 1",
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"{statistics.median(kept for _, kept in pairs):.2f} s",
    )
    assert statistics.median(ratios) > 1
