"""Magnitudes, colours and sizes of galaxies against redshift and luminosity.

Red galaxies follow redMaPPer's centrals and its characteristic magnitude; the
rest is published fits, each named where it is used. Magnitudes are AB in the
bands g, r and i, before extinction.
"""

import numpy as np
from scipy.interpolate import PchipInterpolator

from astro_objdet.catalogs.cosmology import PAPER_COSMOLOGY

__all__ = [
    "blue_cloud",
    "central_magnitude",
    "characteristic_magnitude",
    "early_type_radius",
    "late_type_radius",
    "red_sequence",
]

# redshift, i of the central galaxy at richness 30, g-r, r-i: medians of
# redMaPPer's MODEL_MAG in bins of 0.04 from 0.10 to 0.50 (docs/skies.rst has the
# program); the rows before and after are extrapolated for field galaxies.
_RED_SEQUENCE = np.array(
    [
        (0.00, 9.50, 0.750, 0.370),
        (0.02, 11.60, 0.800, 0.385),
        (0.05, 13.35, 0.868, 0.400),
        (0.10, 14.87, 0.985, 0.425),
        (0.14, 15.63, 1.106, 0.447),
        (0.18, 16.24, 1.249, 0.477),
        (0.22, 16.73, 1.384, 0.504),
        (0.26, 17.08, 1.489, 0.533),
        (0.30, 17.46, 1.594, 0.568),
        (0.34, 17.79, 1.720, 0.594),
        (0.38, 18.11, 1.763, 0.630),
        (0.42, 18.45, 1.755, 0.695),
        (0.46, 18.72, 1.755, 0.791),
        (0.50, 19.00, 1.722, 0.908),
        (0.70, 19.70, 1.700, 1.150),
        (1.00, 20.80, 1.650, 1.250),
        (1.50, 22.00, 1.500, 1.000),
    ]
)
_I_CENTRAL, _G_R, _R_I = (
    PchipInterpolator(_RED_SEQUENCE[:, 0], _RED_SEQUENCE[:, k]) for k in (1, 2, 3)
)
# Slope of the central's magnitude with log10 richness, fitted in the same bins.
_CENTRAL_SLOPE = -0.92

#: M*_r that the sizes are scaled from: Blanton et al. 2003, Table 2, for H0 = 71.
_M_STAR_R = -21.2


_Z_GRID = np.geomspace(1e-3, 2.0, 400)
_DISTANCE_MODULUS = PAPER_COSMOLOGY.distmod(_Z_GRID).value


def red_sequence(redshift):
    """Colours (g-r, r-i) of a red galaxy of the central's luminosity."""
    return _G_R(redshift), _R_I(redshift)


def central_magnitude(redshift, richness):
    """Median i magnitude of a central galaxy: brighter in richer clusters."""
    rich = np.log10(np.maximum(richness, 1) / 30)
    return _I_CENTRAL(redshift) + _CENTRAL_SLOPE * rich


def blue_cloud(redshift):
    """Colours (g-r, r-i) in the middle of the blue cloud.

    An Sbc spiral of g-r = 0.5 near by; further away, where faint galaxies are, later types
    whose colours hardly redden with redshift: the median g-r of galaxies of r = 22 to 24 in
    pictures of the Dark Energy Survey is 0.65.
    """
    z = np.asarray(redshift, dtype=float)
    return 0.40 + 0.28 * np.tanh(z / 0.25), 0.18 + 0.40 * np.tanh(z / 0.9) ** 1.2


def characteristic_magnitude(redshift):
    """Magnitude m*_i of red galaxies (Rykoff et al. 2014, Eq. 9, for 0.05 < z < 0.7).

    Beyond those redshifts it moves with the distance modulus.
    """
    z = np.asarray(redshift, dtype=float)
    inside = np.clip(z, 0.05, 0.7)
    t = np.log(inside)
    m = 22.44 + 3.36 * t + 0.273 * t**2 - 0.0618 * t**3 - 0.0227 * t**4
    return m + _distmod(z) - _distmod(inside)


def _distmod(redshift):
    return np.interp(np.log(redshift), np.log(_Z_GRID), _DISTANCE_MODULUS)


def early_type_radius(relative_magnitude):
    """Median half-light radius in kpc of an early type, ``relative_magnitude`` above m*.

    Shen et al. 2003, Eq. 14 and Figure 4: a = 0.65, b = -5.06.
    """
    m_r = _M_STAR_R + np.asarray(relative_magnitude, dtype=float)
    return np.maximum(10 ** (-0.4 * 0.65 * m_r - 5.06), 0.6)


def late_type_radius(relative_magnitude):
    """Median half-light radius in kpc of a late type (Shen et al. 2003, Eq. 15)."""
    m_r = _M_STAR_R + np.asarray(relative_magnitude, dtype=float)
    bend = np.log10(1 + 10 ** (-0.4 * (m_r + 20.91)))
    return 10 ** (-0.4 * 0.26 * m_r + (0.51 - 0.26) * bend - 1.71)
