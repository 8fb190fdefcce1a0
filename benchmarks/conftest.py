"""What the benchmarks share: a detector, rendered fields, and a table of what was reached."""

import importlib.metadata
import math
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.nddata import CCDData

from astro_objdet import Detector
from astro_objdet.skies.simulate import SURVEYS, render_field

#: Threads of torch: the cores there are, at most as many as the machine of docs/performance.rst.
THREADS = min(2, os.cpu_count() or 1)
_ROWS = []


def pytest_addoption(parser):
    parser.addoption(
        "--weights",
        default="deepcee",
        help="bundled name or path of the weights to measure with (deepcee)",
    )


def pytest_terminal_summary(terminalreporter):
    """Print the machine and the table that docs/performance.rst holds."""
    if not _ROWS:
        return
    write = terminalreporter.write_line
    terminalreporter.section("targets")
    write(_machine())
    widths = [max(len(row[i]) for row in _ROWS) for i in range(3)]
    for row in _ROWS:
        write("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)))


def _machine():
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [s.split(":")[1] for s in info.read_text().splitlines() if "model name" in s]
        model = names[0].strip() if names else model
    versions = (
        f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision", "numpy")
    )
    return (
        f"{os.cpu_count()} cores, {model} ({platform.machine()}), {THREADS} threads, "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


@pytest.fixture
def report():
    """A function ``report(what, target, reached)`` that adds a line to the table."""

    def add(what, target, reached):
        _ROWS.append((what, target, reached))

    return add


@pytest.fixture(scope="session", autouse=True)
def _threads():
    torch.set_num_threads(THREADS)


@pytest.fixture(scope="session")
def weights(pytestconfig):
    """Name or path of the weights, from ``--weights``."""
    name = pytestconfig.getoption("weights")
    return str(Path(name).resolve()) if Path(name).is_file() else name


@pytest.fixture(scope="session")
def detector(weights):
    """The detector, on the CPU."""
    return Detector.from_pretrained(weights, device="cpu")


@dataclass
class Field:
    """A rendered field as a user has it in memory."""

    image: dict
    grid_shape: tuple


@pytest.fixture(scope="session", params=["0.396", "1.188"], ids=lambda p: f"{p}arcsec")
def field(request, detector):
    """2000 x 2000 pixels in g, r, i as CCDData, at SDSS's pixel scale or at three times that."""
    binning = round(float(request.param) / SURVEYS["sdss"].pixel_scale)
    survey = SURVEYS["sdss"].binned(binning)
    rendered = render_field(survey, (2000, 2000), seed=20, clusters=4, margin=300)
    image = {
        band: CCDData(plane, unit=u.nmgy, wcs=rendered.wcs)
        for band, plane in zip(survey.bands, np.array(rendered.image), strict=True)
    }
    side = math.ceil(2000 * survey.pixel_scale / detector.recipe.pixel_scale)
    return Field(image, (side, side))


@pytest.fixture
def stopwatch():
    """A function that wraps a callable and returns it with the list of its seconds."""

    def watch(function):
        seconds = []

        def watched(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds.append(time.perf_counter() - start)

        return watched, seconds

    return watch
