"""Galaxies outside of the haloes that are drawn one by one."""

import numpy as np

from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.skies.drawing import Sources
from astro_objdet.skies.populations.haloes import comoving_volume
from astro_objdet.skies.populations.members import make_sources
from astro_objdet.skies.populations.relations import (
    blue_cloud,
    characteristic_magnitude,
    early_type_radius,
    late_type_radius,
    red_sequence,
)

__all__ = ["field_galaxies"]

# Schechter functions in i, per comoving Mpc^3 (H0 = 71), as Loveday et al. (2012,
# Table 3) find for red and blue galaxies; the red without what `haloes` draws. The
# normalisation is set by the counts (docs/skies.rst).
_RED = {"phi": 1.0e-3, "alpha": -0.5}
_BLUE = {"phi": 1.6e-3, "alpha": -1.3}

_Z_EDGES = np.concatenate([np.arange(0.004, 0.1, 0.004), np.arange(0.1, 1.51, 0.02)])
_M_EDGES = np.arange(-2.0, 7.01, 0.1)


def _blue_characteristic(redshift):
    """m*_i of blue galaxies: fainter than the red today, and faster brightening."""
    return characteristic_magnitude(redshift) + 0.35 - 0.7 * np.minimum(redshift, 1.0)


def field_galaxies(rng, shape, pixel_scale, large_scale, faintest=22.5, bright_excess=1.0):
    """Galaxies of the field down to r = ``faintest``, clustered in groups of a few.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    shape : tuple of int
        (ny, nx) in pixels; galaxies lie up to 30 arcsec outside.
    pixel_scale : float
        Arcsec per pixel.
    large_scale : `LargeScale`
    faintest : float
    bright_excess : float
        Factor on the number of those brighter than r = 15.5, which are rare and
        which a detector has to learn to pass over.

    Returns
    -------
    `Sources`
        Nearby spirals have a bulge and knots in two arms.
    """
    pad = 30 / pixel_scale
    size = np.array(shape) + 2 * pad
    area = size.prod() * (pixel_scale / 3600) ** 2
    kinds = []
    for red, values in ((True, _RED), (False, _BLUE)):
        z, relative = _draw(rng, red, values, area, large_scale, faintest, bright_excess)
        kinds.append((np.full(len(z), red), z, relative))
    red, z, relative = (np.concatenate(part) for part in zip(*kinds, strict=True))
    x, y = _clumped(rng, z, size, pixel_scale)
    x, y = x - pad, y - pad
    return Sources.join(
        [
            _red_galaxies(rng, x[red], y[red], z[red], relative[red]),
            _blue_galaxies(rng, x[~red], y[~red], z[~red], relative[~red], pixel_scale),
        ]
    )


def _draw(rng, red, values, area, large_scale, faintest, bright_excess):
    """Redshift and magnitude relative to m* of one kind of galaxy."""
    z = (_Z_EDGES[1:] + _Z_EDGES[:-1]) / 2
    m = (_M_EDGES[1:] + _M_EDGES[:-1]) / 2
    luminosity = 10 ** (-0.4 * m)
    schechter = 0.921 * luminosity ** (values["alpha"] + 1) * np.exp(-luminosity) * 0.1
    volume = comoving_volume(_Z_EDGES, area) * large_scale(z)
    expected = values["phi"] * volume[:, None] * schechter
    m_star = characteristic_magnitude(z) if red else _blue_characteristic(z)
    color = (red_sequence if red else blue_cloud)(z)[1]
    r_mag = (m_star + color)[:, None] + m
    expected = np.where(r_mag < 15.5, bright_excess, 1.0) * expected * (r_mag < faintest)
    counts = rng.poisson(expected)
    row, column = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    n = len(row)
    width = np.diff(_Z_EDGES)[row]
    return _Z_EDGES[row] + width * rng.random(n), _M_EDGES[column] + 0.1 * rng.random(n)


def _clumped(rng, z, size, pixel_scale, share=0.35, group_mpc=0.4):
    """Positions, with a share of the galaxies beside another one of their redshift."""
    n = len(z)
    order = np.argsort(z)
    x, y = rng.uniform(0, size[1], n), rng.uniform(0, size[0], n)
    follows = np.flatnonzero(rng.random(n) < share)
    follows = follows[follows > 0]
    # in order of redshift the one before is the nearest in depth; chains make groups
    spread = group_mpc * 1e3 / kpc_per_arcsec(np.maximum(z[order], 0.01)) / pixel_scale
    for k in follows:
        step = rng.normal(0, spread[k], 2)
        x[k], y[k] = (x[k - 1] + step[0]) % size[1], (y[k - 1] + step[1]) % size[0]
    back = np.empty(n, dtype=int)
    back[order] = np.arange(n)
    return x[back], y[back]


def _red_galaxies(rng, x, y, z, relative):
    n = len(x)
    g_r, r_i = red_sequence(z)
    colors = (
        g_r - 0.022 * (relative + 1.5) + rng.normal(0, 0.055, n),
        r_i - 0.008 * (relative + 1.5) + rng.normal(0, 0.025, n),
    )
    radius = early_type_radius(relative) * rng.lognormal(0, 0.35, n) / kpc_per_arcsec(z)
    index = np.where(rng.random(n) < 0.6, 4.0, 2.5)
    i_mag = characteristic_magnitude(z) + relative
    return make_sources(rng, x, y, i_mag, colors, radius, index)


def _blue_galaxies(rng, x, y, z, relative, pixel_scale):
    """Discs; those above m* + 1 with bulges, the large ones with arms."""
    n = len(x)
    g_r, r_i = blue_cloud(z)
    # luminous spirals are redder; dust reddens those seen edge on
    shift = rng.normal(0, 1, n) - 0.35 * (relative - 1)
    colors = [g_r + 0.13 * shift, r_i + 0.055 * shift + rng.normal(0, 0.04, n)]
    kpc = late_type_radius(relative) * rng.lognormal(0, 0.4, n)
    radius = kpc / kpc_per_arcsec(z)
    i_mag = _blue_characteristic(z) + relative
    share = np.where(relative < 1.5, rng.beta(1.5, 5, n), 0.0)
    bulge = np.flatnonzero(share > 0.03)
    disc_mag = i_mag - 2.5 * np.log10(1 - share)
    discs = make_sources(rng, x, y, disc_mag, colors, radius, 1.0, flattest=0.15)
    red = red_sequence(z[bulge])
    bulges = make_sources(
        rng,
        x[bulge],
        y[bulge],
        i_mag[bulge] - 2.5 * np.log10(share[bulge]),
        red,
        0.25 * radius[bulge],
        2.5,
    )
    bulges.angle = discs.angle[bulge]
    bulges.axis_ratio = np.maximum(discs.axis_ratio[bulge], 0.6)
    spirals = np.flatnonzero((radius > 5.0) & (i_mag < 17))
    arms = [_arms(rng, discs, k, pixel_scale) for k in spirals]
    return Sources.join([discs, bulges, *arms])


def _arms(rng, discs, row, pixel_scale):
    """A fifth of a disc's light as blue knots along two logarithmic arms."""
    n = int(rng.integers(40, 120))
    radius = discs.radius[row]
    r = radius * rng.uniform(0.35, 2.2, n)
    pitch = np.tan(np.radians(rng.uniform(10, 28)))
    theta = np.log(r / radius) / pitch * rng.choice((-1, 1))
    theta = theta + np.pi * rng.integers(0, 2, n) + rng.normal(0, 0.18, n)
    u, v = r * np.cos(theta), r * np.sin(theta) * discs.axis_ratio[row]
    cos, sin = np.cos(discs.angle[row]), np.sin(discs.angle[row])
    light = np.exp(-1.68 * r / radius) * rng.exponential(1, n)
    flux = 0.2 * discs.flux[row] * np.array([1.25, 1.0, 0.85])
    discs.flux[row] *= 0.8
    return Sources(
        x=discs.x[row] + (u * cos - v * sin) / pixel_scale,
        y=discs.y[row] + (u * sin + v * cos) / pixel_scale,
        flux=flux * (light / light.sum())[:, None],
        radius=np.full(n, 0.08 * radius),
        axis_ratio=np.ones(n),
        angle=np.zeros(n),
        index=np.ones(n),
    )
