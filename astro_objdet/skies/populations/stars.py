"""Stars of the Milky Way in a direction, by a thin disc, a thick disc and a halo.

Densities and scale heights are those of Juric et al. (2008, ApJ 673, 864, Table
10); luminosities of the solar neighbourhood follow Wielen et al. (1983).
"""

from functools import lru_cache

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from astro_objdet.skies.drawing import Sources

__all__ = ["draw_stars", "star_counts"]

_SUN_KPC, _SUN_HEIGHT = 8.0, 0.025
_THICK, _HALO = 0.12, 0.005
# Binaries count once: with this factor the north pole has the stars counted there.
_COUNTED = 0.7
# Absolute r magnitude, stars per magnitude and pc^3, g-r, of the main sequence.
_MAIN_SEQUENCE = np.array(
    [
        (0.0, 0.4e-4, -0.20),
        (1.0, 1.2e-4, -0.15),
        (2.0, 3.5e-4, 0.00),
        (3.0, 8.0e-4, 0.20),
        (4.0, 1.9e-3, 0.35),
        (5.0, 2.9e-3, 0.48),
        (6.0, 3.3e-3, 0.70),
        (7.0, 3.0e-3, 0.98),
        (8.0, 4.2e-3, 1.30),
        (9.0, 6.0e-3, 1.40),
        (10.0, 8.5e-3, 1.43),
        (11.0, 9.5e-3, 1.45),
        (12.0, 8.0e-3, 1.48),
        (13.0, 6.0e-3, 1.52),
    ]
)
# Faint dwarfs of one g-r go on in r-i, which tells their luminosity (Juric, Eq. 1).
_R_I = np.array([-0.2, -0.17, -0.08, 0.05, 0.11, 0.17, 0.26, 0.4, 0.65, 0.95, 1.2, 1.45, 1.7, 2.0])
_R_EDGES = np.arange(8.0, 27.01, 0.25)
_M_EDGES = np.arange(-0.5, 13.51, 0.5)


@lru_cache(maxsize=256)
def star_counts(longitude, latitude):
    """Expected stars per square degree in cells of r and absolute magnitude.

    Parameters
    ----------
    longitude, latitude : float
        Galactic, in degrees; nearer than 5 deg to the plane counts as 5, since no
        dust is modelled.

    Returns
    -------
    `numpy.ndarray` (n_r, n_M)
        Cells of 0.25 mag in r from 8 to 27 and 0.5 mag in M_r from -0.5 to 13.5.
    """
    latitude = np.copysign(max(abs(latitude), 5.0), latitude)
    m_abs = (_M_EDGES[1:] + _M_EDGES[:-1]) / 2
    m_app = (_R_EDGES[1:] + _R_EDGES[:-1]) / 2
    kpc = 10 ** ((m_app[:, None] - m_abs) / 5 + 1) / 1e3
    b, l_ = np.radians(latitude), np.radians(longitude)
    z = kpc * np.sin(b) + _SUN_HEIGHT
    in_plane = kpc * np.cos(b)
    r = np.sqrt(_SUN_KPC**2 + in_plane**2 - 2 * _SUN_KPC * in_plane * np.cos(l_))

    def disc(height, length):
        return np.exp(-(np.abs(z) - _SUN_HEIGHT) / height - (r - _SUN_KPC) / length)

    halo = (np.sqrt(r**2 + (z / 0.64) ** 2 + 0.5) / _SUN_KPC) ** -2.77
    # no young bright stars in the old components
    old = np.where(m_abs > 3.5, 1.0, np.where(m_abs > 2.5, 0.3, 0.1))
    density = disc(0.300, 2.6) + old * (_THICK * disc(0.900, 3.6) + _HALO * halo)
    local = np.exp(np.interp(m_abs, _MAIN_SEQUENCE[:, 0], np.log(_MAIN_SEQUENCE[:, 1])))
    # volume of a shell of 0.25 mag in distance modulus, on one square degree
    shell = (kpc * 1e3) ** 3 * np.log(10) / 5 * 0.25 * (np.pi / 180) ** 2
    return _COUNTED * density * local * shell * 0.5


def draw_stars(rng, shape, pixel_scale, center, faintest=22.5, bright_excess=1.0):
    """Stars on a field down to r = ``faintest``.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    shape : tuple of int
        (ny, nx) in pixels; stars lie up to 30 arcsec outside.
    pixel_scale : float
        Arcsec per pixel.
    center : tuple of float
        RA and Dec in degrees: galactic latitude says how many.
    faintest : float
    bright_excess : float
        Factor on the number of those brighter than r = 12.

    Returns
    -------
    `Sources`
        With radius and index 0.
    """
    galactic = SkyCoord(*center, unit=u.deg).galactic
    per_degree = star_counts(round(galactic.l.deg), round(galactic.b.deg))
    pad = 30 / pixel_scale
    size = np.array(shape) + 2 * pad
    area = size.prod() * (pixel_scale / 3600) ** 2
    r_mid = (_R_EDGES[1:] + _R_EDGES[:-1]) / 2
    factor = np.where(r_mid < 12, bright_excess, 1.0) * (r_mid < faintest) * area
    counts = rng.poisson(per_degree * factor[:, None])
    row, column = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    n = len(row)
    r_mag = _R_EDGES[row] + 0.25 * rng.random(n)
    m_abs = _M_EDGES[column] + 0.5 * rng.random(n)
    g_r = np.interp(m_abs, _MAIN_SEQUENCE[:, 0], _MAIN_SEQUENCE[:, 2]) + rng.normal(0, 0.05, n)
    r_i = np.interp(m_abs, _MAIN_SEQUENCE[:, 0], _R_I) + rng.normal(0, 0.04, n)
    mags = np.stack([r_mag + g_r, r_mag, r_mag - r_i], axis=1)
    zero = np.zeros(n)
    return Sources(
        x=rng.uniform(-pad, size[1] - pad, n),
        y=rng.uniform(-pad, size[0] - pad, n),
        flux=10 ** ((22.5 - mags) / 2.5),
        radius=zero,
        axis_ratio=np.ones(n),
        angle=zero.copy(),
        index=zero.copy(),
    )
