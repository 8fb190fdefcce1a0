"""Galaxies of a cluster or group around its central one."""

import numpy as np

from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.skies.drawing import Sources
from astro_objdet.skies.populations.relations import (
    blue_cloud,
    central_magnitude,
    characteristic_magnitude,
    early_type_radius,
    late_type_radius,
    red_sequence,
)

__all__ = ["cluster_galaxies", "make_sources", "nfw_radii", "schechter_magnitudes"]

#: Scatter of a central's magnitude at given redshift and richness, and of the red
#: sequence's colours: redMaPPer's, less the width of the bins and the errors.
CENTRAL_SCATTER = 0.40
RED_SCATTER = (0.045, 0.020)

#: Magnitudes below m* of 0.2 L*, to which richness counts.
RICHNESS_DEPTH = 1.747
#: Error of redMaPPer's richness in units of its square root, at z < 0.33: 0.42 to 0.57.
RICHNESS_ERROR = 0.5


def make_sources(rng, x, y, i_mag, colors, radius, index, flattest=0.35):
    """`Sources` from i magnitudes and (g-r, r-i), with random shapes and angles."""
    n = len(x)
    r_mag = i_mag + colors[1]
    mags = np.stack(np.broadcast_arrays(r_mag + colors[0], r_mag, i_mag), axis=1)
    return Sources(
        x=np.asarray(x, dtype=float),
        y=np.asarray(y, dtype=float),
        flux=10 ** ((22.5 - mags) / 2.5),
        radius=np.broadcast_to(np.asarray(radius, dtype=float), n).copy(),
        axis_ratio=rng.uniform(flattest, 1.0, n),
        angle=rng.uniform(0, np.pi, n),
        index=np.broadcast_to(np.asarray(index, dtype=float), n).copy(),
    )


def cluster_galaxies(rng, x, y, redshift, richness, pixel_scale, faintest=22.5):
    """Members of a cluster or group whose central galaxy is at pixel (x, y).

    Richness counts red galaxies brighter than 0.2 L* within
    R_lambda = (richness/100)^0.2 Mpc/h (Rykoff et al. 2014, Eqs. 4 and 5), so as many
    are drawn, within redMaPPer's error; fainter and blue ones are added, and the infall
    region out to 2 R_lambda.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    x, y : float
    redshift, richness : float
    pixel_scale : float
        Arcsec per pixel.
    faintest : float
        Faintest r magnitude.

    Returns
    -------
    `Sources`
        The central galaxy first, its extended light second.
    """
    arcsec_per_kpc = 1 / kpc_per_arcsec(redshift)
    central = _central_galaxies(rng, x, y, redshift, richness, pixel_scale)
    m_star = characteristic_magnitude(redshift)
    g_r, r_i = red_sequence(redshift)
    depth = np.clip(faintest - r_i - m_star, 0.5, 6.0)
    relative, r = _red_members(rng, richness, depth)
    n = len(r)
    radius_mpc = (richness / 100) ** 0.2 / 0.71
    radius_px = radius_mpc * 1e3 * arcsec_per_kpc / pixel_scale
    dx, dy = _places(rng, r, radius_px)
    red_kpc = early_type_radius(relative) * rng.lognormal(0, 0.3, n)
    colors = (
        g_r - 0.022 * (relative + 1.5) + rng.normal(0, RED_SCATTER[0], n),
        r_i - 0.008 * (relative + 1.5) + rng.normal(0, RED_SCATTER[1], n),
    )
    # blue ones come on top of the red that richness counts: few in rich cores, more
    # outside, in groups, at the faint end and in the past
    odds = 0.25 * (1 + 2 * redshift) * (r + 0.3) * (richness / 30) ** -0.2
    odds = np.clip(odds * (1 + 0.25 * np.maximum(relative, 0)), 0, 2.0)
    twins = np.flatnonzero(rng.random(n) < odds / 2)
    parts = [
        central,
        make_sources(
            rng,
            x + dx,
            y + dy,
            m_star + relative,
            colors,
            red_kpc * arcsec_per_kpc,
            np.where(rng.random(n) < 0.6, 4.0, 2.5),
        ),
        _blue_members(rng, x, y, redshift, m_star, relative[twins], r[twins] * radius_px),
    ]
    return Sources.join(parts)


def _blue_members(rng, x, y, redshift, m_star, relative, distance):
    """Late types as far from the centre, in pixels, as the red ones they are drawn with."""
    n = len(relative)
    phi = rng.uniform(0, 2 * np.pi, n)
    g_r, r_i = blue_cloud(redshift)
    shift = rng.normal(0, 1, n)
    radius = late_type_radius(relative) * rng.lognormal(0, 0.35, n) / kpc_per_arcsec(redshift)
    return make_sources(
        rng,
        x + distance * np.cos(phi),
        y + distance * np.sin(phi),
        m_star + relative + 0.3,
        (g_r + 0.13 * shift, r_i + 0.06 * shift + rng.normal(0, 0.04, n)),
        radius,
        1.0,
        flattest=0.2,
    )


def _red_members(rng, richness, depth):
    """Magnitudes below m* and radii in R_lambda of the red satellites.

    Those that richness counts are as many as it says; those around, by chance.
    """
    within_cut, total = _schechter_numbers(depth)
    counted = round(max(richness - 1 + RICHNESS_ERROR * np.sqrt(richness) * rng.normal(), 0))
    beyond = 1.4  # a third of those within 2 R_lambda lie outside R_lambda; rivals count too
    n = rng.poisson(max(richness - 1, 0) * beyond * total / within_cut)
    relative, r = schechter_magnitudes(rng, n, depth), nfw_radii(rng, n)
    around = (relative > RICHNESS_DEPTH) | (r > 1)
    inner = schechter_magnitudes(rng, counted, RICHNESS_DEPTH)
    bright = inner < depth
    return (
        np.concatenate([inner[bright], relative[around]]),
        np.concatenate([nfw_radii(rng, counted, reach=1.0)[bright], r[around]]),
    )


def _places(rng, r, radius_px):
    """Offsets in pixels at radii in R_lambda: an elongated profile, at times two."""
    n = len(r)
    phi = rng.uniform(0, 2 * np.pi, n)
    squeeze, tilt = rng.uniform(0.5, 1.0), rng.uniform(0, np.pi)
    dx, dy = r * np.cos(phi), r * np.sin(phi) * squeeze
    if rng.random() < 0.25:  # a clump of members that falls in
        part = rng.random(n) < rng.uniform(0.1, 0.35)
        far, where = rng.uniform(0.3, 1.0), rng.uniform(0, 2 * np.pi)
        dx = np.where(part, 0.4 * dx + far * np.cos(where), dx)
        dy = np.where(part, 0.4 * dy + far * np.sin(where), dy)
    cos, sin = np.cos(tilt), np.sin(tilt)
    dx, dy = dx * cos - dy * sin, dx * sin + dy * cos
    return dx * radius_px, dy * radius_px


def _central_galaxies(rng, x, y, redshift, richness, pixel_scale):
    """Central galaxy, its extended light, and often rivals beside it."""
    arcsec_per_kpc = 1 / kpc_per_arcsec(redshift)
    g_r, r_i = red_sequence(redshift)
    # Below the red sequence's brightest, groups' centrals fade more slowly
    i_mag = central_magnitude(redshift, max(richness, 4)) + rng.normal(0, CENTRAL_SCATTER)
    i_mag = min(i_mag, characteristic_magnitude(redshift) + 0.3)
    halo_share = np.clip(0.12 + 0.25 * np.log10(richness / 5), 0.03, 0.4)
    xs, ys = [x, x], [y, y]
    mags = [i_mag - 2.5 * np.log10(1 - halo_share), i_mag - 2.5 * np.log10(halo_share)]
    relative = i_mag - characteristic_magnitude(redshift)
    kpc = [early_type_radius(relative) * rng.lognormal(0, 0.2), 50 * rng.lognormal(0, 0.3)]
    rivals = rng.choice(3, p=(0.55, 0.33, 0.12)) if richness > 12 else 0
    for _ in range(rivals):
        far = rng.uniform(25, 400) * arcsec_per_kpc / pixel_scale
        phi = rng.uniform(0, 2 * np.pi)
        xs.append(x + far * np.cos(phi))
        ys.append(y + far * np.sin(phi))
        mags.append(i_mag + rng.uniform(0.15, 1.2))
        kpc.append(early_type_radius(relative + 0.6) * rng.lognormal(0, 0.25))
    n = len(xs)
    colors = (g_r + rng.normal(0, RED_SCATTER[0], n), r_i + rng.normal(0, RED_SCATTER[1], n))
    for color in colors:  # the envelope is the central galaxy's own
        color[1] = color[0]
    index = np.where(np.arange(n) == 1, 1.0, 4.0)
    radius = np.array(kpc) * arcsec_per_kpc
    galaxies = make_sources(rng, xs, ys, np.array(mags), colors, radius, index, flattest=0.6)
    galaxies.angle[1] = galaxies.angle[0]
    return galaxies


_MAGNITUDES = np.linspace(-2.0, 7.0, 451)


def _schechter(alpha):
    """Cumulative number of galaxies brighter than each of ``_MAGNITUDES``."""
    luminosity = 10 ** (-0.4 * _MAGNITUDES)
    return np.cumsum(luminosity ** (alpha + 1) * np.exp(-luminosity))


def _schechter_numbers(depth, alpha=-0.9):
    """Relative numbers brighter than 0.2 L* and than ``depth`` above m*."""
    numbers = _schechter(alpha)
    return np.interp((RICHNESS_DEPTH, depth), _MAGNITUDES, numbers)


def schechter_magnitudes(rng, count, faintest, brightest=-1.4, alpha=-0.9):
    """Magnitudes relative to m*, from a Schechter function between two limits."""
    numbers = _schechter(alpha)
    low, high = np.interp((brightest, faintest), _MAGNITUDES, numbers)
    return np.interp(rng.uniform(low, high, count), numbers, _MAGNITUDES)


def nfw_radii(rng, count, concentration=4.0, reach=2.0):
    """Projected radii of an NFW profile in units of R_lambda, to ``reach``.

    Projected number within R: Lokas & Mamon 2001, Eq. 43.
    """
    grid = np.geomspace(0.01, reach, 200)
    t = grid * concentration
    inner = np.arccosh(1 / np.minimum(t, 1 - 1e-9)) / np.sqrt(np.maximum(1 - t**2, 1e-9))
    outer = np.arccos(1 / np.maximum(t, 1 + 1e-9)) / np.sqrt(np.maximum(t**2 - 1, 1e-9))
    within = np.log(t / 2) + np.where(t < 1, inner, outer)
    return np.interp(rng.random(count) * within[-1], within, grid)
