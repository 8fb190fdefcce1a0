"""What training views do to an image: windows, turns, depths and stretches.

Arrays are (band, y, x) float32; boxes (n, 4) float32 of pixel edges, and may have
further columns that ride along. Each function takes its randomness from the generator
it is given.
"""

import numpy as np

from astro_objdet.skies.orientation import orient, random_orientation

__all__ = ["observe", "picture", "turn", "window"]

# Pixels at the border within which the centre of an object makes no target.
_BORDER = 6.0

# A picture's softening in nanomaggy per square arcsec for its blue, green and red plane,
# stretched by arcsinh between -1 and 100 of them. The ratios are those of the Legacy
# Surveys' viewer (0.0066, 0.01385, 0.025 nanomaggy in a pixel of 0.262 arcsec); in two
# pictures of the Dark Energy Survey noise and central galaxies come out right with a fifth.
_SOFTENING = np.array([0.0066, 0.01385, 0.025], dtype=np.float32) / np.float32(5 * 0.262**2)
# i to z of a galaxy, 0.25 mag: rendered sky has no z, which is such a picture's red.
_I_TO_Z = np.float32(1.26)


def turn(image, boxes, rng, *, quarter=True):
    """A flip of half of the images, or with ``quarter`` one of the eight turns of a square.

    Parameters
    ----------
    image : `numpy.ndarray` (band, ny, nx)
    boxes : sequence of `numpy.ndarray` (n, 4)
        Turned together with the image.
    rng : `numpy.random.Generator`
    quarter : bool
        False flips left to right only, as paper I does.

    Returns
    -------
    image, boxes
        The boxes as a list.
    """
    drawn = random_orientation(rng, vertical=0.5 if quarter else 0.0, turns=quarter)
    turned = [orient(image, b[:, :4], drawn)[1] for b in boxes]
    turned = [np.column_stack([new, b[:, 4:]]) for new, b in zip(turned, boxes, strict=True)]
    return orient(image, np.empty((0, 4)), drawn)[0], turned


def window(image, boxes, rng, size):
    """A cutout that now and then reaches beyond the image, where it is NaN.

    Objects whose centre is outside of it, or closer than 6 pixels to its border, are not
    taught; what is in view of them is no background either, and so they are ignored. Boxes
    may reach beyond the cutout.

    Parameters
    ----------
    image : `numpy.ndarray` (band, ny, nx)
    boxes : sequence of `numpy.ndarray` (n, 4 or more)
        Those taught, those ignored, and any others, of which those are kept whose centre is
        well inside.
    rng : `numpy.random.Generator`
    size : int
        Side of the cutout in pixels; 0 takes the whole image.

    Returns
    -------
    image : `numpy.ndarray` (band, size, size)
    boxes : list of `numpy.ndarray`
    """
    if not size:
        return image, list(boxes)
    reach = min(160, size // 3) if rng.random() < 0.25 else 0
    ny, nx = image.shape[1:]
    x0 = int(rng.integers(min(-reach, nx - size), max(nx - size, 0) + reach + 1))
    y0 = int(rng.integers(min(-reach, ny - size), max(ny - size, 0) + reach + 1))
    view = np.full((len(image), size, size), np.nan, dtype=np.float32)
    xs, xe, ys, ye = max(0, x0), min(nx, x0 + size), max(0, y0), min(ny, y0 + size)
    view[:, ys - y0 : ye - y0, xs - x0 : xe - x0] = image[:, ys:ye, xs:xe]
    taught, ignored, *others = (_moved(some, x0, y0) for some in boxes)
    whole = _well_inside(taught, size)
    ignored = np.concatenate([ignored, taught[~whole]])
    seen = (ignored[:, :2] < size).all(axis=1) & (ignored[:, 2:4] > 0).all(axis=1)
    others = [some[_well_inside(some, size)] for some in others]
    return view, [taught[whole], ignored[seen], *others]


def _well_inside(boxes, size):
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    return (np.minimum(x, y) > _BORDER) & (np.maximum(x, y) < size - _BORDER)


def _moved(boxes, x0, y0):
    boxes = boxes.copy()
    boxes[:, [0, 2]] -= x0
    boxes[:, [1, 3]] -= y0
    return boxes


def observe(image, noise, rng, depth=None):
    """Another calibration, sky level and depth.

    Parameters
    ----------
    image : `numpy.ndarray` (band, ny, nx), float32
        Noiseless surface brightness; NaN where masked.
    noise : sequence of float
        Sky noise per band at the survey's depth.
    rng : `numpy.random.Generator`
    depth : float, optional
        Factor on the noise; without it one near 1 for half of the images, and between 0.2,
        some twenty times the exposure, and 1.3 for the others.
    """
    noise = np.asarray(noise, dtype=np.float32)
    gain = (rng.lognormal(0, 0.12) * rng.lognormal(0, 0.025, len(image))).astype(np.float32)
    if depth is None:
        low, high = (0.85, 1.2) if rng.random() < 0.5 else (0.2, 1.3)
        depth = np.exp(rng.uniform(np.log(low), np.log(high)))
    depth = np.float32(depth)
    sky = (rng.normal(0, 0.2, len(image)) * depth * noise).astype(np.float32)
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    grain *= (noise * depth)[:, None, None]
    grain += image * gain[:, None, None]
    return grain + sky[:, None, None]


def picture(image, rng):
    """A colour picture as viewers of deep surveys give them, from i, r, g.

    Such a picture is often all that is at hand of a deep survey; views of this kind let
    the detector read one with ``stretch="identity"``. One arcsinh per channel, which
    fades to white, or one of the mean (Lupton et al. 2004), which keeps the colours.

    Parameters
    ----------
    image : `numpy.ndarray` (3, ny, nx), float32
        Red, green and blue in nanomaggy per square arcsec.
    rng : `numpy.random.Generator`
    """
    image = image * np.array([_I_TO_Z, 1, 1], dtype=np.float32)[:, None, None]
    gain = np.float32(rng.lognormal(0, 0.4))
    if rng.random() < 0.6:
        scaled = np.arcsinh(image * (gain / _SOFTENING[::-1])[:, None, None])
        low, high = np.arcsinh(np.float32([-1, 100]))
        view = (scaled - low) / (high - low)
    else:
        factors = np.array([2.2, 3.4, 6.0], dtype=np.float32)[:, None, None]
        pixel = np.float32(0.262**2 * 3) * gain
        shifted = np.maximum(image * pixel * factors + np.float32(0.03), 0)
        total = np.maximum(shifted.mean(axis=0), np.float32(1e-6))
        view = np.arcsinh(20 * total) / np.float32(np.sqrt(20)) / total * shifted
    return np.round(np.clip(view, 0, 1) * 255) / np.float32(255)
