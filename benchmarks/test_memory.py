"""Peak memory on an image that is larger than it."""

import subprocess
import sys
import time

import numpy as np
import pytest
from astropy.io import fits

from astro_objdet.skies.simulate import render_field

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="uses VmHWM")]
SIDE, REPEATS = 2000, 6
LIMIT = 2.5e9  # bytes

DETECT = """
from astro_objdet import Detector

Detector.from_pretrained(weights, device="cpu").detect(paths)
"""
# What the console script calls keeps its memory.
COMMAND = """
from astro_objdet.allocator import keep_memory
from astro_objdet.cli.main import main

assert keep_memory()
main(["detect", *paths, "--model", weights, "-o", "out"], standalone_mode=False)
"""
# Not ru_maxrss: that of a child starts at its parent's.
PEAK = """
status = Path("/proc/self/status").read_text()
peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
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


@pytest.mark.parametrize(
    ("what", "code"), [("Detector.detect", DETECT), ("astro-objdet detect", COMMAND)]
)
def test_peak_memory_of_a_large_field(large_field, weights, what, code, report, tmp_path):
    code = f"import sys\nfrom pathlib import Path\nweights, *paths = sys.argv[1:]\n{code}{PEAK}"
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, weights, *map(str, large_field)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    seconds = time.perf_counter() - start
    peak = int(done.stdout.split()[-1])
    report(
        f"12,000 x 12,000 FITS: peak memory of {what}",
        "< 2.5 GB",
        f"{peak / 1e9:.2f} GB in {seconds:.0f} s",
    )
    assert peak < LIMIT
