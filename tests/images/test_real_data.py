"""Real survey images through read_bands and TileGrid."""

import astropy.units as u
import numpy as np
import pytest

from astro_objdet.errors import InputError, UncalibratedWarning
from astro_objdet.images import SqrtFluxStretch, TileGrid, read_bands

FIELDS = {
    "sdss": ([f"sdss/reprojected_sdss_{b}.fits.bz2" for b in "gri"], "gri", 496, 682, 1.19),
    "cfhtls": ([f"cfhtls/CFHTLS-test_{b}.fits" for b in "gri"], "gri", 440, 440, 0.186),
    "kids": ([f"kids/KiDS-test_{b}.fits" for b in "gri"], "gri", 101, 101, 0.2),
    "ps1": ([f"ps1/PS1-test_{b}.fits" for b in "riz"], "riz", 49, 49, 0.2),
    "decals": (["decals/cutout_59.1067_-30.4848.fits"], "grz", 256, 256, 0.262),
    "des": (["des/SPT-CLJ0157-5821_zrg_8bit.fits"], "zrg", 512, 512, 0.45),
}


@pytest.fixture(params=FIELDS)
def field(request, sample_data):
    names, *rest = FIELDS[request.param]
    paths = [sample_data / n for n in names]
    return request.param, paths if len(paths) > 1 else paths[0], *rest


def test_loads(field):
    name, image, bands, ny, nx, scale = field
    with read_bands(image) as stack:
        assert stack.bands == tuple(bands)
        assert stack.shape == (3, ny, nx)
        assert stack.pixel_scale.to_value(u.arcsec) == pytest.approx(scale, rel=0.01)
        assert stack.stretched == (name == "des")
        assert stack.unit == (None if name in ("des", "ps1") else u.nmgy)
        data, mask = stack.read_all()
        assert np.isfinite(data).all()
        # The PS1 stamps do not lie on quite the same grid: some edges are not covered.
        assert mask.mean() < (0.15 if name == "ps1" else 0.01)
        assert (stack.noise() > 0).all()


@pytest.mark.filterwarnings("ignore::astro_objdet.errors.UncalibratedWarning")
def test_tiles_of_any_field(field):
    _, image, *_ = field
    with read_bands(image) as stack:
        grid = TileGrid(stack, 0.792, 256, 32, SqrtFluxStretch(-0.5, 30))
        for tile in grid.tiles:
            out = grid.read(tile)
            assert out.shape == (3, *tile.shape)
            assert 0 <= out.min() <= out.max() <= 1
            assert out.std() > 0


@pytest.mark.parametrize("name", ["cfhtls", "kids", "decals"])
def test_sky_noise_is_that_of_a_deep_survey(sample_data, name):
    """A wrong zero point would show: in r all three reach 24-25 mag."""
    names, *_ = FIELDS[name]
    paths = [sample_data / n for n in names]
    stack = read_bands(paths if len(paths) > 1 else paths[0])
    noise = stack.noise() / stack.pixel_scale.to_value(u.arcsec) ** 2
    assert 0.005 < noise[1] < 0.2


def test_what_the_headers_say(sample_data):
    cfhtls = read_bands([sample_data / n for n in FIELDS["cfhtls"][0]])
    assert cfhtls.psf_fwhm["r"].to_value(u.arcsec) == pytest.approx(0.879)
    with pytest.warns(UncalibratedWarning, match="no known flux scale"):
        TileGrid(read_bands([sample_data / n for n in FIELDS["ps1"][0]]), 0.5, 64, 0, None)


def test_decals_by_hdu(sample_data):
    path = sample_data / FIELDS["decals"][0][0]
    assert read_bands(path, hdu=[5, 3, 1]).bands == ("z", "r", "g")
    assert read_bands(path, bands=("z", "g")).bands == ("z", "g")
    with pytest.raises(InputError, match="missing band i; the image has g, r, z"):
        read_bands(path).select(("i",))


def test_cfhtls_and_sdss_do_not_overlap(sample_data):
    image = {"g": sample_data / FIELDS["cfhtls"][0][0], "r": sample_data / FIELDS["sdss"][0][1]}
    with pytest.raises(InputError, match="bands cover different areas of the sky"):
        read_bands(image)
