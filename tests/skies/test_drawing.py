import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest

galsim = pytest.importorskip("galsim", reason="drawing needs the extra simulate")

from astro_objdet.errors import InputError, ResourceError  # noqa: E402
from astro_objdet.skies import drawing  # noqa: E402
from astro_objdet.skies.conditions import SURVEYS, Survey  # noqa: E402
from astro_objdet.skies.drawing import Sources, draw_sources, moffat_profile  # noqa: E402

SDSS = SURVEYS["sdss"]


def source(x=50.0, y=50.0, flux=100.0, radius=0.0, q=1.0, angle=0.0, index=0.0):
    flux = np.broadcast_to(np.asarray(flux, dtype=float), 3)
    values = (x, y, flux, radius, q, angle, index)
    return Sources(*(np.array([value], dtype=float) for value in values))


def centre_of(plane):
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return (plane * x).sum() / plane.sum(), (plane * y).sum() / plane.sum()


def fwhm_of(survey, band):
    """FWHM of a star drawn by the survey's pixels, from stars a tenth of a pixel apart."""
    x = np.arange(41) - 20.0
    profile = []
    for shift in np.arange(0, 1, 0.1):
        star = draw_sources(source(20 + shift, 20, 1e5), (41, 41), survey)[band]
        profile.extend(zip(x - shift, star[20], strict=True))
    r, value = np.array(sorted(profile)).T
    left, right = r < 0, r >= 0
    half = value.max() / 2
    edges = np.interp(half, value[left], r[left]), np.interp(-half, -value[right], r[right])
    return (edges[1] - edges[0]) * survey.pixel_scale


@pytest.mark.parametrize("survey", SURVEYS.values(), ids=SURVEYS)
@pytest.mark.parametrize("binning", [1, 2])
@pytest.mark.parametrize(
    ("index", "radius", "q"), [(0, 0, 1), (1, 1.5, 0.4), (2.5, 0.6, 0.7), (4, 1.0, 0.8)]
)
def test_equals_galsims_own_drawing(survey, binning, index, radius, q):
    survey = survey.binned(binning)
    # as bright as a source of 20 times the noise in its brightest pixel
    image = draw_sources(
        source(60.3, 59.6, 1.0, radius=radius, q=q, angle=0.5, index=index),
        (121, 121),
        replace(survey, noise=(1e-3,) * 3),
    )
    for band, fwhm in enumerate(survey.optical_fwhm()):
        profile = galsim.Moffat(beta=survey.psf_beta, fwhm=fwhm)
        if index:
            galaxy = galsim.Sersic(
                n=index, half_light_radius=radius * q**0.5, trunc=8.5 * radius * q**0.5
            )
            profile = galsim.Convolve(galaxy.shear(q=q, beta=0.5 * galsim.radians), profile)
        expected = (
            profile.drawImage(nx=121, ny=121, scale=survey.pixel_scale, offset=(0.3, -0.4)).array
            / survey.pixel_scale**2
        )
        np.testing.assert_allclose(image[band], expected, atol=2e-3 * expected.max())


@pytest.mark.parametrize("binning", [1, 2])
@pytest.mark.parametrize(("index", "radius"), [(0, 0), (1, 2.0), (4, 2.0), (6, 1.0)])
def test_flux_and_centre_are_kept(index, radius, binning):
    survey = SDSS.binned(binning)
    flux = np.array([1e4, 2e4, 4e4])
    image = draw_sources(
        source(100.3, 99.6, flux, radius=radius, q=0.7, angle=1.0, index=index), (201, 201), survey
    )
    np.testing.assert_allclose(image.sum(axis=(1, 2)) * survey.pixel_scale**2, flux, rtol=0.01)
    for plane in image:
        assert centre_of(plane) == pytest.approx((100.3, 99.6), abs=0.02)


def test_faint_galaxies_lose_only_what_the_noise_hides():
    """At r = 21 light below 0.005 of the noise is left out: a few per cent of a wide profile."""
    for index, lost in ((1, 0.02), (4, 0.09)):
        image = draw_sources(source(flux=4.0, radius=1.0, index=index), (101, 101), SDSS)
        share = image[1].sum() * SDSS.pixel_scale**2 / 4
        assert 1 - lost < share < 1.01


@pytest.mark.parametrize("name", SURVEYS)
@pytest.mark.parametrize("band", [0, 2])
def test_width_of_a_star_is_the_surveys(name, band):
    assert fwhm_of(SURVEYS[name], band) == pytest.approx(SURVEYS[name].psf_fwhm[band], rel=0.02)


def test_half_the_light_within_the_half_light_radius_along_the_major_axis():
    survey = Survey("sharp", 0.5, (1.0, 1.0, 1.0), (1e-4, 1e-4, 1e-4))
    angle, q = 0.6, 0.5
    image = draw_sources(
        source(250, 250, 1e4, radius=20.0, q=q, angle=angle, index=1), (501, 501), survey
    )[0]
    y, x = np.mgrid[:501, :501] - 250.0
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    inside = np.hypot(along, across / q) * 0.5 < 20
    assert image[inside].sum() / image.sum() == pytest.approx(0.5, abs=0.01)
    other = np.hypot(along / q, across) * 0.5 < 20
    assert image[other].sum() < 0.9 * image[inside].sum()


@pytest.mark.parametrize(("index", "radius"), [(0, 0), (1, 5), (4, 5.0)])
def test_sources_beyond_the_border_reach_in(index, radius):
    beyond = {"flux": 1e4, "radius": radius, "index": index}
    part = draw_sources(source(-5, 40, **beyond), (81, 71), SDSS)
    whole = draw_sources(source(95, 40, **beyond), (81, 171), SDSS)
    np.testing.assert_allclose(part, whole[:, :, 100:], atol=1e-3)
    assert (part[:, 40, 0] > part[:, 40, 20]).all()
    assert (part[:, 40, 20] > 0).all()
    assert not draw_sources(source(5000, 40, **beyond), (81, 71), SDSS).any()


@pytest.mark.parametrize(("magnitude", "radius", "index"), [(8, 0, 0), (11, 60, 4), (11, 60, 1)])
def test_bright_sources_end_below_the_noise(magnitude, radius, index):
    survey = SDSS.binned(4)
    flux = 10 ** ((22.5 - magnitude) / 2.5)
    image = draw_sources(
        source(700, 700, flux, radius=radius, q=0.7, angle=0.3, index=index), (1401, 1401), survey
    )
    step = np.abs(np.diff(image, axis=2)) / (np.array(survey.noise)[:, None, None])
    y, x = np.mgrid[:1401, :1401]
    far = np.hypot(x - 700, y - 700)[:, 1:] * survey.pixel_scale > max(3 * radius, 40)
    assert step[:, far].max() < 0.1


def test_large_galaxies_may_cover_the_image():
    image = draw_sources(source(50, 50, 1e6, radius=900.0, index=4), (101, 101), SDSS)
    assert np.isfinite(image).all()
    assert (image > 0).all()


def test_bands_have_their_own_flux_and_seeing():
    survey = replace(SDSS, psf_fwhm=(1.8, 1.2, 0.9))
    image = draw_sources(source(flux=(10, 10, 20)), (101, 101), survey)
    wide, middle, sharp = image.max(axis=(1, 2))
    assert 6 * wide < 3 * middle < 1.5 * 2 * sharp
    totals = image.sum(axis=(1, 2)) * survey.pixel_scale**2
    np.testing.assert_allclose(totals, (10, 10, 20), rtol=0.02)


def test_same_bytes_whatever_the_order():
    rng = np.random.default_rng(3)
    n = 40
    many = Sources(
        x=rng.uniform(-5, 105, n),
        y=rng.uniform(-5, 95, n),
        flux=rng.uniform(1, 50, (n, 3)),
        radius=rng.uniform(0.3, 2, n),
        axis_ratio=rng.uniform(0.3, 1, n),
        angle=rng.uniform(0, 3, n),
        index=rng.choice([0.0, 1.0, 2.2, 4.0], n),
    )
    image = draw_sources(many, (90, 100), SDSS)
    assert image.dtype == np.float32
    assert image.tobytes() == draw_sources(many, (90, 100), SDSS).tobytes()
    halves = [
        Sources(*(v[part] for v in vars(many).values())) for part in (slice(0, 20), slice(20, n))
    ]
    joined = Sources.join(halves[::-1])
    np.testing.assert_allclose(image, draw_sources(joined, (90, 100), SDSS), atol=1e-4)


def test_moffat_profile_has_unit_flux():
    r = np.linspace(0, 200, 400_001)
    for beta in (2.5, 3.5):
        profile = moffat_profile(r**2, 1.3, beta)
        assert np.trapezoid(2 * np.pi * r * profile, r) == pytest.approx(1, rel=1e-3)
        assert moffat_profile(0.65**2, 1.3, beta) == pytest.approx(profile[0] / 2)


def test_no_sources():
    empty = Sources(*(np.zeros(0) for _ in range(2)), np.zeros((0, 3)), *(np.zeros(0),) * 4)
    assert not draw_sources(empty, (10, 12), SDSS).any()


def test_bad_sources_are_refused():
    with pytest.raises(InputError, match=r"flux in each of the bands g, r, i: .* got \(1, 1\)"):
        draw_sources(replace(source(), flux=np.ones((1, 1))), (10, 10), SDSS)
    with pytest.raises(InputError, match="radius of the sources must be finite"):
        draw_sources(source(radius=np.nan, index=1), (10, 10), SDSS)


def test_without_galsim_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "galsim", None)
    spec = importlib.util.spec_from_file_location("drawing_again", drawing.__file__)
    with pytest.raises(ResourceError, match=r'pip install "astro-objdet\[simulate\]"'):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
