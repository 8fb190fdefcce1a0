import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.stats import mad_std

from astro_objdet.catalogs.cosmology import PAPER_COSMOLOGY, kpc_per_arcsec
from astro_objdet.errors import InputError
from astro_objdet.skies.populations import (
    characteristic_magnitude,
    cluster_galaxies,
    draw_richness,
    field_galaxies,
    red_sequence,
    stars,
)
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
        redshift_range=(0.12, 0.13),
        margin=100,
        center=(0.0, 12.0),
    )
    (row,) = field.truth
    x, y = field.wcs.world_to_pixel(SkyCoord(row["ra"], row["dec"]))
    assert (x, y) == pytest.approx((row["x"].value, row["y"].value), abs=1e-6)
    i_band = field.image[2]
    around = i_band[int(y) - 3 : int(y) + 5, int(x) - 3 : int(x) + 5]
    assert around.max() > 20 * np.median(i_band)


def test_half_width_is_250_kpc():
    field = render_field(SDSS, (64, 64), seed=2, clusters=5, groups=0, noise=False)
    for row in field.truth:
        arcsec = row["half_width"].value * SDSS.pixel_scale
        kpc = arcsec / PAPER_COSMOLOGY.arcsec_per_kpc_proper(row["redshift"]).value
        assert kpc == pytest.approx(250, rel=1e-3)


def test_noise_and_binning():
    """Two pixels averaged each way halve the noise per unit of sky."""
    for survey in (SURVEYS["sdss"], SDSS):
        field = render_field(survey, (256, 256), seed=1, clusters=0, groups=0)
        sigma = mad_std(field.image, axis=(1, 2)) / survey.pixel_scale**2
        np.testing.assert_allclose(sigma, survey.noise, rtol=0.2)
    assert SDSS.noise[1] == SURVEYS["sdss"].noise[1] / 2
    assert len(render_field(SDSS, (32, 32), seed=1, clusters=0, groups=0).truth) == 0


def test_scale_of_the_paper():
    """Section 2.2: 2000 px are 1443 kpc at z = 0.1 and 2588 kpc at z = 0.2."""
    field = 2000 * 0.396
    assert field * kpc_per_arcsec(0.1) == pytest.approx(1443, abs=2)
    assert field * kpc_per_arcsec(0.2) == pytest.approx(2588, abs=4)


def test_counts_on_the_sky():
    """Per square degree: galaxies to r = 20 and 22, stars to r = 20.

    The integrals of the slopes that the populations state.
    """
    rng = np.random.default_rng(0)
    area = (4000 * 0.396 / 3600) ** 2
    galaxies = np.mean(
        [n_brighter(field_galaxies(rng, (4000, 4000), 0.396), (20, 22)) for _ in range(8)], 0
    )
    assert galaxies[0] / area == pytest.approx(1400, rel=0.2)
    assert galaxies[1] / area == pytest.approx(10100, rel=0.2)
    star = np.median([n_brighter(stars(rng, (4000, 4000), 0.396), (20,)) for _ in range(15)])
    assert star / area == pytest.approx(2200, rel=0.4)


def n_brighter(sources, limits):
    r_mag = 22.5 - 2.5 * np.log10(sources.flux[:, 1])
    return [int((r_mag < limit).sum()) for limit in limits]


def test_members_are_red_and_central():
    rng = np.random.default_rng(3)
    members = cluster_galaxies(rng, 500.0, 400.0, 0.2, 60.0, 0.396)
    assert (members.x[0], members.y[0]) == (500, 400)
    r, i = 22.5 - 2.5 * np.log10(members.flux[:, 1]), 22.5 - 2.5 * np.log10(members.flux[:, 2])
    g = 22.5 - 2.5 * np.log10(members.flux[:, 0])
    _, g_r, r_i = red_sequence(0.2)
    assert np.median(g - r) == pytest.approx(g_r, abs=0.12)
    assert np.median(r - i) == pytest.approx(r_i, abs=0.05)
    mpc = np.hypot(members.x - 500, members.y - 400) * 0.396 * kpc_per_arcsec(0.2) / 1e3
    assert np.median(mpc) < 0.7
    # richness counts members brighter than 0.2 L* within R_lambda = 1.27 Mpc
    bright = (i < characteristic_magnitude(0.2) + 1.75) & (mpc < 1.27)
    assert bright.sum() == pytest.approx(60, rel=0.4)


def test_richness_starts_at_the_cut():
    richness = draw_richness(np.random.default_rng(0), 5000)
    assert richness.min() > 19.7
    assert np.median(richness) == pytest.approx(27.5, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"survey": "sdds"}, "survey must be one of 'des', 'sdss'; got 'sdds'"),
        ({"shape": (0, 10)}, r"shape\[0\] must be a finite number above 0, got 0"),
        ({"redshift_range": (0.3, 0.1)}, "redshift_range must rise within"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(InputError, match=message):
        render_field(**{"seed": 1, **options})


def test_position_units():
    field = render_field(SDSS, (64, 64), seed=2)
    assert field.truth["ra"].unit == u.deg
    assert field.truth["half_width"].unit == u.pixel
