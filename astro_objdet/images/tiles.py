"""Overlapping tiles of the image at a recipe's pixel scale, and who owns which pixel."""

import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import astropy.units as u
import numpy as np

from astro_objdet.errors import InputError, UncalibratedWarning, check_positive
from astro_objdet.images.grid import pixel_geometry
from astro_objdet.images.resample import ResampledAxis, resample_section, snap_factor

__all__ = ["SDSS_NOISE", "Tile", "TileGrid", "make_tiles"]

# Sky noise of SDSS imaging in nanomaggy / arcsec2 per 0.396 arcsec pixel; about the same in r,
# half of it in g and twice in i.
SDSS_NOISE = 0.17

# Grid rows resampled at a time: with a section that fits the cache, a tile takes half the time.
STRIP = 64


@dataclass(frozen=True)
class Tile:
    """A window of the grid and the part of it that this tile owns.

    Parameters
    ----------
    index : int
    x0, y0, x1, y1 : int
        The window in grid pixels, half open. It may reach beyond the right and upper
        edge of the grid: that part is padding.
    core_x0, core_y0, core_x1, core_y1 : float
        The owned part in edge coordinates, half open. Infinite at the outer border of
        the grid, so that an object centred outside of the image is still owned.
    """

    index: int
    x0: int
    y0: int
    x1: int
    y1: int
    core_x0: float
    core_y0: float
    core_x1: float
    core_y1: float

    @property
    def shape(self):
        """Shape (height, width) of the window."""
        return self.y1 - self.y0, self.x1 - self.x0

    def owns(self, x, y):
        """Say which centres this tile owns.

        Parameters
        ----------
        x, y : float or ndarray
            Centres in grid pixels, edge coordinates (the first pixel spans 0 to 1).

        Returns
        -------
        ndarray of bool
        """
        x, y = np.asarray(x), np.asarray(y)
        inside_x = (x >= self.core_x0) & (x < self.core_x1)
        return inside_x & (y >= self.core_y0) & (y < self.core_y1)


def _windows(length, size, overlap, multiple):
    """Windows of one axis as (start, stop, core start, core stop)."""
    if length <= size:
        return [(0, min(math.ceil(length / multiple) * multiple, size), -math.inf, math.inf)]
    count = math.ceil((length - overlap) / (size - overlap))
    starts = [round(i * (length - size) / (count - 1)) for i in range(count)]
    # A border lies in the middle of what two neighbours share.
    borders = [
        (left + size + right) // 2 for left, right in zip(starts[:-1], starts[1:], strict=True)
    ]
    edges = [-math.inf, *map(float, borders), math.inf]
    return [(s, s + size, edges[i], edges[i + 1]) for i, s in enumerate(starts)]


def make_tiles(shape, size, overlap, multiple=32):
    """Cut a grid into overlapping windows of which each pixel has one owner.

    Parameters
    ----------
    shape : tuple of int
        Shape (ny, nx) of the grid.
    size : int
        Side of a window, the most a tile is wide or high.
    overlap : int
        Pixels that neighbouring windows share at least.
    multiple : int
        Where the grid is smaller than ``size``, its one window is rounded up to a multiple of this
        (never above ``size``), and reaches beyond the grid.

    Returns
    -------
    list of Tile
        Row by row. Where the grid is larger than ``size``, windows have that side
        and lie inside the grid.

    Raises
    ------
    InputError
        If ``overlap`` is negative or not below ``size``.
    """
    for name, value in (("size", size), ("multiple", multiple), *zip("yx", shape, strict=True)):
        check_positive(name, value)
    if not 0 <= overlap < size:
        raise InputError(f"overlap must lie from 0 to below the tile size {size}, got {overlap}")
    columns = _windows(shape[1], size, overlap, multiple)
    rows = _windows(shape[0], size, overlap, multiple)
    return [
        Tile(i, x0, y0, x1, y1, cx0, cy0, cx1, cy1)
        for i, ((y0, y1, cy0, cy1), (x0, x1, cx0, cx1)) in enumerate(
            (row, column) for row in rows for column in columns
        )
    ]


class TileGrid:
    """A stack at a recipe's pixel scale, read tile by tile.

    Parameters
    ----------
    stack : BandStack
    pixel_scale : float, Quantity or None
        Wanted scale in arcsec. None, or a stack without WCS: pixels stay as they are.
    size, overlap : int
        Side of a tile and overlap of neighbours, in grid pixels.
    stretch : callable
        Takes (band, y, x) surface brightness in nanomaggy / arcsec2, gives 0-1.
        Not used for a stack that is stretched already.
    reference_noise : float or sequence of float, optional
        Sky sigma in nanomaggy / arcsec2, for all bands or each. A stack without
        calibration has its sky subtracted and is scaled to this; the default is that of SDSS.
    multiple : int
        See `make_tiles`.

    Attributes
    ----------
    shape : tuple of int
        (ny, nx) of the resampled grid.
    tiles : list of Tile
    factor : tuple of float
        Input pixels per grid pixel in x and y.

    Warns
    -----
    UncalibratedWarning
        Once, at construction, for a stack without flux calibration.
    """

    def __init__(
        self, stack, pixel_scale, size, overlap, stretch, reference_noise=None, multiple=32
    ):
        self.stack = stack
        self.stretch = stretch
        if pixel_scale is not None:
            pixel_scale = check_positive(
                "pixel_scale", float(u.Quantity(pixel_scale, u.arcsec).value)
            )
        n_bands, ny, nx = stack.shape
        self.factor = (1.0, 1.0)
        # Without a WCS the pixels are taken to have the recipe's scale.
        area = 1.0 if pixel_scale is None else pixel_scale**2
        if stack.wcs is not None:
            scale_x, scale_y, area = pixel_geometry(stack.wcs, (ny, nx))
            if pixel_scale is not None:
                self.factor = (
                    snap_factor(pixel_scale / scale_x),
                    snap_factor(pixel_scale / scale_y),
                )
        self._x_axis = ResampledAxis(nx, self.factor[0])
        self._y_axis = ResampledAxis(ny, self.factor[1])
        self.shape = (self._y_axis.n_out, self._x_axis.n_out)
        self.tiles = make_tiles(self.shape, size, overlap, multiple)
        self._offset = np.zeros(n_bands, np.float32)
        self._gain = np.full(n_bands, 1 / area, np.float32)
        if stack.stretched:
            self._gain[:] = 1
            self._blank = self._sky_statistics()[0].astype(np.float32)
        elif stack.unit is None:
            self._calibrate_by_noise(SDSS_NOISE if reference_noise is None else reference_noise)

    def __len__(self):
        return len(self.tiles)

    def _calibrate_by_noise(self, reference_noise):
        """Take sky and gain of each band from windows spread over the grid."""
        reference = np.atleast_1d(np.asarray(reference_noise, float))
        if reference.size not in (1, len(self._gain)):
            raise InputError(
                f"reference_noise must be one number or one per band ({len(self._gain)}), "
                f"got {reference.size}"
            )
        warnings.warn(
            "pixel values have no known flux scale (no physical unit, no zero point): their sky "
            "is subtracted and their noise scaled to that of the recipe; give unit or zero_point",
            UncalibratedWarning,
            stacklevel=3,
        )
        sky, sigma = self._sky_statistics()
        with np.errstate(divide="ignore"):
            gain = reference / sigma
        # A band without noise (simulated, or constant) keeps its values.
        self._gain[:] = np.where(np.isfinite(gain), gain, 1)
        self._offset[:] = sky

    def _sky_statistics(self, side=192, count=3):
        """Median sky and robust sigma per band, at the scale of the grid."""
        ny, nx = self.shape
        medians, sigmas = [], []
        for y in {int(f * max(ny - side, 0)) for f in np.linspace(0, 1, count)}:
            for x in {int(f * max(nx - side, 0)) for f in np.linspace(0, 1, count)}:
                data, mask = self._resampled(y, min(y + side, ny), x, min(x + side, nx))
                data = np.where(mask, np.nan, data).reshape(len(data), -1)
                enough = (~mask).reshape(len(data), -1).sum(axis=1) >= min(100, data.shape[1])
                data[~enough] = 0
                middle = np.nanmedian(data, axis=1)
                spread = 1.4826 * np.nanmedian(abs(data - middle[:, None]), axis=1)
                medians.append(np.where(enough, middle, np.nan))
                sigmas.append(np.where(enough, spread, np.nan))
        return _nan_median(medians), _nan_median(sigmas)

    def _resampled(self, y0, y1, x0, x1):
        """Unscaled pixels and mask of a window inside the grid."""
        if self.factor == (1.0, 1.0):
            return self.stack.read(y0, y1, x0, x1)
        data = np.empty((self.stack.shape[0], y1 - y0, x1 - x0), np.float32)
        mask = np.empty(data.shape, bool)
        sx0, sx1 = self._x_axis.span(x0, x1)
        for start in range(y0, y1, STRIP):
            stop = min(start + STRIP, y1)
            sy0, sy1 = self._y_axis.span(start, stop)
            rows = np.s_[:, start - y0 : stop - y0]
            data[rows], mask[rows] = resample_section(
                *self.stack.read(sy0, sy1, sx0, sx1),
                self._y_axis,
                self._x_axis,
                (start, stop, x0, x1),
                (sy0, sx0),
            )
        return data, mask

    def read(self, tile):
        """Read, resample and stretch one tile.

        Parameters
        ----------
        tile : Tile

        Returns
        -------
        ndarray of float32, shape (band, height, width)
            0-1. Pixels that are masked in any band, and padding, have the value of zero flux,
            in a picture its median.
        """
        ny, nx = self.shape
        y1, x1 = min(tile.y1, ny), min(tile.x1, nx)
        image = np.empty((len(self._gain), *tile.shape), np.float32)
        one = np.zeros((len(image), 1, 1), np.float32)
        empty = self._stretched(one, np.ones(one.shape, bool))
        image[:, y1 - tile.y0 :] = image[:, :, x1 - tile.x0 :] = empty

        def fill(start, stop):
            pixels = self._stretched(*self._resampled(start, stop, tile.x0, x1))
            image[:, start - tile.y0 : stop - tile.y0, : x1 - tile.x0] = pixels

        edges = {tile.y0, y1}
        if len(self.tiles) == 1:
            # nothing else is at work while the only tile is read: two halves at a time
            edges.add((tile.y0 + y1) // 2)
        edges = sorted(edges)
        with ThreadPoolExecutor(len(edges) - 1) as pool:
            list(pool.map(fill, edges[:-1], edges[1:]))
        return image

    def _stretched(self, data, mask):
        """Resampled pixels as the model sees them."""
        # what one band lacks would be coloured by the others: red stars look like galaxies
        mask = np.broadcast_to(mask.any(axis=0), data.shape)
        if self._offset.any():
            data -= self._offset[:, None, None]
        if np.any(self._gain != 1):
            data *= self._gain[:, None, None]
        if self.stack.stretched:
            # blank sky in a picture is not black
            data = np.where(mask, self._blank[:, None, None], data)
            return np.clip(data, 0, 1, out=data)
        return self.stretch(data, mask)

    def to_image_pixels(self, boxes):
        """Turn boxes on the grid into boxes on the stack.

        Parameters
        ----------
        boxes : ndarray, shape (n, 4)
            x1, y1, x2, y2 in grid pixels, edge coordinates.

        Returns
        -------
        ndarray of float64, shape (n, 4)
            The same in pixels of the stack, edge coordinates.
        """
        boxes = np.asarray(boxes, dtype=float).reshape(-1, 4)
        fx, fy = self.factor
        return boxes * np.array([fx, fy, fx, fy])


def _nan_median(rows):
    """Median over rows without the warning for columns that are all NaN (these give 0)."""
    rows = np.asarray(rows)
    empty = np.isnan(rows).all(axis=0)
    return np.nanmedian(np.where(empty, 0, rows), axis=0)
