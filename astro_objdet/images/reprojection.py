"""A band on another grid, brought onto the reference grid block by block."""

import threading
from collections import OrderedDict

import numpy as np
from astropy.wcs import WcsError
from reproject import reproject_interp

from astro_objdet.errors import InputError
from astro_objdet.images.grid import pixel_geometry, quiet_astropy

__all__ = ["ReprojectedPlane"]

# Target pixels on a side of a block, and how many blocks are kept. Blocks lie at fixed places, so
# that a pixel has the same value whatever section is read.
BLOCK = 512
KEPT_BLOCKS = 48


class ReprojectedPlane:
    """A plane seen through another WCS.

    Bilinear interpolation of surface brightness; the flux per pixel is rescaled by the
    ratio of pixel areas at the image centres. Bad pixels do not spread: data and goodness
    are interpolated apart, and what has less than half its weight from good pixels is bad.

    Parameters
    ----------
    plane : Plane
        The band as it lies in its file.
    wcs : `~astropy.wcs.WCS`
        Its WCS.
    target_wcs : `~astropy.wcs.WCS`
    target_shape : tuple of int
    conserve_flux : bool
        Rescale by pixel area; False for pictures, whose values are not fluxes.
    """

    def __init__(self, plane, wcs, target_wcs, target_shape, conserve_flux=True):
        self._plane = plane
        self._wcs = wcs
        self._target_wcs = target_wcs
        self.shape = tuple(target_shape)
        self._ratio = 1.0
        if conserve_flux:
            target_area = pixel_geometry(target_wcs, target_shape)[2]
            self._ratio = target_area / pixel_geometry(wcs, plane.shape)[2]
        self._blocks = OrderedDict()
        self._lock = threading.RLock()

    @property
    def scale(self):
        """Factor onto the values, the calibration."""
        return self._plane.scale

    @scale.setter
    def scale(self, value):
        with self._lock:
            self._plane.scale = value
            self._blocks.clear()

    def read_into(self, data, mask, y0, y1, x0, x1):
        """Fill ``data`` (float32) and ``mask`` (bool) with ``[y0:y1, x0:x1]``."""
        for by in range(y0 // BLOCK, (y1 - 1) // BLOCK + 1):
            for bx in range(x0 // BLOCK, (x1 - 1) // BLOCK + 1):
                values, bad = self._block(by, bx)
                top, left = by * BLOCK, bx * BLOCK
                lo_y, hi_y = max(y0, top), min(y1, top + BLOCK)
                lo_x, hi_x = max(x0, left), min(x1, left + BLOCK)
                inside = np.s_[lo_y - top : hi_y - top, lo_x - left : hi_x - left]
                outside = np.s_[lo_y - y0 : hi_y - y0, lo_x - x0 : hi_x - x0]
                data[outside] = values[inside]
                mask[outside] = bad[inside]

    def _block(self, by, bx):
        # One block at a time: readers of neighbouring tiles want the same ones.
        with self._lock:
            if (by, bx) in self._blocks:
                self._blocks.move_to_end((by, bx))
                return self._blocks[by, bx]
            block = self._make_block(by * BLOCK, bx * BLOCK)
            self._blocks[by, bx] = block
            if len(self._blocks) > KEPT_BLOCKS:
                self._blocks.popitem(last=False)
            return block

    def _make_block(self, y0, x0):
        shape = (min(BLOCK, self.shape[0] - y0), min(BLOCK, self.shape[1] - x0))
        data, bad = np.zeros(shape, np.float32), np.ones(shape, bool)
        with quiet_astropy():
            window = np.s_[y0 : y0 + shape[0], x0 : x0 + shape[1]]
            target = self._target_wcs[window]
            section = self._source_section(target, shape)
            if section is None:
                return data, bad
            sy0, sy1, sx0, sx1 = section
            source = np.zeros((2, sy1 - sy0, sx1 - sx0), np.float32)
            source_bad = np.zeros(source.shape[1:], bool)
            self._plane.read_into(source[0], source_bad, sy0, sy1, sx0, sx1)
            source[1] = ~source_bad
            try:
                values, _ = reproject_interp(
                    (source, self._wcs[sy0:sy1, sx0:sx1]), target, shape_out=shape, order="bilinear"
                )
            except (WcsError, ValueError) as err:
                raise InputError(f"a band cannot be reprojected: {err}") from err
        good = np.nan_to_num(values[1])
        bad = ~(good >= 0.5)
        np.divide(np.nan_to_num(values[0]), good, out=data, where=~bad, casting="unsafe")
        data *= self._ratio
        return data, bad

    def _source_section(self, target, shape):
        """Source pixels under a block, from a mesh over it, or None where it lies outside."""
        y = np.linspace(-1, shape[0], 17)[:, None]
        x = np.linspace(-1, shape[1], 17)[None, :]
        sky = target.pixel_to_world(*np.broadcast_arrays(x, y))
        sx, sy = (np.asarray(v, float) for v in self._wcs.world_to_pixel(sky))
        found = np.isfinite(sx) & np.isfinite(sy)
        if not found.any():
            return None
        ny, nx = self._plane.shape
        # The mesh samples the block: between its points a distortion moves by far less than this.
        y0, y1 = int(sy[found].min()) - 8, int(sy[found].max()) + 9
        x0, x1 = int(sx[found].min()) - 8, int(sx[found].max()) + 9
        y0, y1, x0, x1 = max(y0, 0), min(y1, ny), max(x0, 0), min(x1, nx)
        return (y0, y1, x0, x1) if y1 > y0 and x1 > x0 else None
