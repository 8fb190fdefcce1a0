"""Fixtures shared by the rooms: a seeded field, its WCS, and the real sample data."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS

from astro_objdet.images import read_bands


def _make_wcs(shape=(96, 128), scale=0.396, ra=150.0, dec=2.0, rotation=0.0):
    """A TAN WCS with its reference at the image centre; scale in arcsec, rotation in degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    wcs.wcs.cd = scale / 3600 * np.array([[-cos, sin], [sin, cos]])
    wcs.wcs.set()
    return wcs


@pytest.fixture(scope="session")
def make_wcs():
    """A function of shape, scale, ra, dec and rotation that makes a TAN WCS."""
    return _make_wcs


@pytest.fixture
def tan_wcs():
    """TAN, 0.396 arcsec, for an image of 96 rows and 128 columns."""
    return _make_wcs()


@pytest.fixture
def field_array():
    """Three bands (96, 128) of seeded noise of 0.02 with a bright source at x = 40, y = 30."""
    data = np.random.default_rng(7).normal(0, 0.02, (3, 96, 128)).astype(np.float32)
    y, x = np.mgrid[:96, :128]
    data += 2 * np.exp(-((x - 40) ** 2 + (y - 30) ** 2) / 8).astype(np.float32)
    return data


@pytest.fixture
def small_stack(field_array, tan_wcs):
    """The seeded field as a calibrated stack of i, r, g."""
    return read_bands((field_array, tan_wcs), bands=("i", "r", "g"), unit="nmgy")


@pytest.fixture(scope="session")
def sample_data():
    """Folder of real survey images, which do not come with the package."""
    beside = Path(__file__).parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("ASTRO_OBJDET_SAMPLE_DATA", beside)).resolve()
    if not (folder / "sdss").is_dir():
        pytest.skip(f"no sample data in {folder} (ASTRO_OBJDET_SAMPLE_DATA names another folder)")
    return folder
