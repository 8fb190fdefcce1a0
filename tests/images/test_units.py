import astropy.units as u
import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.nddata import CCDData

from astro_objdet.errors import InputError
from astro_objdet.images import read_bands
from astro_objdet.images.units import (
    header_psf,
    header_unit,
    header_zero_point,
    image_psf,
    parse_unit,
    pixel_factor,
)


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("nmgy", 1),
        ("nanomaggies", 1),
        ("mgy", 1e9),
        ("Jy", 1 / 3.631e-6),
        ("uJy", 1 / 3.631),
        ("erg / (s cm2 Hz)", 1e23 / 3.631e-6),
        ("nmgy / pix", 1),
        ("nmgy / arcsec2", 0.04),
        ("MJy / sr", 0.04 * 1e6 / 3.631e-6 / (180 / np.pi * 3600) ** 2),
    ],
)
def test_nanomaggies_per_pixel(unit, value):
    assert pixel_factor(parse_unit(unit), 0.04) == pytest.approx(value, rel=1e-10)


def test_surface_brightness_needs_an_area():
    assert pixel_factor(u.MJy / u.sr, None) is None
    assert pixel_factor(u.m, 1.0) is None


@pytest.mark.parametrize("unit", ["adu", "counts", "electron / s", "DN", "", "e-/s", "count"])
def test_counts_have_no_flux_scale(unit):
    assert parse_unit(unit) is None


@pytest.mark.parametrize("unit", ["mag", u.ABmag, "mag / arcsec2"])
def test_magnitudes_are_refused(unit):
    with pytest.raises(InputError, match="unit must be linear in flux"):
        parse_unit(unit)


def test_unknown_units():
    with pytest.raises(InputError, match="unit must be an astropy unit, got 'flurbs'"):
        parse_unit("flurbs")
    assert parse_unit("flurbs", strict=False) is None
    assert header_unit({"BUNIT": "UNITLESS"}) is None


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"MAGZERO": 30.0}, 30),
        ({"MZP_AB": 30.0, "MZP_VEGA": 29.8}, 30),
        ({"FLUXMAG0": 10 ** (27 / 2.5)}, 27),
        ({"ZP": "26.5"}, 26.5),
        ({"MAGZERO": 30.0, "ZP": 30.0}, 30),
        ({"MAGZERO": 30.0, "ZP": 25.0}, None),
        ({"ZP": -999.0}, None),
        ({"ZP": True}, None),
        ({"ZP": float("nan")}, None),
        ({"ZP": "unknown"}, None),
        ({"PHOTZPT": -21.1}, None),
        ({}, None),
    ],
)
def test_zero_points_in_headers(cards, expected):
    found = header_zero_point(cards)
    assert found == (None if expected is None else pytest.approx(expected))


def stack_of(data, wcs, **options):
    return read_bands((np.asarray(data, float), wcs), **options)


def test_zero_point_gives_nanomaggies(tan_wcs):
    # AB 20 is 10 nanomaggies.
    counts = 10 ** ((27 - 20) / 2.5)
    stack = stack_of(np.full((96, 128), counts), tan_wcs, zero_point=27)
    assert stack.unit == u.nmgy
    np.testing.assert_allclose(stack.read_all()[0], 10, rtol=1e-6)


def test_zero_points_per_band(tan_wcs):
    data = np.ones((2, 96, 128))
    for points in ((22.5, 25), {"r": 22.5, "g": 25 * u.ABmag}):
        stack = stack_of(data, tan_wcs, bands="rg", zero_point=points)
        np.testing.assert_allclose(stack.read_all()[0][:, 0, 0], [1, 0.1], rtol=1e-6)
    stack = stack_of(data, tan_wcs, bands="rg", zero_point={"r": 22.5})
    assert stack.unit is None
    assert (stack.read_all()[0] == 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zero_point": (1, 2, 3)}, "zero_point must be one value or one per band"),
        ({"zero_point": {"z": 22.5}}, "names bands that are not there: z"),
        ({"zero_point": float("nan")}, "zero_point must be a finite AB magnitude"),
        ({"zero_point": 22.5, "unit": "nmgy"}, "give unit or zero_point, not both"),
        ({"unit": "km"}, "unit km has no flux density"),
        ({"psf_fwhm": 1 * u.m}, "psf_fwhm must be an angle"),
        ({"psf_fwhm": -1}, "psf_fwhm must be finite and above 0"),
        ({"stretched": True, "unit": "nmgy"}, "stretched picture has no unit"),
    ],
)
def test_bad_calibration(tan_wcs, options, message):
    with pytest.raises(InputError, match=message):
        stack_of(np.ones((2, 96, 128)), tan_wcs, bands="rg", **options)


def test_a_zero_point_of_zero_is_believed_only_for_faint_noise(tan_wcs):
    noise = np.random.default_rng(0).normal(0, 1, (96, 128))
    for sigma, unit in ((1e-11, u.nmgy), (5, None)):
        ccd = CCDData(noise * sigma, unit="adu", wcs=tan_wcs, meta={"ZEROPNT": 0.0})
        assert read_bands(ccd).unit == unit


def test_count_rates_do_not_take_a_header_zero_point(tan_wcs):
    meta = {"ZP": 25.0, "BUNIT": "electron/s"}
    assert (
        read_bands(CCDData(np.ones((96, 128)), unit="electron/s", wcs=tan_wcs, meta=meta)).unit
        is None
    )


def test_the_argument_wins_over_the_data(tan_wcs):
    ccd = CCDData(np.ones((96, 128)), unit="Jy", wcs=tan_wcs)
    assert read_bands(ccd).read_all()[0][0, 0, 0] == pytest.approx(1 / 3.631e-6)
    assert read_bands(ccd, unit="uJy").read_all()[0][0, 0, 0] == pytest.approx(1 / 3.631)
    assert read_bands(ccd, zero_point=22.5).read_all()[0][0, 0, 0] == 1


@pytest.mark.parametrize(
    ("key", "value", "comment", "expected"),
    [
        ("PSF_FWHM", 1.1, "", 1.1),
        ("SEEING", 4.0, "Seeing FWHM (pixels)", 0.8),
        ("IQIMAGE", 0.8, "(arcsec)", 0.8),
        ("FWHM", 3.0, "", None),
        ("FWHM", 3.0, "[arcsec]", 3.0),
        ("SEEING", -1.0, "", None),
        ("SEEING", 1e9, "", None),
    ],
)
def test_psf_in_headers(key, value, comment, expected):
    header = Header()
    header[key] = (value, comment)
    found = header_psf(header, 0.2)
    assert (
        found is None if expected is None else found.to_value(u.arcsec) == pytest.approx(expected)
    )


def test_psf_of_an_image(tan_wcs):
    y, x = np.mgrid[-20:21, -20:21]
    psf = np.exp(-(x**2 + y**2) / (2 * 4**2))
    assert image_psf(psf, 0.5).value == pytest.approx(2.3548 * 4 * 0.5, rel=0.03)
    ccd = CCDData(np.ones((96, 128)), unit="adu", wcs=tan_wcs, psf=psf)
    assert read_bands(ccd, bands=["r"]).psf_fwhm["r"].unit == u.arcsec


def test_psf_given(tan_wcs):
    data = np.ones((2, 96, 128))
    stack = stack_of(data, tan_wcs, bands="rg", psf_fwhm={"g": 0.02 * u.arcmin})
    assert stack.psf_fwhm == {"g": 1.2 * u.arcsec}
    assert stack_of(data, tan_wcs, bands="rg", psf_fwhm=(1, 2)).psf_fwhm["g"] == 2 * u.arcsec
