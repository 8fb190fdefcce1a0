"""Peak memory on an image that is larger than it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits

from astro_objdet.skies.simulate import render_field

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="uses VmHWM")]
SIDE, REPEATS = 2000, 6
#: Of a megabyte of 10^6 bytes, as the target has it.
LIMIT = 2500

CODE = """
import sys
from pathlib import Path
from astro_objdet import Detector

weights, *paths = sys.argv[1:]
found = Detector.from_pretrained(weights, device="cpu").detect(paths)
status = Path("/proc/self/status").read_text()
peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
print(len(found), int(peak.split()[1]) * 1024)
"""


@pytest.fixture(scope="module")
def large_field(tmp_path_factory):
    """12,000 x 12,000 pixels in three FITS files: a rendered field, repeated."""
    folder = tmp_path_factory.mktemp("large")
    rendered = render_field("sdss", (SIDE, SIDE), seed=21, clusters=2, margin=300)
    wcs = rendered.wcs
    wcs.wcs.crpix = [(SIDE * REPEATS + 1) / 2] * 2
    paths = []
    for band, plane in zip(rendered.survey.bands, rendered.image, strict=True):
        header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2)])
        header.update(NAXIS1=SIDE * REPEATS, NAXIS2=SIDE * REPEATS, BUNIT="nanomaggy")
        header.extend(wcs.to_header())
        path = folder / f"field_{band}.fits"
        rows = np.tile(plane, REPEATS).astype(">f4").tobytes()
        with path.open("wb") as file:
            file.write(header.tostring().encode("ascii"))
            for _ in range(REPEATS):
                file.write(rows)
            file.write(bytes(-file.tell() % 2880))
        paths.append(path)
    yield paths
    for path in paths:
        path.unlink()


@pytest.fixture
def in_child(tmp_path):
    """A function that runs Python in a process of its own and returns what it prints."""

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=os.environ,
        )
        return done.stdout

    return run


def test_peak_memory_of_a_large_field(large_field, weights, in_child, report):
    count, peak = map(int, in_child("-c", CODE, weights, *large_field).split())
    report(
        "peak memory, 12,000 x 12,000 in three files, Detector.detect",
        "< 2.5 GB",
        f"{peak / 1e9:.2f} GB, {count} objects",
    )
    assert count > 0
    assert peak / 1e6 < LIMIT
