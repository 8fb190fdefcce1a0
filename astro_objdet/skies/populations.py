"""Galaxies, clusters and stars to put on a rendered sky.

A first, plain model of the extragalactic sky in g, r and i. Cluster colours and
the magnitudes of central galaxies are medians of the redMaPPer SDSS DR8
catalogue (Rykoff et al. 2014) in bins of redshift; docs/skies.rst has the
command that measures them.
"""

import numpy as np

from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.skies.drawing import Sources

__all__ = [
    "cluster_galaxies",
    "draw_richness",
    "field_galaxies",
    "red_sequence",
    "stars",
]

# redshift, i of the central galaxy, g-r, r-i: medians of redMaPPer's MODEL_MAG in
# bins of 0.04; the first and last rows are extrapolated for field galaxies.
_RED_SEQUENCE = np.array(
    [
        (0.02, 12.30, 0.800, 0.380),
        (0.10, 14.86, 0.985, 0.425),
        (0.14, 15.60, 1.106, 0.447),
        (0.18, 16.24, 1.249, 0.477),
        (0.22, 16.73, 1.384, 0.504),
        (0.26, 17.09, 1.489, 0.533),
        (0.30, 17.45, 1.594, 0.568),
        (0.34, 17.78, 1.720, 0.594),
        (0.38, 18.08, 1.763, 0.630),
        (0.42, 18.36, 1.755, 0.695),
        (0.46, 18.55, 1.755, 0.791),
        (0.50, 18.76, 1.722, 0.908),
        (0.70, 19.70, 1.700, 1.150),
    ]
)
# Richness of redMaPPer clusters at 0.1 < z < 0.35: percentiles 0 to 100.
_RICHNESS = (19.8, 21.2, 22.4, 23.8, 25.3, 27.4, 30.3, 33.9, 39.3, 49.8, 202.6)


def red_sequence(redshift):
    """Central galaxy's i magnitude and the colours g-r, r-i at ``redshift``."""
    z = _RED_SEQUENCE[:, 0]
    return tuple(np.interp(redshift, z, _RED_SEQUENCE[:, k]) for k in (1, 2, 3))


def characteristic_magnitude(redshift):
    """Magnitude m*_i of the cluster luminosity function (Rykoff et al. 2014, Eq. 9)."""
    t = np.log(redshift)
    return 22.44 + 3.36 * t + 0.273 * t**2 - 0.0618 * t**3 - 0.0227 * t**4


def draw_richness(rng, size):
    """Richness of clusters from redMaPPer's distribution."""
    return np.interp(rng.random(size), np.linspace(0, 1, len(_RICHNESS)), _RICHNESS)


def _sources(rng, x, y, i_mag, g_r, r_i, radius, index):
    """`Sources` from magnitudes and colours, with random shapes."""
    r_mag = i_mag + r_i
    mags = np.stack([r_mag + g_r, r_mag, i_mag], axis=1)
    n = len(x)
    return Sources(
        x=np.asarray(x, dtype=float),
        y=np.asarray(y, dtype=float),
        flux=10 ** ((22.5 - mags) / 2.5),
        radius=np.broadcast_to(np.asarray(radius, dtype=float), n).copy(),
        axis_ratio=rng.uniform(0.35, 1.0, n),
        angle=rng.uniform(0, np.pi, n),
        index=np.broadcast_to(np.asarray(index, dtype=float), n).copy(),
    )


def field_galaxies(rng, shape, pixel_scale, faintest=23.0, bright_excess=1.0):
    """Galaxies of the field from r = 10.5 down to ``faintest``.

    Counts follow 10^0.5m to r = 20 (1600 per magnitude and square degree there,
    which makes about 100 per square degree to r = 17.77) and flatten beyond; a third
    are red and passive. ``bright_excess`` multiplies those brighter than r = 15.5.
    """
    edges = np.arange(10.5, faintest + 1e-9, 0.25)
    r_mid = (edges[:-1] + edges[1:]) / 2
    slope = np.where(r_mid < 20, 0.5 * (r_mid - 20), 0.38 * (r_mid - 20))
    per_bin = 1600 * 10**slope * 0.25 * _square_degrees(shape, pixel_scale)
    per_bin = np.where(r_mid < 15.5, bright_excess, 1.0) * per_bin
    # sky variance of a few arcmin: counts differ by a third from field to field
    n = rng.poisson(per_bin * rng.lognormal(0, 0.2))
    r_mag = np.repeat(r_mid, n) + rng.uniform(-0.125, 0.125, n.sum())
    count = len(r_mag)
    z = 0.1 * 10 ** (0.16 * (r_mag - 17.7)) * rng.lognormal(0, 0.35, count)
    z = np.clip(z, 0.01, 0.9)
    _, g_r, r_i = red_sequence(z)
    passive = rng.random(count) < 0.35
    blue_gr = 0.38 + 0.6 * z + rng.normal(0, 0.15, count)
    blue_ri = 0.18 + 0.35 * z + rng.normal(0, 0.10, count)
    g_r = np.where(passive, g_r + rng.normal(0, 0.07, count), blue_gr)
    r_i = np.where(passive, r_i + rng.normal(0, 0.05, count), blue_ri)
    radius = 10 ** (-0.13 * (r_mag - 20) + rng.normal(0, 0.18, count))
    x, y = _clumped_positions(rng, count, shape, pixel_scale)
    return _sources(rng, x, y, r_mag - r_i, g_r, r_i, radius, np.where(passive, 4.0, 1.0))


def _clumped_positions(rng, count, shape, pixel_scale, share=0.3):
    """Positions of which a share sit in pairs and small clumps (20 arcsec)."""
    ny, nx = shape
    x, y = rng.uniform(0, nx, count), rng.uniform(0, ny, count)
    follows = rng.random(count) < share
    leader = rng.integers(0, max(count, 1), count)
    spread = 20 / pixel_scale
    x[follows] = x[leader[follows]] + rng.normal(0, spread, follows.sum())
    y[follows] = y[leader[follows]] + rng.normal(0, spread, follows.sum())
    return x, y


def stars(rng, shape, pixel_scale, faintest=22.0, bright_excess=1.0):
    """Stars of a field at high galactic latitude, r from 9 to ``faintest``.

    ``bright_excess`` multiplies those brighter than r = 12.
    """
    edges = np.arange(9.0, faintest + 1e-9, 0.5)
    r_mid = (edges[:-1] + edges[1:]) / 2
    per_bin = 400 * 10 ** (0.17 * (r_mid - 18)) * 0.5
    per_bin = np.where(r_mid < 12, bright_excess, 1.0) * per_bin
    per_bin *= _square_degrees(shape, pixel_scale) * rng.lognormal(0, 0.5)
    n = rng.poisson(per_bin)
    r_mag = np.repeat(r_mid, n) + rng.uniform(-0.25, 0.25, n.sum())
    count = len(r_mag)
    dwarf = rng.random(count) < np.clip(0.2 + 0.08 * (r_mag - 15), 0.1, 0.65)
    g_r = np.where(dwarf, rng.normal(1.42, 0.07, count), rng.normal(0.5, 0.17, count))
    r_i = np.where(dwarf, rng.uniform(0.5, 1.7, count), 0.38 * g_r - 0.02)
    x, y = rng.uniform(0, shape[1], count), rng.uniform(0, shape[0], count)
    return _sources(rng, x, y, r_mag - r_i, g_r, r_i, 0.0, 0.0)


def cluster_galaxies(rng, x, y, redshift, richness, pixel_scale):
    """Members of a cluster or group whose central galaxy is at pixel (x, y).

    Richness counts red galaxies brighter than 0.2 L* within
    R_lambda = (richness/100)^0.2 Mpc/h; fainter and blue ones are added.

    Returns
    -------
    `Sources`
        The central galaxy first.
    """
    arcsec_per_kpc = 1 / kpc_per_arcsec(redshift)
    centre = _central_galaxy(rng, x, y, redshift, richness, pixel_scale)
    m_star = characteristic_magnitude(redshift)
    i_mag = m_star + _schechter(rng, rng.poisson(2.0 * richness), faintest=3.2)
    count = len(i_mag)
    radius_mpc = (richness / 100) ** 0.2 / 0.71
    r_px = _nfw_radii(rng, count) * radius_mpc * 1e3 * arcsec_per_kpc / pixel_scale
    phi = rng.uniform(0, 2 * np.pi, count)
    # clusters are elongated: squeeze one axis, at a random orientation
    squeeze, tilt = rng.uniform(0.55, 1.0), rng.uniform(0, np.pi)
    dx, dy = r_px * np.cos(phi), r_px * np.sin(phi) * squeeze
    dx, dy = (
        dx * np.cos(tilt) - dy * np.sin(tilt),
        dx * np.sin(tilt) + dy * np.cos(tilt),
    )
    _, g_r, r_i = red_sequence(redshift)
    blue = rng.random(count) < np.clip(0.15 + 0.1 * (i_mag - m_star), 0.05, 0.6)
    tilt_gr = -0.02 * (i_mag - m_star)
    g_r = g_r + tilt_gr + rng.normal(0, 0.05, count) - blue * rng.uniform(0.2, 0.7)
    r_i = r_i + rng.normal(0, 0.025, count) - blue * rng.uniform(0.05, 0.2)
    luminosity = 10 ** (-0.4 * (i_mag - m_star))
    radius = 3.5 * luminosity**0.5 * rng.lognormal(0, 0.3, count) * arcsec_per_kpc
    members = _sources(rng, x + dx, y + dy, i_mag, g_r, r_i, radius, np.where(blue, 1.0, 4.0))
    return Sources.join([centre, members])


def _central_galaxy(rng, x, y, redshift, richness, pixel_scale):
    """Brightest cluster galaxy, its extended light, often a rival beside it."""
    arcsec_per_kpc = 1 / kpc_per_arcsec(redshift)
    i_bcg, g_r, r_i = red_sequence(redshift)
    i_bcg = i_bcg - 1.0 * np.log10(max(richness, 3) / 28) + rng.normal(0, 0.4)
    xs, ys, mags = [x, x], [y, y], [i_bcg + 0.35, i_bcg + 1.4]
    kpc = [12 * rng.lognormal(0, 0.25), 45 * rng.lognormal(0, 0.25)]
    if rng.random() < 0.35:
        r, phi = rng.uniform(30, 350), rng.uniform(0, 2 * np.pi)
        r_px = r * arcsec_per_kpc / pixel_scale
        xs.append(x + r_px * np.cos(phi))
        ys.append(y + r_px * np.sin(phi))
        mags.append(i_bcg + rng.uniform(0.15, 1.0))
        kpc.append(9 * rng.lognormal(0, 0.25))
    count = len(xs)
    galaxies = _sources(
        rng,
        np.array(xs),
        np.array(ys),
        np.array(mags),
        g_r + rng.normal(0, 0.04, count),
        r_i + rng.normal(0, 0.02, count),
        np.array(kpc) * arcsec_per_kpc,
        np.where(np.arange(count) == 1, 1.0, 4.0),
    )
    galaxies.axis_ratio = rng.uniform(0.6, 0.95, count)
    galaxies.angle[1] = galaxies.angle[0]
    return galaxies


def _schechter(rng, count, faintest, brightest=-1.6, alpha=-0.9):
    """Magnitudes relative to m* from a Schechter function, by inversion."""
    grid = np.linspace(brightest, faintest, 200)
    lum = 10 ** (-0.4 * grid)
    cumulative = np.cumsum(lum ** (alpha + 1) * np.exp(-lum))
    return np.interp(rng.random(count), cumulative / cumulative[-1], grid)


def _nfw_radii(rng, count, concentration=4.0, reach=1.5):
    """Projected radii of an NFW profile in units of R_lambda, to ``reach``."""
    grid = np.geomspace(0.01, reach, 200)
    t = grid * concentration
    # projected number within R: Lokas & Mamon 2001, Eq. 43
    inner = np.arccosh(1 / np.minimum(t, 1 - 1e-9)) / np.sqrt(np.maximum(1 - t**2, 1e-9))
    outer = np.arccos(1 / np.maximum(t, 1 + 1e-9)) / np.sqrt(np.maximum(t**2 - 1, 1e-9))
    within = np.log(t / 2) + np.where(t < 1, inner, outer)
    return np.interp(rng.random(count) * within[-1], within, grid)


def _square_degrees(shape, pixel_scale):
    return shape[0] * shape[1] * (pixel_scale / 3600) ** 2
