"""One band as a lazily read plane: raw pixels by section, and what marks them bad."""

import numpy as np

from astro_objdet.errors import InputError

__all__ = ["ArrayPixels", "Plane", "bad_inverse_variance", "bad_uncertainty"]


class ArrayPixels:
    """Pixels of anything that slices like an array: ndarray, memmap, HDF5 data set.

    Parameters
    ----------
    array : array-like
        2-D, or more dimensions with ``index`` choosing one plane of the leading ones.
    index : tuple of int
    """

    def __init__(self, array, index=()):
        self._array = array
        self._index = tuple(index)
        self.shape = tuple(array.shape[len(self._index) :])
        self.dtype = np.dtype(array.dtype)

    def read(self, y0, y1, x0, x1):
        """Return pixels ``[y0:y1, x0:x1]`` in the type they have."""
        return np.asarray(self._array[(*self._index, slice(y0, y1), slice(x0, x1))])


def bad_inverse_variance(values):
    """True where an inverse variance says that a pixel holds nothing."""
    return ~(values > 0) | ~np.isfinite(values)


def bad_uncertainty(values):
    """True where a standard deviation or variance cannot be one.

    Zero is kept: many writers fill unknown uncertainties with it.
    """
    return ~(values >= 0) | ~np.isfinite(values)


class Plane:
    """Data and mask of one band.

    Parameters
    ----------
    pixels : object with ``shape``, ``dtype`` and ``read(y0, y1, x0, x1)``
    blank : int, optional
        Raw value that stands for an undefined integer pixel.
    scale : float
        Factor onto the values, the calibration.

    Notes
    -----
    `mark_bad` adds reasons for a pixel to be bad; non-finite values always are.
    """

    def __init__(self, pixels, blank=None, scale=1.0):
        self.pixels = pixels
        self.scale = scale
        self._blank = blank
        self._marks = []

    @property
    def shape(self):
        """Shape (ny, nx)."""
        return self.pixels.shape

    def mark_bad(self, pixels, is_bad, what="mask"):
        """Mark a pixel bad where ``is_bad`` says so of another plane's raw values."""
        if tuple(pixels.shape) != tuple(self.shape):
            raise InputError(
                f"{what} must have the shape of the image, {self.shape}, got {tuple(pixels.shape)}"
            )
        self._marks.append((pixels, is_bad))

    def read_into(self, data, mask, y0, y1, x0, x1):
        """Fill ``data`` (float32) and ``mask`` (bool) with ``[y0:y1, x0:x1]``."""
        raw = self.pixels.read(y0, y1, x0, x1)
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(data, raw, casting="unsafe")
            if self.scale != 1:
                data *= self.scale
        if raw.dtype.kind == "f":
            np.isfinite(data, out=mask)
            np.logical_not(mask, out=mask)
        else:
            mask[...] = raw == self._blank if self._blank is not None else False
        for pixels, is_bad in self._marks:
            mask |= is_bad(pixels.read(y0, y1, x0, x1))
        if mask.any():
            data[mask] = 0
