"""Training views of rendered fields: cutouts, noise, colours, stretches."""

import h5py
import numpy as np
import torch
from torch.utils.data import Dataset

__all__ = ["FieldViews", "legacy_stretch", "sqrt_stretch"]

#: Sky noise (g, r, i) of SDSS at 0.792 arcsec per pixel, nMgy per square arcsec.
SKY_NOISE = np.array([0.051, 0.080, 0.128], dtype=np.float32)


def sqrt_stretch(image, lower=-0.2, upper=10.0):
    """Square root between flux limits (Deep-CEE section 2.2); (i, r, g) from (g, r, i)."""
    scaled = (image[::-1] - np.float32(lower)) / np.float32(upper - lower)
    return np.sqrt(np.clip(scaled, 0, 1, out=scaled), out=scaled)


def legacy_stretch(image, scale=1.0, separate=0.0):
    """Colour pictures in the manner of the Legacy Surveys, with z taken from i.

    Such a picture is often all that is at hand of a deep survey; views of this
    kind let the detector read one with ``stretch="identity"``.

    Parameters
    ----------
    image : `numpy.ndarray` (3, y, x), float32
        Bands g, r, i in nanomaggy per square arcsec.
    scale : float
        Factor on the flux.
    separate : float
        0 keeps colours in bright places (one arcsinh of the mean), 1 lets them
        fade to white (an arcsinh per channel); between, a mixture.
    """
    pixel = np.float32(0.262**2 * scale)  # nanomaggy in one of their pixels
    offset, q = np.float32(0.03), np.float32(20)
    factors = np.array([2.2 * 1.2, 3.4, 6.0], dtype=np.float32)[:, None, None]
    shifted = np.maximum(image[::-1] * pixel * factors + offset, 0)
    total = shifted.mean(axis=0)
    joint = np.arcsinh(q * total) / np.sqrt(q) / np.maximum(total, 1e-6) * shifted
    alone = np.arcsinh(q * shifted) / np.sqrt(q)
    view = joint + np.float32(separate) * (alone - joint)
    return np.round(np.clip(view, 0, 1) * 255) / 255


class FieldViews(Dataset):
    """Random views of noiseless fields rendered by ``tools/render_training_set.py``.

    Parameters
    ----------
    path : str or path-like
        HDF5 file with ``images`` (field, 3, y, x) in nanomaggy per square arcsec,
        bands g, r, i, and ``truth/<field>`` rows (x, y, half width, z, richness).
    length : int
        Number of views; view k is a function of ``seed`` and k alone.
    seed : int
    size : int
        Side of a view in pixels.
    richness_cut : float
        Clusters below it are drawn but not labelled.
    """

    def __init__(self, path, length, seed, size=512, richness_cut=19.5):
        self.path, self.length, self.seed = path, length, seed
        self.size, self.richness_cut = size, richness_cut
        self._file = None
        with h5py.File(path) as file:
            self.n_fields = len(file["images"])

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if self._file is None:  # one handle per worker process
            self._file = h5py.File(self.path)
        rng = np.random.default_rng([self.seed, index])
        epoch, place = divmod(index, self.n_fields)
        order = np.random.default_rng([self.seed, epoch, 1]).permutation(self.n_fields)
        number = int(order[place])
        image = self._file["images"][number].astype(np.float32)
        truth = self._file["truth"][str(number)][:]
        truth = truth[truth[:, 4] >= self.richness_cut][:, :3]
        image, truth = _turn(image, truth, rng)
        image, boxes, outside = _window(image, truth, rng, self.size)
        image = _observe(image, rng)
        if rng.random() < 0.4:
            view = legacy_stretch(image, rng.lognormal(1.1, 0.5), rng.random())
            blank = legacy_stretch(np.zeros((3, 1, 1), np.float32))
        else:
            view = sqrt_stretch(image)
            blank = sqrt_stretch(np.zeros((3, 1, 1), np.float32))
        view = np.where(outside, blank, view).astype(np.float32)
        target = {
            "boxes": torch.from_numpy(boxes),
            "labels": torch.ones(len(boxes), dtype=torch.int64),
        }
        return torch.from_numpy(np.ascontiguousarray(view)), target


def _turn(image, truth, rng):
    """One of the eight flips and quarter turns of a square, and its truth."""
    side = image.shape[1] - 1
    truth = truth.copy()
    if rng.random() < 0.5:
        image, truth[:, 0] = image[:, :, ::-1], side - truth[:, 0]
    if rng.random() < 0.5:
        image, truth[:, 1] = image[:, ::-1], side - truth[:, 1]
    if rng.random() < 0.5:
        image, truth[:, :2] = image.transpose(0, 2, 1), truth[:, 1::-1].copy()
    return image, truth


def _window(image, truth, rng, size):
    """A cutout that now and then reaches beyond the field: (image, boxes, outside)."""
    reach = min(160, size // 3) if rng.random() < 0.25 else 0
    side = image.shape[1]
    x0, y0 = rng.integers(-reach, side - size + reach + 1, 2)
    view = np.zeros((3, size, size), dtype=np.float32)
    outside = np.ones((size, size), dtype=bool)
    xs, xe, ys, ye = max(0, x0), min(side, x0 + size), max(0, y0), min(side, y0 + size)
    view[:, ys - y0 : ye - y0, xs - x0 : xe - x0] = image[:, ys:ye, xs:xe]
    outside[ys - y0 : ye - y0, xs - x0 : xe - x0] = False
    # + 0.5: torchvision counts pixel edges, the truth pixel centres
    x, y, half = (truth - [x0 - 0.5, y0 - 0.5, 0]).T
    inside = (x > 6) & (y > 6) & (x < size - 6) & (y < size - 6)
    boxes = np.stack([x - half, y - half, x + half, y + half], axis=1)[inside]
    return view, boxes.astype(np.float32).reshape(-1, 4), outside


def _observe(image, rng):
    """Another depth, flux scale, colour zero point and sky level for each view."""
    gain = rng.lognormal(0, 0.3) * rng.lognormal(0, 0.06, 3)
    depth = np.exp(rng.uniform(np.log(0.12), np.log(1.3)))
    sky = rng.normal(0, 0.25, 3) * depth * SKY_NOISE
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noise *= (SKY_NOISE * np.float32(depth))[:, None, None]
    image = image * gain.astype(np.float32)[:, None, None] + noise
    return image + sky.astype(np.float32)[:, None, None]
