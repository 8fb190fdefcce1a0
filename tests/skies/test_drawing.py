import numpy as np
import pytest
from scipy.special import gammaincinv

from astro_objdet.skies.drawing import Sources, draw_sources, sersic_gaussians


def source(x=50.0, y=50.0, flux=(100.0,), radius=0.0, q=1.0, angle=0.0, index=0.0):
    values = (x, y, flux, radius, q, angle, index)
    return Sources(*(np.array([value], dtype=float) for value in values))


@pytest.mark.parametrize("index", [1.0, 4.0])
def test_gaussians_follow_the_sersic_profile(index):
    weights, variances = sersic_gaussians(index)
    assert weights.sum() == pytest.approx(1)
    radius = np.geomspace(0.1, 3, 40)
    gaussians = (
        weights / (2 * np.pi * variances) * np.exp(-0.5 * radius[:, None] ** 2 / variances)
    ).sum(axis=1)
    profile = np.exp(-gammaincinv(2 * index, 0.5) * radius ** (1 / index))
    ratio = gaussians / profile
    np.testing.assert_allclose(ratio / np.median(ratio), 1, atol=0.15)


def test_half_the_light_within_the_half_light_radius():
    image = draw_sources(
        source(200, 200, radius=20.0, index=1.0, flux=(1e4,)), (401, 401), 1.0, (1.0,), 1e-6
    )[0]
    y, x = np.mgrid[:401, :401]
    inside = np.hypot(x - 200, y - 200) < 20
    assert image[inside].sum() / 1e4 == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("scale", [0.2, 0.396, 0.792])
def test_flux_and_centre_are_kept(scale):
    image = draw_sources(source(50.3, 49.6), (101, 101), scale, (1.4,), 1e-5)[0]
    total = image.sum() * scale**2
    assert total == pytest.approx(100, rel=0.01)
    y, x = np.mgrid[:101, :101]
    assert (image * x).sum() / image.sum() == pytest.approx(50.3, abs=0.02)
    assert (image * y).sum() / image.sum() == pytest.approx(49.6, abs=0.02)


def test_psf_width():
    image = draw_sources(source(flux=(1e3,)), (101, 101), 0.1, (1.4,), 1e-6)[0]
    row = image[50]
    above = np.nonzero(row > row.max() / 2)[0]
    # the wings hold 15 per cent of the light and widen the core a little
    assert (above[-1] - above[0]) * 0.1 == pytest.approx(1.4, abs=0.15)


def test_sources_beyond_the_border_reach_in():
    image = draw_sources(source(-5, 50, radius=5.0, index=4.0), (101, 101), 0.4, (1.3,))[0]
    assert image[50, 0] > image[50, 20] > 0
    assert not draw_sources(source(5000, 50), (101, 101), 0.4, (1.3,)).any()


def test_bands_have_their_own_flux_and_seeing():
    sharp, wide = draw_sources(
        Sources(*(np.array([v], float) for v in (50, 50, (10, 10), 0, 1, 0, 0))),
        (101, 101),
        0.4,
        (0.9, 1.8),
        1e-5,
    )
    assert sharp.max() > 2 * wide.max()
    assert sharp.sum() == pytest.approx(wide.sum(), rel=0.02)
