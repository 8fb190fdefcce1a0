import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.stats import mad_std

from astro_objdet.catalogs.cosmology import PAPER_COSMOLOGY, kpc_per_arcsec
from astro_objdet.errors import InputError
from astro_objdet.skies import simulate
from astro_objdet.skies.simulate import SURVEYS, render_field

SDSS = SURVEYS["sdss"].binned(2)


def test_the_same_seed_gives_the_same_bytes():
    one, two, other = (render_field(SDSS, (128, 160), seed=s) for s in (4, 4, 5))
    assert one.image.dtype == np.float32
    assert one.image.shape == (3, 128, 160)
    assert one.image.tobytes() == two.image.tobytes()
    assert one.image.tobytes() != other.image.tobytes()


def test_truth_lies_where_the_galaxy_is():
    field = render_field(
        SDSS,
        (300, 300),
        seed=9,
        clusters=1,
        groups=0,
        noise=False,
        artefacts=False,
        redshift_range=(0.12, 0.13),
        margin=100,
        center=(0.0, 12.0),
    )
    row = field.truth[0]
    x, y = field.wcs.world_to_pixel(SkyCoord(row["ra"], row["dec"]))
    assert (x, y) == pytest.approx((row["x"].value, row["y"].value), abs=1e-6)
    i_band = field.image[2]
    around = i_band[int(y) - 3 : int(y) + 5, int(x) - 3 : int(x) + 5]
    assert around.max() > 20 * np.median(i_band)
    # a nanomaggy per pixel: the central galaxy's light is in the image
    light = 22.5 - 2.5 * np.log10(
        i_band[int(y) - 20 : int(y) + 21, int(x) - 20 : int(x) + 21].sum()
    )
    assert light == pytest.approx(row["i_central"].value, abs=0.6)


def test_half_width_is_250_kpc():
    field = render_field(SDSS, (64, 64), seed=2, clusters=5, groups=0, noise=False)
    assert len(field.truth) >= 5
    for row in field.truth:
        arcsec = row["half_width"].value * SDSS.pixel_scale
        kpc = arcsec / PAPER_COSMOLOGY.arcsec_per_kpc_proper(row["redshift"]).value
        assert kpc == pytest.approx(250, rel=1e-3)


def test_noise_and_binning():
    """Two pixels averaged each way halve the noise per unit of sky."""
    for survey in (SURVEYS["sdss"], SDSS):
        field = render_field(survey, (256, 256), seed=1, clusters=0, groups=0, artefacts=False)
        sigma = mad_std(field.image, axis=(1, 2)) / survey.pixel_scale**2
        np.testing.assert_allclose(sigma, survey.noise, rtol=0.2)
    assert SDSS.noise[1] == SURVEYS["sdss"].noise[1] / 2
    assert len(render_field(SDSS, (32, 32), seed=1, clusters=0, groups=0).truth) == 0


def test_a_survey_by_name_draws_its_seeing():
    one, two = (render_field("sdss", (64, 64), seed=s).survey.psf_fwhm for s in (1, 2))
    assert one != two
    assert render_field(SDSS, (64, 64), seed=1).survey is SDSS


def test_nature_has_groups_and_few_clusters():
    truth = [render_field(SDSS, (512, 512), seed=s, noise=False).truth for s in range(6)]
    richness = np.concatenate([np.asarray(t["richness"]) for t in truth])
    assert (richness < 20).sum() > 5
    assert (richness >= 20).sum() < 5


def test_scale_of_the_paper():
    """Section 2.2: 2000 px are 1443 kpc at z = 0.1 and 2588 kpc at z = 0.2."""
    field = 2000 * 0.396
    assert field * kpc_per_arcsec(0.1) == pytest.approx(1443, abs=2)
    assert field * kpc_per_arcsec(0.2) == pytest.approx(2588, abs=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"survey": "sdds"}, "survey must be one of .*'sdss'; got 'sdds'"),
        ({"shape": (0, 10)}, r"shape\[0\] must be a whole number from 1 up, got 0"),
        ({"shape": 64}, r"shape must be \(ny, nx\), got 64"),
        ({"shape": (64, 64, 3)}, r"shape must be \(ny, nx\), got \(64, 64, 3\)"),
        ({"shape": (64, 64.5)}, r"shape\[1\] must be a whole number from 1 up, got 64.5"),
        ({"redshift_range": (0.3, 0.1)}, "redshift_range must rise within"),
        ({"redshift_range": 0.3}, "redshift_range must rise within"),
        ({"clusters": -1}, "clusters must be a whole number from 0 up, got -1"),
        ({"groups": 1.5}, "groups must be a whole number from 0 up, got 1.5"),
        ({"shape": (64, 99), "margin": 32}, "margin must leave pixels of the shape .*, got 32"),
        ({"faintest": np.inf}, "faintest must be a finite magnitude, got inf"),
        ({"center": (180, 91)}, r"center must be .* \|dec\| ≤ 90, got \(180, 91\)"),
        ({"center": 180}, "center must be RA and Dec in degrees"),
        ({"seed": -1}, "seed must be a whole number from 0 up, .* got -1"),
        ({"seed": "seven"}, "seed must be a whole number from 0 up, .* got 'seven'"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(InputError, match=message):
        render_field(**{"seed": 1, **options})


def test_position_units():
    field = render_field(SDSS, (64, 64), seed=2, clusters=1)
    assert field.truth["ra"].unit == u.deg
    assert field.truth["half_width"].unit == u.pixel
    assert field.truth["i_central"].unit == u.mag


def test_a_masked_cluster_is_not_in_the_truth(monkeypatch):
    """What lies behind a masked edge cannot be found, and is not missed."""

    def mask_all(image, sources, survey, rng):
        image[0, :, : image.shape[2] // 2] = np.nan
        return {}

    monkeypatch.setattr(simulate, "add_artefacts", mask_all)
    field = render_field(SDSS, (128, 128), seed=2, clusters=12, groups=0, noise=False)
    x = field.truth["x"].value
    assert 0 < len(x) < 12
    assert x.min() > 60
