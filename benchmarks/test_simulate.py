"""Rendering a field: galaxies, stars, artefacts and noise in three bands."""

import statistics
import time

import numpy as np
import pytest

pytest.importorskip("galsim", reason="rendering needs the extra simulate")

from astro_objdet.skies.conditions import SURVEYS  # noqa: E402
from astro_objdet.skies.drawing import Sources, draw_sources  # noqa: E402
from astro_objdet.skies.simulate import render_field  # noqa: E402

ROUNDS = 5
COUNT = 900


def sources(shape, pixel_scale, count=COUNT):
    """As many sources as SDSS sees on 0.05 square degrees: a fifth are stars."""
    rng = np.random.default_rng(8)
    r_mag = 22.7 + np.log10(rng.random(count)) / 0.42
    star = rng.random(count) < 0.2
    colour = rng.normal((0.7, 0.0, -0.35), (0.3, 0.0, 0.15), (count, 3))
    return Sources(
        x=rng.uniform(0, shape[1], count),
        y=rng.uniform(0, shape[0], count),
        flux=10 ** ((22.5 - r_mag[:, None] - colour) / 2.5),
        radius=np.where(star, 0.0, 10 ** (-0.13 * (r_mag - 20))),
        axis_ratio=rng.uniform(0.35, 1, count),
        angle=rng.uniform(0, np.pi, count),
        index=np.where(star, 0.0, rng.choice([1.0, 4.0], count)),
    )


def timed(function):
    """Median and range of the seconds a call takes."""
    seconds = []
    for number in range(ROUNDS):
        start = time.perf_counter()
        function(number)
        seconds.append(time.perf_counter() - start)
    text = f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
    return statistics.median(seconds), text


@pytest.mark.parametrize(("binning", "target"), [(1, 4.0), (2, 1.5)])
def test_drawing(binning, target, report):
    survey = SURVEYS["sdss"].binned(binning)
    shape = (2000 // binning,) * 2
    drawn = sources(shape, survey.pixel_scale)
    median, text = timed(lambda _: draw_sources(drawn, shape, survey))
    report(f"{COUNT} sources on {shape[0]} x {shape[1]} px, three bands", f"< {target:g} s", text)
    assert median < target


def test_rendering_a_field(report):
    median, text = timed(lambda number: render_field("sdss", (2000, 2000), seed=number))
    report("render_field, SDSS, 2000 x 2000 px, three bands", "< 10 s", text)
    assert median < 10
