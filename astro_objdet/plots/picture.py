"""A stack as a colour picture of screen size."""

import math

import numpy as np

__all__ = ["display_rgb"]

# Rows read at once, in screen rows.
_STRIP = 64
# Black lies this far below the sky and the faint end turns into the bright end
# this far above it, in sigma of the sky noise as shown.
_BLACK = 1.0
_SOFTENING = 3.0
_MASKED = 0.12


def display_rgb(stack, max_size=1200, stretch=None):
    """Return a colour picture of a stack, averaged down to a size.

    Parameters
    ----------
    stack : `~astro_objdet.images.BandStack`
        Its first three bands are red, green and blue. Two bands are red and
        blue with their mean as green; one band is grey.
    max_size : int, optional
        The longest side is at most this, by averaging whole blocks of pixels.
    stretch : callable, optional
        Takes surface brightness in nanomaggy/arcsec² (band, y, x) and a mask,
        returns 0 to 1. By default see `_own_scale`.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (y, x, 3)
        0 to 1; row 0 is the bottom of the image. Masked pixels are grey.
    """
    data, mask = _binned(stack, math.ceil(max(stack.shape[1:]) / max_size))
    if stack.stretched:
        picture = np.clip(data, 0, 1)
    elif stretch is not None:
        scale = stack.pixel_scale
        area = 1 if scale is None else scale.to_value("arcsec") ** 2
        picture = stretch(data / np.float32(area), mask)
    else:
        picture = _own_scale(data, mask)
    picture = _three(picture)
    picture[:, mask.all(axis=0)] = _MASKED
    return np.moveaxis(picture, 0, -1).astype(np.float32)


def _binned(stack, factor):
    """Mean of the good pixels in blocks; a block with none is masked."""
    _, ny, nx = stack.shape
    n = min(len(stack.bands), 3)
    shape = n, math.ceil(ny / factor), math.ceil(nx / factor)
    data, mask = np.zeros(shape, np.float32), np.ones(shape, bool)
    columns = np.arange(0, nx, factor)
    for start in range(0, ny, _STRIP * factor):
        stop = min(start + _STRIP * factor, ny)
        values, bad = (part[:n] for part in stack.read(start, stop, 0, nx))
        rows = np.arange(0, stop - start, factor)
        total = _sums(np.where(bad, 0, values), rows, columns)
        good = _sums((~bad).astype(np.float32), rows, columns)
        here = slice(start // factor, start // factor + len(rows))
        mask[:, here] = good == 0
        data[:, here] = total / np.maximum(good, 1)
    return data, mask


def _sums(values, rows, columns):
    return np.add.reduceat(np.add.reduceat(values, rows, axis=1), columns, axis=2)


def _own_scale(data, mask):
    """Scale by the image's own sky, noise and bright objects.

    Sky is subtracted per band, and bands are weighted so that bright objects
    are white on average. The mean of the bands is stretched by an asinh as in
    Lupton et al. (2004) and the bands keep their ratio, so that bright cores
    keep their colour.
    """
    good = ~mask.any(axis=0)
    if not good.any():
        return np.zeros_like(data)
    sky, noise = _sky(data[:, good])
    data = data - sky[:, None, None]
    noise = np.where(noise > 0, noise, 1)
    mean = (data / noise[:, None, None]).mean(axis=0)
    bright = good & (mean >= np.percentile(mean[good], 99.5))
    colour = np.median(data[:, bright], axis=1)
    # Without anything above the noise, bands of equal noise look grey.
    colour = np.where(colour > 3 * noise, colour, noise)
    if np.ptp(np.sign(colour - noise)) > 0:
        colour = noise
    data /= colour[:, None, None]
    intensity = data.mean(axis=0)
    _, sigma = _sky(intensity[good][None])
    sigma = sigma[0] or np.abs(intensity).max() or 1.0
    # Between what large galaxies reach and what a few bright stars do.
    high, higher = np.percentile(intensity[good], [99.5, 99.95])
    white = max(1.5 * np.sqrt(max(high, 0) * max(higher, 0)), 20 * sigma)
    above = np.clip(intensity + _BLACK * sigma, 0, None) / (_SOFTENING * sigma)
    shown = np.arcsinh(above) / np.arcsinh(white / (_SOFTENING * sigma))
    # Ratios of noise are rainbow confetti: the sky itself is kept nearly grey.
    floor = 3 * sigma
    ratio = (np.clip(data, 0, None) + floor) / (np.clip(intensity, 0, None) + floor)
    picture = shown * ratio
    return picture / np.maximum(picture.max(axis=0), 1)


def _sky(values):
    """Median and robust sigma of each row."""
    step = max(values.shape[1] // 200_000, 1)
    values = values[:, ::step]
    middle = np.median(values, axis=1)
    return middle, 1.4826 * np.median(np.abs(values - middle[:, None]), axis=1)


def _three(picture):
    if len(picture) == 1:
        return np.repeat(picture, 3, axis=0)
    if len(picture) == 2:
        return np.stack([picture[0], picture.mean(axis=0), picture[1]])
    return np.array(picture[:3])
