"""Fields and a detector to test commands with: small, quick, without weights."""

import types

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from astro_objdet.catalogs import Detections
from astro_objdet.images import read_bands

SHAPE = (60, 80)
BLOB = (25, 40)  # y, x of the blob's centre, in pixels from 0
SCORE = 0.93
SHA256 = "5" * 64


class BlobDetector:
    """Finds the brightest pixel and puts a box of ten pixels on it."""

    name = "blob"
    weights_name = "brightest"
    sha256 = SHA256
    recipe = types.SimpleNamespace(bands=("i", "r", "g"))

    def detect(self, image, *, threshold=None, progress=None, **options):
        self.options = options
        stack = read_bands(image)
        if progress:
            progress(1, 1)
        data, _ = stack.read_all()
        y, x = np.unravel_index(np.argmax(data.mean(axis=0)), stack.shape[1:])
        boxes = np.array([[x - 4.5, y - 4.5, x + 5.5, y + 5.5]])
        if threshold is not None and threshold > SCORE:
            boxes = np.empty((0, 4))
        return Detections.from_boxes(
            boxes,
            np.full(len(boxes), SCORE),
            ["blob"] * len(boxes),
            wcs=stack.wcs,
            meta={"model": self.name, "bands": list(stack.bands)},
        )


def make_wcs(ra=150.0, dec=2.0):
    """A TAN WCS of 1 arcsec per pixel, centred on the image of `SHAPE`."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = ra, dec
    wcs.wcs.crpix = (SHAPE[1] + 1) / 2, (SHAPE[0] + 1) / 2
    wcs.wcs.cdelt = -1 / 3600, 1 / 3600
    return wcs


def write_band(path, *, ra=150.0, wcs=True, unit="nanomaggy"):
    """Write noise with one blob as a FITS file of one band."""
    rng = np.random.default_rng(5)
    y, x = np.indices(SHAPE)
    blob = np.exp(-((y - BLOB[0]) ** 2 + (x - BLOB[1]) ** 2) / 18)
    data = rng.normal(0, 0.01, SHAPE) + blob
    header = make_wcs(ra).to_header() if wcs else fits.Header()
    if unit:
        header["BUNIT"] = unit
    fits.writeto(path, data.astype(np.float32), header)
    return path


def write_field(folder, name="abell", bands="gri", **options):
    """Write one FITS file per band; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write_band(folder / f"{name}_{band}.fits", **options) for band in bands]
