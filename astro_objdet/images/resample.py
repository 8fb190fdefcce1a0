"""Resampling to another pixel scale, tile by tile.

The kernel is separable and every output pixel is made from its own input pixels
with weights that follow from its absolute index alone, added in a fixed order. A
tile computed from a section of the image therefore equals the same part of the
whole resampled image bit for bit.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from astro_objdet.errors import check_positive

__all__ = ["ResampledAxis", "resample_section", "snap_factor"]

# A pixel scale within 1 % of the wanted one (or of an integer multiple of it) is used as it is:
# no recipe depends on its pixel scale more closely than that.
SCALE_TOLERANCE = 0.01


def snap_factor(factor):
    """Return ``factor``, or the integer it is within 1 % of.

    Parameters
    ----------
    factor : float
        Output pixel scale divided by input pixel scale.

    Returns
    -------
    float
    """
    check_positive("factor", factor)
    nearest = round(factor)
    if nearest >= 1 and abs(factor / nearest - 1) < SCALE_TOLERANCE:
        return float(nearest)
    return float(factor)


@dataclass(frozen=True)
class ResampledAxis:
    """One image axis of ``n_in`` pixels, resampled by ``factor``.

    Parameters
    ----------
    n_in : int
        Length of the input axis.
    factor : float
        Input pixels per output pixel. Above 1 an output pixel is the area-weighted mean
        of the input under it, below 1 it is interpolated linearly, at 1 it is copied.
    """

    n_in: int
    factor: float

    @property
    def n_out(self):
        """Length of the output axis; the last pixel may be covered in part."""
        return max(1, math.ceil(self.n_in / self.factor - 1e-6))

    def span(self, start, stop):
        """Return the input range ``(first, last + 1)`` that outputs [start, stop) use."""
        index, _ = self.kernel(start, stop)
        return int(index.min()), int(index.max()) + 1

    def kernel(self, start, stop):
        """Return input indices and weights of the outputs [start, stop).

        Returns
        -------
        index : ndarray of int, shape (stop - start, k)
            Absolute input indices, inside the axis.
        weight : ndarray of float32, shape (stop - start, k)
            In input pixels: overlaps when averaging, interpolation weights otherwise.
        """
        return _kernel(self, start, stop)


# Tiles are read in strips that share the kernel across.
@lru_cache(maxsize=32)
def _kernel(axis, start, stop):
    out = np.arange(start, stop, dtype=float)
    if axis.factor == 1:
        index, weight = out[:, None], np.ones((out.size, 1))
    elif axis.factor < 1:
        centre = (out + 0.5) * axis.factor - 0.5
        first = np.floor(centre)
        index = first[:, None] + np.arange(2)
        part = centre - first
        weight = np.stack([1 - part, part], axis=1)
    else:
        low = out * axis.factor
        high = low + axis.factor
        k = math.ceil(axis.factor) + (0 if axis.factor.is_integer() else 1)
        index = np.floor(low)[:, None] + np.arange(k)
        weight = np.minimum(high[:, None], index + 1) - np.maximum(low[:, None], index)
        weight = np.clip(weight, 0, 1)
        weight[index >= axis.n_in] = 0
    index = np.clip(index, 0, axis.n_in - 1).astype(int)
    weight = weight.astype(np.float32)
    index.flags.writeable = weight.flags.writeable = False
    return index, weight


def _sum_along(values, index, weight, axis):
    """Weighted sum of ``values`` over one axis (-2 or -1), in a fixed order."""
    n_out, k = index.shape
    stop = int(index[-1, -1]) + 1
    if k > 1 and n_out * k == stop - int(index[0, 0]) and np.all(weight == 1):
        # Whole blocks: strided views give the same sums in the same order, without copies.
        first = int(index[0, 0])
        parts = [
            values[(..., slice(first + i, stop, k)) + (slice(None),) * (-axis - 1)]
            for i in range(k)
        ]
        total = parts[0] + parts[1]
        for part in parts[2:]:
            total += part
        return total
    shape = (n_out, 1) if axis == -2 else (n_out,)
    total = values.take(index[:, 0], axis=axis)
    total *= weight[:, 0].reshape(shape)
    for i in range(1, k):
        part = values.take(index[:, i], axis=axis)
        part *= weight[:, i].reshape(shape)
        total += part
    return total


def resample_section(data, mask, y_axis, x_axis, window, origin=(0, 0)):
    """Mean surface brightness on the output pixels of one window.

    Parameters
    ----------
    data : ndarray of float32, shape (band, h, w)
        A section of the input image; bad pixels are ignored.
    mask : ndarray of bool, shape (band, h, w)
        True where a pixel is bad.
    y_axis, x_axis : ResampledAxis
        The two axes of the whole image.
    window : tuple of int
        Output pixels ``(y0, y1, x0, x1)``, inside the output grid.
    origin : tuple of int
        Input pixel ``(y, x)`` of ``data[:, 0, 0]``. The section has to hold the spans
        of both axes.

    Returns
    -------
    data : ndarray of float32, shape (band, y1 - y0, x1 - x0)
        0 where the output is masked.
    mask : ndarray of bool
        True where less than half of an output pixel is covered by good input pixels.
    """
    y0, y1, x0, x1 = window
    y_index, y_weight = y_axis.kernel(y0, y1)
    x_index, x_weight = x_axis.kernel(x0, x1)
    y_index, x_index = y_index - origin[0], x_index - origin[1]
    any_bad = bool(mask.any())
    if any_bad:
        data = np.where(mask, np.float32(0), data)
    total = _sum_along(data, y_index, y_weight, -2)
    total = _sum_along(total, x_index, x_weight, -1)
    full = y_weight.sum(axis=1)[:, None] * x_weight.sum(axis=1)
    # Cells that reach over the edge of the image count as partly bad.
    least = np.float32(0.5 * max(y_axis.factor, 1) * max(x_axis.factor, 1))
    if not any_bad:
        total /= full
        bad = np.broadcast_to(full < least, total.shape).copy()
    else:
        hidden = _sum_along(mask.astype(np.float32), y_index, y_weight, -2)
        hidden = _sum_along(hidden, x_index, x_weight, -1)
        good = np.subtract(full, hidden, out=hidden)
        bad = good < least
        good[bad] = 1
        total /= good
    if bad.any():
        total[bad] = 0
    return total, bad
