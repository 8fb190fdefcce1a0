"""How long reading an image takes, against the training step it is read for."""

import statistics
import time

import numpy as np
import pytest

from astro_objdet.images import SqrtFluxStretch
from astro_objdet.skies.archive import Archive, ArchiveWriter
from astro_objdet.skies.simulate import SURVEYS, render_field

pytestmark = pytest.mark.benchmark(group="archive")
SIDE, IMAGES = 640, 24


@pytest.fixture(scope="module")
def surface_brightness():
    """A rendered field in nanomaggy per square arcsec, at twice SDSS's pixel scale."""
    survey = SURVEYS["sdss"].binned(2)
    field = render_field(survey, (SIDE, SIDE), seed=3, clusters=2)
    return (field.image / survey.pixel_scale**2).astype(np.float32)


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
def test_reading(benchmark, report, tmp_path, surface_brightness, dtype, compression):
    image, kind = surface_brightness.astype(dtype), "raw"
    if dtype == "uint8":
        stretched = SqrtFluxStretch(-0.2, 10.0)(surface_brightness)
        image, kind = np.round(stretched * 255).astype(np.uint8), "stretched"
    path, seconds = tmp_path / "archive.h5", []
    with ArchiveWriter(
        path,
        bands=("g", "r", "i"),
        pixel_scale=0.792,
        shape=(SIDE, SIDE),
        kind=kind,
        dtype=dtype,
        compression=compression,
    ) as writer:
        for number in range(IMAGES):
            turned = np.ascontiguousarray(np.roll(image, 9 * number, axis=2))
            start = time.perf_counter()
            writer.append(turned, [{"x1": 9, "y1": 9, "x2": 99, "y2": 99}], field=str(number))
            seconds.append(time.perf_counter() - start)
    archive = Archive(path)
    numbers = iter(range(10**9))
    benchmark.pedantic(lambda: archive.image(next(numbers) % IMAGES), rounds=60, warmup_rounds=3)
    read = statistics.median(benchmark.stats.stats.data)
    size = path.stat().st_size / IMAGES / 1e6
    report(
        f"image of an archive, {dtype}, {compression}: reading",
        "< 10 ms" if compression == "none" or dtype == "uint8" else "-",
        f"{1e3 * read:.1f} ms; {size:.2f} MB; writing {1e3 * statistics.median(seconds):.0f} ms",
    )
    if compression == "none" or dtype == "uint8":
        assert read < 0.01
