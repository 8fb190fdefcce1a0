"""Windows of fields: where they lie, their pixels, and the objects in them."""

import dataclasses
import math
import warnings

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from astro_objdet.errors import BandWarning, InputError
from astro_objdet.images.tiles import Tile, TileGrid

__all__ = ["FieldWindows", "Window", "cover", "window_wcs"]

# What is taught with a larger share of bad pixels in its box is ignored: nobody could find it.
_HIDDEN, _TAUGHT = 0.5, ("target", "decoy")


@dataclasses.dataclass(frozen=True)
class Window:
    """One image for the archive.

    Attributes
    ----------
    tile : `~astro_objdet.images.Tile`
    image : `~numpy.ndarray` (band, size, size)
        float32 surface brightness, NaN where masked; uint8 of a picture.
    masked : float
        Share of its pixels that are bad.
    objects : list of dict
        As `~astro_objdet.skies.archive.ArchiveWriter.append` takes them.
    wcs : `~astropy.wcs.WCS`
    """

    tile: Tile
    image: np.ndarray
    masked: float
    objects: list
    wcs: WCS


def _unstretched(data, mask):
    """In place of a stretch: surface brightness as it is, NaN where masked."""
    return np.where(mask, np.float32(np.nan), data)


class FieldWindows:
    """A field at a recipe's pixel scale, window by window.

    Parameters
    ----------
    stack : `~astro_objdet.images.BandStack`
        With a WCS.
    recipe : `~astro_objdet.detectors.Recipe`
    truth : Truth
    size, overlap : int
        Side of a window and overlap of neighbours, pixels of the recipe.
    stretch : callable, optional
        Makes 8-bit pictures of fluxes; without it they stay surface brightness.
    """

    def __init__(self, stack, recipe, truth, *, size, overlap, stretch=None):
        stack = _channels(stack, recipe.bands)
        if stack.wcs is None:
            raise InputError("has no sky coordinates, which objects need to be found in it")
        self.stack, self.size, self.truth, self.recipe = stack, size, truth, recipe
        noise = None if recipe.reference_noise is None else recipe.reference_noise[::-1]
        # a stretch gets its channels in the recipe's order, the archive blue to red
        turned = stretch and (lambda data, mask: stretch(data[::-1], mask[::-1])[::-1])
        self.grid = TileGrid(
            stack, recipe.pixel_scale, size, overlap, turned or _unstretched, noise, multiple=size
        )
        self.pictures = stack.stretched or stretch is not None
        self.x, self.y, self.half = self._places()
        self.tiles = cover(self.grid.shape, self.grid.tiles, self.x, self.y, self.half, size)

    def _places(self):
        """Centres of the objects in grid pixels (edges) and half their sides."""
        fx, fy = self.grid.factor
        coords = SkyCoord(self.truth.ra, self.truth.dec, unit="deg")
        _, ny, nx = self.stack.shape
        middle = SkyCoord(self.stack.wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)).icrs
        # What is far away may land on the image by the projection's other branch.
        reach = self.stack.footprint().separation(middle).max() * 1.5
        near = coords.separation(middle) <= reach
        x, y = np.full(len(coords), np.nan), np.full(len(coords), np.nan)
        if near.any():
            px, py = self.stack.wcs.world_to_pixel(coords[near])
            x[near], y[near] = (px + 0.5) / fx, (py + 0.5) / fy
        scale = self.stack.pixel_scale.to_value(u.arcsec) * math.sqrt(fx * fy)
        return x, y, np.stack([self.truth.width, self.truth.height]) / 2 / scale

    @property
    def inside(self):
        """Which objects have their centre on the field: `numpy.ndarray` of bool."""
        ny, nx = self.grid.shape
        return (self.x >= 0) & (self.x < nx) & (self.y >= 0) & (self.y < ny)

    def read(self, tile):
        """The window of a tile: `Window`."""
        image = self.grid.read(tile)
        if self.pictures:
            image = np.round(image * 255).astype(np.uint8)
        bad = self._bad(tile)
        objects = self._objects(tile, bad)
        return Window(tile, image, float(bad.mean()), objects, window_wcs(self, tile))

    def _bad(self, tile):
        """Which pixels of the part of the field under a window are bad in any band."""
        x0, y0, x1, y1 = self.grid.to_image_pixels([[tile.x0, tile.y0, tile.x1, tile.y1]])[0]
        _, ny, nx = self.stack.shape
        _, mask = self.stack.read(int(y0), min(math.ceil(y1), ny), int(x0), min(math.ceil(x1), nx))
        return mask.any(axis=0)

    def _objects(self, tile, bad):
        truth, size = self.truth, self.size
        x, y = self.x - tile.x0, self.y - tile.y0
        inside = self.inside & (x >= 0) & (x < size) & (y >= 0) & (y < size)
        objects = []
        for k in np.flatnonzero(inside):
            w, h = self.half[:, k]
            box = np.array([x[k] - w, y[k] - h, x[k] + w, y[k] + h])
            shown = np.clip(box, 0, size)
            edges = shown if self.recipe.clip_boxes else box
            item = dict(zip(("x1", "y1", "x2", "y2"), edges.tolist(), strict=True))
            hidden = self._share(bad, shown) > _HIDDEN
            role = "ignored" if hidden and truth.role[k] in _TAUGHT else truth.role[k]
            item.update(label=str(truth.label[k]), role=str(role))
            item.update(ra=truth.ra[k], dec=truth.dec[k])
            item.update((name, values[k]) for name, values in truth.values.items())
            objects.append(item)
        return objects

    def _share(self, bad, box):
        """Share of bad pixels in a box of the window."""
        x0, y0, x1, y1 = self.grid.to_image_pixels(box)[0]
        part = bad[int(y0) : math.ceil(y1), int(x0) : math.ceil(x1)]
        return part.mean() if part.size else 1.0


def _channels(stack, bands):
    """The bands of a recipe, from blue to red."""
    wanted = tuple(reversed(bands))
    if all(band in stack.bands for band in wanted):
        return stack.select(wanted)
    if stack.stretched and len(stack.bands) == 3:
        red, green, blue = stack.bands
        warnings.warn(
            f"{red}, {green}, {blue} of a picture stand in for {', '.join(bands)}",
            BandWarning,
            stacklevel=4,
        )
        return stack.select((blue, green, red))
    raise InputError(
        f"has the bands {', '.join(stack.bands)}, and the recipe needs {', '.join(bands)}; "
        "name those of a cube, in their order, with bands"
    )


def cover(shape, tiles, x, y, half, size):
    """Windows such that every object on the grid is whole in one of them.

    An object's box counts as whole if it lies in the window as far as it lies on the grid;
    for larger boxes it is enough that the centre is as far inside as it can be.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx) of the grid.
    tiles : list of `~astro_objdet.images.Tile`
        To which windows are added where they do not suffice.
    x, y : `~numpy.ndarray` of float, shape (N,)
        Centres, pixel edges; NaN or outside of the grid are passed over.
    half : `~numpy.ndarray` of float, shape (2, N)
        Half the width and height of the boxes.
    size : int
        Side of a window.

    Returns
    -------
    list of `~astro_objdet.images.Tile`
    """
    tiles = list(tiles)
    centre, limit = np.stack([x, y], axis=-1), np.array(shape[::-1], dtype=float)
    on_grid = ((centre >= 0) & (centre < limit)).all(axis=1)
    # Boxes larger than a window shrink until they fit.
    reach = np.minimum(half.T, size / 2)
    low, high = np.maximum(centre - reach, 0), np.minimum(centre + reach, limit)
    start = np.array([[t.x0, t.y0] for t in tiles]).reshape(-1, 2)
    whole = ((low[:, None] >= start - 0.5) & (high[:, None] <= start + size + 0.5)).all(axis=2)
    for k in np.flatnonzero(on_grid & ~whole.any(axis=1)):
        corner = np.clip(np.round(centre[k] - size / 2), 0, np.maximum(limit - size, 0))
        x0, y0 = map(int, corner)
        # an added window may hold the next object too
        if any((low[k] >= t - 0.5).all() and (high[k] <= t + size + 0.5).all() for t in start):
            continue
        start = np.vstack([start, corner])
        tiles.append(Tile(len(tiles), x0, y0, x0 + size, y0 + size, x0, y0, x0 + size, y0 + size))
    return tiles


def window_wcs(field, tile):
    """WCS of a window of a resampled field.

    Where the field has distortions, a gnomonic projection at the middle of the window stands
    for it, right to first order.
    """
    wcs, (fx, fy) = field.stack.wcs, field.grid.factor
    if (fx, fy) == (1, 1):
        return wcs[tile.y0 : tile.y1, tile.x0 : tile.x1]
    if wcs.has_distortion:
        return _local_wcs(field, tile)
    scaled = wcs.deepcopy()
    factors, origin = np.array([fx, fy]), np.array([tile.x0, tile.y0])
    scaled.wcs.crpix = (scaled.wcs.crpix - 0.5) / factors + 0.5 - origin
    if scaled.wcs.has_cd():
        scaled.wcs.cd = scaled.wcs.cd * factors
    else:
        scaled.wcs.pc = scaled.wcs.get_pc() * factors
    scaled.wcs.set()
    return scaled


def _local_wcs(field, tile):
    """TAN at the middle of a window, with the derivatives of the field's own projection."""
    fx, fy = field.grid.factor
    middle = np.array([tile.x0 + tile.x1, tile.y0 + tile.y1]) / 2
    step = field.size / 4
    grid = middle + step * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    sky = field.stack.wcs.pixel_to_world(*(grid * (fx, fy) - 0.5).T).icrs
    offset = SkyCoord(sky[0]).spherical_offsets_to(sky)
    east, north = (part.to_value(u.deg) for part in offset)
    local = WCS(naxis=2)
    local.wcs.ctype, local.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    local.wcs.crval = [sky[0].ra.deg, sky[0].dec.deg]
    local.wcs.crpix = middle - (tile.x0, tile.y0) + 0.5
    # Offsets are angles; in the tangent plane they are longer, by 1e-6 at 10 arcmin.
    local.wcs.cd = [
        [(part[1] - part[2]) / (2 * step), (part[3] - part[4]) / (2 * step)]
        for part in (east, north)
    ]
    local.wcs.radesys = "ICRS"
    local.wcs.set()
    return local
