"""Flips and quarter turns of an image together with its boxes, exact to the pixel.

Paper I (§2.2) flips half of its training images from left to right, and leaves other flips and
rotations for later.
"""

from dataclasses import dataclass

import numpy as np

from astro_objdet.errors import InputError, check_fraction

__all__ = ["PAPER_FLIPS", "Orientation", "orient", "random_orientation"]

#: Part of the paper's training images that is flipped from left to right.
PAPER_FLIPS = 0.5


@dataclass(frozen=True)
class Orientation:
    """A flip from left to right, one from top to bottom, and then quarter turns.

    Attributes
    ----------
    flip_x, flip_y : bool
        Whether x, and y, run the other way.
    turns : int
        Quarter turns from x towards y: anticlockwise where y is up.
    """

    flip_x: bool = False
    flip_y: bool = False
    turns: int = 0


def random_orientation(rng, *, horizontal=PAPER_FLIPS, vertical=0.0, turns=False):
    """Draw an orientation.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    horizontal, vertical : float, optional
        How probable a flip from left to right is, and one from top to bottom; by default the
        paper's.
    turns : bool, optional
        Whether to turn by 0, 1, 2 or 3 quarters, all equally probable.

    Returns
    -------
    Orientation

    Raises
    ------
    InputError
        If a probability is none.
    """
    check_fraction("horizontal", horizontal)
    check_fraction("vertical", vertical)
    # All three are drawn whatever the options, so that one does not change the others.
    flip_x, flip_y = rng.random(2) < (horizontal, vertical)
    quarter = int(rng.integers(4))
    return Orientation(bool(flip_x), bool(flip_y), quarter if turns else 0)


def orient(image, boxes, orientation):
    """Flip and turn an image and its boxes.

    Parameters
    ----------
    image : `~numpy.ndarray`, shape (..., ny, nx)
    boxes : array_like of float, shape (N, 4)
        Edges x1, y1, x2, y2 in pixels, 0 at the outer edge of the first one.
    orientation : Orientation

    Returns
    -------
    image : `~numpy.ndarray`, shape (..., ny, nx), or (..., nx, ny) after an odd number of turns
        A view.
    boxes : `~numpy.ndarray`, shape (N, 4)
        Of the same type as given, float64 for other than floats.

    Raises
    ------
    InputError
        If boxes are not four numbers each, or the image has less than two axes.
    """
    image, boxes = np.asarray(image), np.asarray(boxes)
    boxes = boxes if boxes.dtype.kind == "f" else boxes.astype(float)
    if image.ndim < 2:
        raise InputError(f"image must have the axes y and x, got shape {image.shape}")
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"boxes must be of shape (N, 4), got {boxes.shape}")
    ny, nx = image.shape[-2:]
    x1, y1, x2, y2 = boxes.T
    if orientation.flip_x:
        image, x1, x2 = image[..., ::-1], nx - x2, nx - x1
    if orientation.flip_y:
        image, y1, y2 = image[..., ::-1, :], ny - y2, ny - y1
    for _ in range(orientation.turns % 4):
        # x becomes y, y becomes what is left of the other way of x.
        image = image.swapaxes(-2, -1)[..., ::-1]
        x1, y1, x2, y2 = ny - y2, x1, ny - y1, x2
        ny, nx = nx, ny
    return image, np.stack([x1, y1, x2, y2], axis=1)
