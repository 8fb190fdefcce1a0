"""Kiloparsecs on the sky."""

import numpy as np
import pytest
from astropy import units as u
from astropy.cosmology import FlatLambdaCDM, Planck18

from astro_objdet.catalogs.cosmology import (
    PAPER_COSMOLOGY,
    cosmology_meta,
    get_cosmology,
    kpc_per_arcsec,
)
from astro_objdet.errors import InputError


@pytest.mark.parametrize(("redshift", "kpc"), [(0.1, 1443), (0.2, 2588)])
def test_size_of_the_papers_images(redshift, kpc):
    # Chan & Stott 2019, section 2.2: 2000 pixels of 0.396 arcsec.
    assert round(2000 * 0.396 * kpc_per_arcsec(redshift)) == kpc


def test_core_radius_of_the_paper():
    # section 3.2: 250 kpc at redshift 0.15 are about 1.61 arcmin
    assert round(250 / kpc_per_arcsec(0.15) / 60, 2) == 1.61


@pytest.mark.parametrize("cosmology", [PAPER_COSMOLOGY, Planck18])
@pytest.mark.parametrize("count", [10, 20_000])
def test_scale_is_that_of_astropy(cosmology, count):
    redshift = np.random.default_rng(1).uniform(0.001, 3, count)
    scale = kpc_per_arcsec(redshift, cosmology)
    some = slice(None, None, count // 10)
    expected = cosmology.kpc_proper_per_arcmin(redshift[some]).to_value(u.kpc / u.arcsec)
    np.testing.assert_allclose(scale[some], expected, rtol=1e-8)


def test_many_equal_redshifts():
    scale = kpc_per_arcsec(np.full(5000, 0.3))
    np.testing.assert_allclose(scale, kpc_per_arcsec(0.3), rtol=1e-12)


def test_the_scale_of_one_redshift_is_a_number():
    assert isinstance(kpc_per_arcsec(0.3), float)
    assert kpc_per_arcsec(np.empty(0)).shape == (0,)


@pytest.mark.parametrize("redshift", [0, -0.1, np.nan, np.inf, np.ma.masked_equal([0.1, 0.2], 0.2)])
def test_redshifts_without_a_scale_are_refused(redshift):
    with pytest.raises(InputError, match="redshift must"):
        kpc_per_arcsec(redshift)


def test_default_cosmology_is_the_papers():
    assert get_cosmology(None) is PAPER_COSMOLOGY
    assert cosmology_meta()["H0"] == 71
    assert cosmology_meta()["Om0"] == 0.27


def test_cosmology_by_name_and_numbers():
    assert get_cosmology("Planck18") is Planck18
    flat = get_cosmology("H0=70, Om0=0.3")
    assert isinstance(flat, FlatLambdaCDM)
    assert get_cosmology({"H0": 70, "Om0": 0.3}) == flat
    assert get_cosmology("H0=70,Om0=0.3,Ode0=0.6").Ok0 == pytest.approx(0.1, abs=1e-4)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("Planck99", "must be one of .*Planck18"),
        ("H0=70", "needs H0 and Om0"),
        ("H0=70,Om0=x", "must be like"),
        ("H0=70,Om0=0.3,w=-1", "needs H0 and Om0"),
        ("H0=-70,Om0=0.3", "H0 above 0"),
        (70, "must be like"),
    ],
)
def test_other_cosmologies_are_refused(given, match):
    with pytest.raises(InputError, match=match):
        get_cosmology(given)
