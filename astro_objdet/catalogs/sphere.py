"""Points on the unit sphere."""

import numpy as np

__all__ = ["normalised", "ra_dec", "unit_vectors"]


def unit_vectors(ra, dec):
    """Points of right ascensions and declinations in degrees.

    Parameters
    ----------
    ra, dec : array_like of float, of one shape

    Returns
    -------
    `~numpy.ndarray` of float64, shape (..., 3)
    """
    ra, dec = np.radians(ra), np.radians(dec)
    # Column by column: stacking would hold millions of rows twice.
    points = np.empty((*np.shape(dec), 3))
    cos = np.cos(dec)
    np.multiply(cos, np.cos(ra), out=points[..., 0])
    np.multiply(cos, np.sin(ra), out=points[..., 1])
    np.sin(dec, out=points[..., 2])
    return points


def normalised(vectors):
    """Vectors of length 1 in the same directions; the last axis is the components."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def ra_dec(points):
    """Degrees of points, shape (N, 3)."""
    x, y, z = points.T
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))
