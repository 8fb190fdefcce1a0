"""What is on the sky, against what surveys count there."""

import numpy as np
import pytest
from astropy.io import fits

from astro_objdet.catalogs.cosmology import PAPER_COSMOLOGY, kpc_per_arcsec
from astro_objdet.skies.populations.field import field_galaxies
from astro_objdet.skies.populations.haloes import (
    LargeScale,
    comoving_volume,
    draw_haloes,
    draw_richness,
)
from astro_objdet.skies.populations.members import (
    cluster_galaxies,
    nfw_radii,
    schechter_magnitudes,
)
from astro_objdet.skies.populations.relations import (
    blue_cloud,
    central_magnitude,
    characteristic_magnitude,
    early_type_radius,
    late_type_radius,
    red_sequence,
)
from astro_objdet.skies.populations.stars import draw_stars, star_counts

SCALE = 0.396


class Smooth:
    """A sky without large-scale structure."""

    def __call__(self, redshift, bias=1.0):
        return np.ones_like(redshift)


def magnitudes(sources):
    """g, r and i of each source."""
    return 22.5 - 2.5 * np.log10(sources.flux.T)


def square_degree():
    side = round(3600 / SCALE)
    return (side, side)


def test_clusters_have_redmappers_density():
    """6,804 clusters at 0.1 < z < 0.3 on 10,400 square degrees: 0.654 per square degree."""
    rng = np.random.default_rng(0)
    z, richness = draw_haloes(rng, 2000.0, Smooth(), poorest=15.0)
    here = (richness >= 20) & (z > 0.1) & (z < 0.3)
    assert here.sum() / 2000 == pytest.approx(0.654, rel=0.1)
    assert np.median(richness[here]) == pytest.approx(27.7, rel=0.05)
    assert np.percentile(richness[here], 90) == pytest.approx(50.4, rel=0.08)


def test_groups_go_on_below_the_cut_as_a_power_law():
    _, richness = draw_haloes(np.random.default_rng(1), 100.0, Smooth())
    counts = [(richness >= cut).sum() for cut in (3, 6, 12)]
    assert counts[0] / counts[1] == pytest.approx(2**1.8, rel=0.06)
    assert counts[1] / counts[2] == pytest.approx(2**1.8, rel=0.1)
    assert richness.min() >= 3


def test_redmapper_itself(sample_data):
    """The tables of the package against the catalogue they were measured on."""
    path = sample_data / "catalogs" / "redmapper_dr8_public_v5.10_catalog.fits"
    clusters = fits.getdata(path)
    z, richness = clusters["Z_LAMBDA"], clusters["LAMBDA"]
    g, r, i = clusters["MODEL_MAG"].T[1:4]
    for middle in (0.14, 0.22, 0.30, 0.38, 0.46):
        here = abs(z - middle) < 0.02
        colors = red_sequence(middle)
        assert np.median((g - r)[here]) == pytest.approx(colors[0], abs=0.01)
        assert np.median((r - i)[here]) == pytest.approx(colors[1], abs=0.01)
        expected = np.median(central_magnitude(middle, richness[here]))
        assert np.median(i[here]) == pytest.approx(expected, abs=0.1)
    here = (z > 0.1) & (z < 0.33)
    drawn = draw_richness(np.random.default_rng(0), 20_000)
    percentiles = (10, 30, 50, 70, 90, 99)
    np.testing.assert_allclose(
        np.percentile(drawn, percentiles), np.percentile(richness[here], percentiles), rtol=0.05
    )


def test_large_scale_structure_averages_to_one():
    rng = np.random.default_rng(2)
    factors = np.array([LargeScale(rng, 0.05).factor for _ in range(400)])
    assert factors.mean() == pytest.approx(1, abs=0.02)
    assert factors[:, 10].std() > 0.1  # a slice at z = 0.2 differs from field to field
    wide = np.array([LargeScale(rng, 20.0).factor for _ in range(200)])
    assert wide[:, 10].std() < 0.5 * factors[:, 10].std()


def test_volume():
    whole = comoving_volume(np.array([0.1, 0.2]), 41252.96)[0]
    expected = np.diff(PAPER_COSMOLOGY.comoving_volume([0.1, 0.2]).value)[0]
    assert whole == pytest.approx(expected)


def test_galaxy_counts():
    """Field and haloes together, per magnitude and square degree.

    SDSS has some 90 galaxies per square degree to r = 17.77 (Strauss et al. 2002), and
    3,370 to r = 21.25 (Yasuda et al. 2001, Table 2, summed).
    """
    rng = np.random.default_rng(4)
    r = magnitudes(field_galaxies(rng, square_degree(), SCALE, Smooth()))[1]
    z, richness = draw_haloes(rng, 1.0, Smooth())
    haloes = [cluster_galaxies(rng, 0, 0, *halo, SCALE) for halo in zip(z, richness, strict=True)]
    r = np.concatenate([r, *(magnitudes(h)[1] for h in haloes)])
    assert (r < 17.77).sum() == pytest.approx(90, rel=0.35)
    assert (r < 21.25).sum() == pytest.approx(3370, rel=0.2)


def test_star_counts_fall_with_latitude():
    """At the poles some 1,500 to 2,000 stars per square degree are brighter than r = 20."""
    r = np.arange(8.125, 27, 0.25)
    brighter = {b: star_counts(90, b)[r < 20].sum() for b in (90, 60, 30, -30)}
    assert 1300 < brighter[90] < 2200
    assert brighter[90] < brighter[60] < 0.6 * brighter[30]
    assert brighter[-30] == pytest.approx(brighter[30], rel=0.1)  # the Sun is above the plane
    stars = draw_stars(np.random.default_rng(0), square_degree(), SCALE, (192.86, 27.13))
    north = (magnitudes(stars)[1] < 20).sum() / (1 + 60 / 3600) ** 2
    assert north == pytest.approx(brighter[90], rel=0.1)
    assert (stars.radius == 0).all()


def test_bright_excess_multiplies_the_bright_ones():
    shape = tuple(4 * n for n in square_degree())
    plain, many = (
        magnitudes(
            field_galaxies(
                np.random.default_rng(5), shape, SCALE, Smooth(), 17, bright_excess=excess
            )
        )[1]
        for excess in (1.0, 10.0)
    )
    assert (many < 15).sum() == pytest.approx(10 * (plain < 15).sum(), rel=0.3)


def test_members_are_red_and_as_many_as_richness_says():
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(10):
        members = cluster_galaxies(rng, 500.0, 400.0, 0.2, 60.0, SCALE)
        assert (members.x[0], members.y[0]) == (500, 400)
        g, r, i = magnitudes(members)
        g_r, r_i = red_sequence(0.2)
        red = (abs(g - r - g_r) < 0.2) & (abs(r - i - r_i) < 0.1)
        mpc = np.hypot(members.x - 500, members.y - 400) * SCALE * kpc_per_arcsec(0.2) / 1e3
        # brighter than 0.2 L* within R_lambda = (60/100)^0.2 Mpc/h = 1.27 Mpc
        bright = i < characteristic_magnitude(0.2) + 1.75
        inside.append((red & bright & (mpc < 1.27)).sum())
        assert np.median(g - r) > blue_cloud(0.2)[0] + 0.2
    assert np.mean(inside) == pytest.approx(60, rel=0.15)


def test_schechter_and_nfw():
    rng = np.random.default_rng(6)
    m = schechter_magnitudes(rng, 20_000, 3.0)
    assert m.min() >= -1.5
    assert m.max() <= 3.0
    # number per magnitude at m* + 1 to that at m* + 2.5, from the function itself
    expected = [10 ** (-0.04 * x) * np.exp(-(10 ** (-0.4 * x))) for x in (1.0, 2.5)]
    counts = [(abs(m - x) < 0.1).sum() for x in (1.0, 2.5)]
    assert counts[0] / counts[1] == pytest.approx(expected[0] / expected[1], rel=0.1)
    radii = nfw_radii(rng, 20_000)
    assert radii.max() <= 2.0
    assert (radii < 1).mean() == pytest.approx(0.66, abs=0.02)


def test_relations_have_published_values():
    # Rykoff et al. 2014, Eq. 9 at z = 0.3
    assert characteristic_magnitude(0.3) == pytest.approx(18.85, abs=0.01)
    steps = np.diff(characteristic_magnitude(np.geomspace(0.01, 1.2, 200)))
    assert (steps > 0).all()
    # Shen et al. 2003: an early type of M* has a few kpc, a late type some five
    assert early_type_radius(0.0) == pytest.approx(2.8, rel=0.2)
    assert late_type_radius(0.0) == pytest.approx(3.8, rel=0.25)
    assert early_type_radius(-2.0) > 2.5 * early_type_radius(0.0)
