from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("galsim", reason="drawing needs the extra simulate")

from astro_objdet.errors import InputError  # noqa: E402
from astro_objdet.skies.artefacts import (  # noqa: E402
    add_artefacts,
    add_noise,
    bright_stars,
    masked_edge,
    satellite_trail,
)
from astro_objdet.skies.conditions import SURVEYS  # noqa: E402
from astro_objdet.skies.drawing import Sources, draw_sources  # noqa: E402

SDSS = SURVEYS["sdss"]
NOISE = np.array(SDSS.noise)


def star(magnitude, x=200.0, y=200.0):
    flux = np.full((1, 3), 10 ** ((22.5 - magnitude) / 2.5))
    zero = np.zeros(1)
    return Sources(np.array([x]), np.array([y]), flux, zero, zero + 1, zero, zero)


def with_star(magnitude, survey=SDSS, shape=(401, 401), seed=1, **where):
    """The image of a star before and after, and what was done."""
    sources = star(magnitude, **where)
    before = draw_sources(sources, shape, survey)
    after = before.copy()
    done = bright_stars(after, sources, survey, np.random.default_rng(seed))
    return before, after, done


def polar(plane, radius, centre=200, steps=720):
    """Values on a circle of that radius in pixels."""
    phi = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    x, y = centre + radius * np.cos(phi), centre + radius * np.sin(phi)
    return phi, plane[np.rint(y).astype(int), np.rint(x).astype(int)]


def test_faint_stars_stay_as_they_are():
    before, after, done = with_star(20.5)
    assert np.array_equal(before, after)
    assert (done["winged"], done["saturated"]) == (0, 0)


def test_bright_stars_saturate_at_the_surveys_magnitude():
    for magnitude, expected in ((14.3, 0), (13.4, 1)):
        before, after, done = with_star(magnitude)
        assert done["saturated"] == expected
        full = after == after.max(axis=(1, 2), keepdims=True)
        assert (full.sum(axis=(1, 2)) > 1).all() == bool(expected)
        assert (after.max(axis=(1, 2)) < before.max(axis=(1, 2))).all() == bool(expected)
    # all stars that saturate share the level of their band
    assert after.max(axis=(1, 2)) == pytest.approx(with_star(10)[1].max(axis=(1, 2)))


def test_charge_bleeds_along_the_columns():
    _, after, _ = with_star(9.0)
    for plane in after:
        full = plane >= 0.999 * plane.max()
        assert np.ptp(np.nonzero(full.any(axis=1))) > 1.5 * np.ptp(np.nonzero(full.any(axis=0)))


def test_four_spikes_at_the_angle_that_is_told():
    survey = replace(SDSS, aureole=(1e-9,) * 3, saturation=(1e-9,) * 3)
    before, after, done = with_star(10.0, survey)
    extra = after[1] - before[1]
    phi, values = polar(extra, 70)
    spikes = np.radians(done["spike_angle"]) + np.arange(4) * np.pi / 2
    apart = np.abs((phi[:, None] - spikes + np.pi / 4) % (np.pi / 2) - np.pi / 4).min(axis=1)
    assert values[apart < 0.01].min() > 3 * NOISE[1] * 0.1
    assert values[apart > 0.1].max() < 0.01 * values.max()
    # they spread with the wavelength
    shares = [
        polar(plane - first, 150)[1].max() for first, plane in zip(before, after, strict=True)
    ]
    assert shares[0] < shares[1] < shares[2]


def test_spikes_turn_from_field_to_field():
    angles = [with_star(12, seed=s)[2]["spike_angle"] for s in range(20)]
    assert min(angles) >= 0
    assert max(angles) < 90
    assert np.std(angles) > 15


def test_aureole_is_as_told_at_ten_arcsec():
    before, after, _ = with_star(11.0)
    flux = 10 ** ((22.5 - 11) / 2.5)
    radius = 10 / SDSS.pixel_scale
    for band in range(3):
        _, values = polar(after[band] - before[band], radius)
        assert np.median(values) == pytest.approx(flux * SDSS.aureole[band], rel=0.15)
        _, further = polar(after[band], 3 * radius)
        assert np.median(further) < 0.1 * np.median(values)


@pytest.mark.parametrize("magnitude", [9, 12, 15])
def test_wings_end_below_the_noise(magnitude):
    """No step at the edge of a stamp, away from the star's own spikes."""
    survey = SDSS.binned(4)
    _, after, _ = with_star(magnitude, survey)
    centre = np.hypot(*(np.mgrid[:401, :401] - 200)) * survey.pixel_scale < 40
    for plane, noise in zip(after, survey.noise, strict=True):
        steps = np.abs(np.diff(plane, axis=1))[~centre[:, 1:]]
        assert np.quantile(steps, 0.98) < 0.25 * noise


def test_ghost_ring_where_the_survey_has_one():
    des = SURVEYS["des"].binned(2)
    without = with_star(9, replace(des, ghost_radius=0.0))[1]
    ring = with_star(9, des)[1] - without
    total = ring.sum(axis=(1, 2)) * des.pixel_scale**2
    assert total == pytest.approx(4e-3 * 10 ** ((22.5 - 9) / 2.5), rel=0.1)
    assert ring[1, 200, 200] < 0.1 * ring[1].max()


def test_stars_off_the_image_reach_in():
    _, after, done = with_star(9.0, x=-40.0)
    assert done["winged"] == 1
    assert after[1, 200, 0] > NOISE[1]
    assert with_star(9.0, x=-4000.0)[1].max() == 0


def test_noise_of_sky_and_photons():
    image = np.zeros((3, 400, 400), dtype=np.float32)
    image[:, 200:] = np.array([50, 100, 200], dtype=np.float32)[:, None, None]
    noisy = add_noise(image, SDSS, np.random.default_rng(5))
    assert noisy.dtype == np.float32
    assert noisy[:, :200].std(axis=(1, 2)) == pytest.approx(NOISE, rel=0.02)
    counted = np.array([50, 100, 200]) / np.array(SDSS.electrons) / SDSS.pixel_scale**2
    expected = np.sqrt(NOISE**2 + counted)
    assert noisy[:, 200:].std(axis=(1, 2)) == pytest.approx(expected, rel=0.02)
    assert noisy.mean(axis=(1, 2)) == pytest.approx(image.mean(axis=(1, 2)), rel=0.01)


def test_noise_leaves_masked_pixels_and_bears_negative_ones():
    image = np.zeros((3, 8, 8), dtype=np.float32)
    image[0, 0], image[1, 1] = np.nan, -1
    noisy = add_noise(image, SDSS, np.random.default_rng(5))
    assert np.array_equal(np.isnan(noisy), np.isnan(image))


@pytest.mark.parametrize("seed", range(6))
def test_trail_is_a_line_through_the_point_that_is_told(seed):
    image = np.zeros((3, 300, 400), dtype=np.float32)
    done = satellite_trail(image, SDSS, np.random.default_rng(seed))
    lit = np.flatnonzero(image.any(axis=(1, 2)))
    assert np.array_equal(lit, np.flatnonzero(done["peak"]))
    angle = np.radians(done["angle"])
    for band in lit:
        y, x = np.nonzero(image[band] > 0.5 * image[band].max())
        off = (y - done["y"]) * np.cos(angle) - (x - done["x"]) * np.sin(angle)
        assert np.abs(off).max() * SDSS.pixel_scale < 1.5
        assert 0.5 * done["peak"][band] < image[band].max() <= done["peak"][band]
        assert done["peak"][band] > NOISE[band]


def test_trails_are_mostly_in_one_band():
    shape = (3, 40, 40)
    lit = [
        np.count_nonzero(
            satellite_trail(np.zeros(shape, np.float32), SDSS, np.random.default_rng(s))["peak"]
        )
        for s in range(60)
    ]
    assert set(lit) == {1, 3}
    assert lit.count(1) > 35


@pytest.mark.parametrize("kind", ["strip", "corner", "columns"])
@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_masked_edges(kind, value):
    image = np.ones((3, 300, 200), dtype=np.float32)
    done = masked_edge(image, np.random.default_rng(2), kind=kind, value=value)
    bad = np.isnan(image) if np.isnan(value) else image == 0
    assert done["kind"] == kind
    assert np.flatnonzero(bad.any(axis=(1, 2))).tolist() == done["bands"]
    assert bad[done["bands"][0]].mean() == pytest.approx(done["fraction"])
    assert 0 < done["fraction"] < 0.35
    if kind != "columns":
        corners = bad[done["bands"][0]][[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.any()
        assert not corners.all()


def test_masked_edge_of_no_kind_is_refused():
    with pytest.raises(InputError, match="kind must be one of 'columns', 'corner', 'strip'"):
        masked_edge(np.ones((1, 4, 4)), np.random.default_rng(0), kind="ring")


def test_artefacts_follow_the_seed_and_their_rates():
    sources = star(12.0, 50, 50)
    images = []
    for _ in range(2):
        image = draw_sources(sources, (100, 100), SDSS)
        done = add_artefacts(image, sources, SDSS, np.random.default_rng(3), trail=1, edge=1)
        images.append(image)
    assert images[0].tobytes() == images[1].tobytes()
    assert len(done["trails"]) == len(done["masked"]) == done["stars"]["saturated"] == 1
    done = add_artefacts(image, sources, SDSS, np.random.default_rng(3), trail=0, edge=0)
    assert done["trails"] == done["masked"] == []
    with pytest.raises(InputError, match="trail must be a number from 0 to 1, got 2"):
        add_artefacts(image, sources, SDSS, np.random.default_rng(3), trail=2)
