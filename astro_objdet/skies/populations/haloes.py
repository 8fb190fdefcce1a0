"""Clusters and groups: how many, how rich, how far.

Above richness 20 the distribution is redMaPPer's (SDSS DR8, version 5.10): 6,804
clusters at 0.1 < z < 0.3 on 10,400 square degrees. Below, a power law goes on to
the groups that a cluster finder must not take for clusters.
"""

import numpy as np

from astro_objdet.catalogs.cosmology import PAPER_COSMOLOGY

__all__ = ["RICHNESS_CUT", "LargeScale", "comoving_volume", "draw_haloes", "draw_richness"]

#: What redMaPPer calls a cluster, and the bundled detector is trained to find.
RICHNESS_CUT = 20.0

#: Clusters above the cut per comoving Mpc^3: 0.1-0.2, 0.2-0.3 and 0.3-0.4 of
#: redMaPPer give 4.4, 3.9 and 4.5e-6; no trend with redshift.
DENSITY = 4.1e-6

# Richness that a fraction of redMaPPer's clusters at 0.1 < z < 0.33 stays below.
_FRACTION = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1)
_RICHNESS = (20, 21.2, 22.4, 23.8, 25.4, 27.6, 30.4, 34.1, 39.3, 50.3, 61.8, 80.1, 93.9, 113.4)
_RICHNESS += (156.1, 202.6)
# Slope of the cumulative number below the cut. Mass functions of groups are
# flatter than those of clusters, where redMaPPer's own slope is -2.1.
_GROUP_SLOPE = -1.8

_SLICE = 0.02


def draw_richness(rng, size):
    """Richness of clusters above the cut, from redMaPPer's distribution."""
    return np.interp(rng.random(size), _FRACTION, _RICHNESS)


def _draw_all_richness(rng, size, poorest):
    """Richness from ``poorest`` on; above the cut as `draw_richness`."""
    above = (poorest / RICHNESS_CUT) ** -_GROUP_SLOPE
    u = rng.random(size)
    power_law = poorest * np.maximum(u, 1e-12) ** (1 / _GROUP_SLOPE)
    return np.where(u < above, np.interp(1 - u / above, _FRACTION, _RICHNESS), power_law)


def comoving_volume(edges, area):
    """Volume in Mpc^3 between redshifts ``edges`` on ``area`` square degrees."""
    sphere = PAPER_COSMOLOGY.comoving_volume(edges).value
    return np.diff(sphere) * area / 41252.96


class LargeScale:
    """Over- and underdensity along a line of sight, in slices of redshift.

    Galaxies and haloes of one slice go up and down together, so that clusters
    stand in front of and behind richer sky than the average. The scatter of a
    slice falls with its volume, as counts in cells do (about 0.9 in 8/h Mpc).

    Parameters
    ----------
    rng : `numpy.random.Generator`
    area : float
        Square degrees of the field.
    z_max : float
    """

    def __init__(self, rng, area, z_max=1.5):
        self.edges = np.arange(0.004, z_max + _SLICE, _SLICE)
        volume = comoving_volume(self.edges, area)
        side = np.cbrt(np.maximum(volume, 1.0))
        # a slice is a pencil, longer than wide: its scatter falls faster than a cube's
        sigma = np.minimum(0.9 * (16.0 / side) ** 0.9, 0.9)
        self._s2 = np.log1p(sigma**2)
        self.factor = rng.lognormal(-self._s2 / 2, np.sqrt(self._s2))

    def __call__(self, redshift, bias=1.0):
        """Factor on the density at ``redshift`` for tracers of this bias."""
        index = np.clip(np.searchsorted(self.edges, redshift) - 1, 0, len(self.factor) - 1)
        # a power of a lognormal of mean 1 has another mean
        return self.factor[index] ** bias * np.exp(-0.5 * bias * (bias - 1) * self._s2[index])


def draw_haloes(rng, area, large_scale, poorest=3.0, redshift_range=(0.01, 0.8)):
    """Redshifts and richness of the haloes on a piece of sky at nature's density.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    area : float
        Square degrees.
    large_scale : `LargeScale`
        Haloes follow it with a bias of 1.5.
    poorest : float
        Richness to begin at.
    redshift_range : tuple of float

    Returns
    -------
    redshift, richness : `numpy.ndarray` (n,)
    """
    edges = np.linspace(*redshift_range, 80)
    middle = (edges[1:] + edges[:-1]) / 2
    density = DENSITY * (poorest / RICHNESS_CUT) ** _GROUP_SLOPE
    expected = density * comoving_volume(edges, area) * large_scale(middle, bias=1.5)
    counts = rng.poisson(expected)
    redshift = np.repeat(edges[:-1], counts)
    redshift = redshift + rng.random(len(redshift)) * (edges[1] - edges[0])
    return redshift, _draw_all_richness(rng, len(redshift), poorest)
