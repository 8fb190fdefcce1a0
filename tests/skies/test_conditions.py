from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from astro_objdet.errors import InputError
from astro_objdet.skies.conditions import SURVEYS, Survey, noise_equivalent_area

#: As published; DES gives ten times the error in an aperture of 1.95 arcsec.
PUBLISHED = {
    "sdss": (23.13, 22.70, 22.20),
    "hsc": (26.6, 26.2, 26.2),
    "lsst": (27.4, 27.5, 26.8),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_noise_gives_back_the_published_depth(name):
    assert SURVEYS[name].depth() == pytest.approx(PUBLISHED[name], abs=1e-6)


def test_des_depth_in_its_aperture():
    des = SURVEYS["des"]
    error = np.array(des.noise) * des.pixel_scale * np.sqrt(np.pi * (1.95 / 2) ** 2)
    assert 22.5 - 2.5 * np.log10(10 * error) == pytest.approx((24.7, 24.4, 23.8), abs=1e-6)
    # a point source is seen deeper: 5 instead of 10 times, in a smaller area
    assert np.all(np.array(des.depth()) - (24.7, 24.4, 23.8) > 0.4)


@pytest.mark.parametrize("name", ["sdss", "des"])
def test_noise_is_that_of_the_skys_photons(name):
    """Sky of SDSS (22.0, 20.9, 20.2 mag per square arcsec) and DES (22.05, 21.18, 19.92)."""
    sky = {"sdss": (22.0, 20.9, 20.2), "des": (22.05, 21.18, 19.92)}[name]
    survey = SURVEYS[name]
    brightness = 10 ** ((22.5 - np.array(sky)) / 2.5)
    photons = np.sqrt(brightness / (np.array(survey.electrons) * survey.pixel_scale**2))
    assert photons / survey.noise == pytest.approx([1, 1, 1], abs=0.35)


@pytest.mark.parametrize("survey", SURVEYS.values(), ids=SURVEYS)
def test_depth_holds_in_a_simulation(survey):
    """Errors of a weighted sum over noisy pixels, at the depth: one fifth of the flux."""
    rng = np.random.default_rng(1)
    offset = (np.arange(61) - 30) * survey.pixel_scale
    r2 = offset**2 + offset[:, None] ** 2
    for band, depth in enumerate(survey.depth()):
        core2 = (survey.psf_fwhm[band] / 2) ** 2 / (2 ** (1 / survey.psf_beta) - 1)
        psf = (1 + r2 / core2) ** -survey.psf_beta
        psf /= psf.sum()
        noise = survey.noise[band] * survey.pixel_scale**2 * rng.standard_normal((400, 61, 61))
        fluxes = (noise * psf).sum(axis=(1, 2)) / (psf**2).sum()
        assert 5 * fluxes.std() == pytest.approx(10 ** ((22.5 - depth) / 2.5), rel=0.15)


def test_binning_keeps_the_depth():
    survey = SURVEYS["sdss"].binned(2).binned(2)
    assert survey.pixel_scale == pytest.approx(1.584)
    assert survey.binning == 4
    assert survey.depth() == pytest.approx(SURVEYS["sdss"].depth())
    assert survey.optical_fwhm() == SURVEYS["sdss"].optical_fwhm()


def test_drawn_fields_spread_as_told():
    rng = np.random.default_rng(0)
    sdss = SURVEYS["sdss"]
    drawn = [sdss.drawn(rng) for _ in range(2000)]
    widths = np.log([d.psf_fwhm for d in drawn]) - np.log(sdss.psf_fwhm)
    assert widths.std() == pytest.approx(sdss.psf_spread, rel=0.05)
    assert np.median(widths) == pytest.approx(0, abs=0.01)
    np.testing.assert_allclose(np.ptp(widths, axis=1), 0, atol=1e-12)
    # in better seeing fainter stars fill a pixel
    sharp = min(drawn, key=lambda d: d.psf_fwhm)
    assert np.all(np.array(sharp.saturation) > sdss.saturation)


def test_is_frozen_hashable_and_printed_as_code():
    sdss = SURVEYS["sdss"]
    with pytest.raises(FrozenInstanceError, match="pixel_scale"):
        sdss.pixel_scale = 1.0
    assert len({sdss, sdss.binned(2), SURVEYS["des"]}) == 3
    assert eval(repr(sdss)) == sdss
    assert hash(eval(repr(sdss))) == hash(sdss)


def test_area_of_a_wide_beta_is_a_gaussians():
    gaussian = 4 * np.pi / (8 * np.log(2))
    assert noise_equivalent_area(1.0, 500.0) == pytest.approx(gaussian, rel=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_scale": 0}, "pixel_scale must be a finite number above 0, got 0"),
        ({"psf_fwhm": (1.0, 1.0)}, "psf_fwhm must have a value for each of the bands g, r, i"),
        ({"noise": (1.0, -1.0, 1.0)}, "noise must be a finite number above 0"),
        ({"psf_beta": 1.0}, "psf_beta must be above 1.1, got 1.0"),
    ],
)
def test_bad_conditions_are_refused(change, message):
    values = {"name": "x", "pixel_scale": 0.4, "psf_fwhm": (1, 1, 1), "noise": (1, 1, 1)}
    with pytest.raises(InputError, match=message):
        Survey(**{**values, **change})
