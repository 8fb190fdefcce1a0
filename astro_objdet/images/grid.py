"""Checks of a celestial WCS, and the grid it puts on the sky."""

import contextlib
import logging
import math
import threading
import warnings

import astropy.units as u
import numpy as np
from astropy import log
from astropy.coordinates import ITRS, SkyCoord
from astropy.io.fits import Header
from astropy.wcs import WCS, WcsError
from astropy.wcs.utils import wcs_to_celestial_frame

from astro_objdet.errors import InputError

__all__ = [
    "celestial_wcs",
    "pixel_geometry",
    "quiet_astropy",
    "same_grid",
    "sky_overlap",
]

# What astropy and WCSLIB raise for headers they cannot make sense of.
WCS_ERRORS = (
    WcsError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    OSError,
)


_QUIET = threading.RLock()


@contextlib.contextmanager
def quiet_astropy():
    """Silence the notes astropy makes on repairing headers: what matters is checked here."""
    # Filters and levels belong to the process: two threads would restore each other's.
    with _QUIET, warnings.catch_warnings():
        level = log.level
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)


def _as_fits_wcs(wcs):
    """Return the FITS WCS behind what NDData and its slices carry."""
    low = getattr(wcs, "low_level_wcs", wcs)
    inner = getattr(low, "_wcs", None)
    if isinstance(inner, WCS):
        # A sliced NDData wraps its WCS; a FITS WCS can be sliced itself.
        return inner.slice(low._slices_array)
    if not isinstance(low, WCS):
        raise InputError(f"wcs must be an astropy.wcs.WCS, got {type(wcs).__name__}")
    return low


def _check_header_scale(header):
    """Refuse CD, PC and CDELT cards that give no pixel scale (astropy takes 1 degree)."""
    try:
        matrix = [[float(header.get(f"CD{i}_{j}", 0.0)) for j in (1, 2)] for i in (1, 2)]
        cdelt = [float(header.get(f"CDELT{i}", 1.0)) for i in (1, 2)]
    except (TypeError, ValueError):
        raise InputError("the CD matrix or CDELT of the WCS is not made of numbers") from None
    has_cd = any(f"CD{i}_{j}" in header for i in (1, 2) for j in (1, 2))
    values = np.array(matrix if has_cd else np.diag(cdelt))
    _check_matrix(values, "CD matrix" if has_cd else "CDELT")


def _check_matrix(matrix, what="pixel scale matrix"):
    if not np.isfinite(matrix).all():
        raise InputError(f"the {what} of the WCS is not finite: {matrix.tolist()}")
    if np.linalg.det(matrix / (abs(matrix).max() or 1)) == 0:
        raise InputError(f"the {what} of the WCS is zero or singular: {matrix.tolist()}")


def celestial_wcs(source, shape, hdus=None):
    """Return the 2-D celestial WCS of an image, checked.

    Parameters
    ----------
    source : `~astropy.io.fits.Header`, `~astropy.wcs.WCS` or a slice of one
    shape : tuple of int
        (ny, nx) of the image.
    hdus : `~astropy.io.fits.HDUList`, optional
        The file, for distortion tables in other HDUs.

    Returns
    -------
    `~astropy.wcs.WCS`

    Raises
    ------
    InputError
        If there is none; if axes are not longitude and latitude on the sky (solar, spectral);
        if the pixel scale is zero or not finite.
    """
    with quiet_astropy():
        try:
            if isinstance(source, Header):
                _check_header_scale(source)
                wcs = WCS(source, fobj=hdus)
            else:
                wcs = _as_fits_wcs(source)
            return _checked(wcs, shape)
        except InputError:
            raise
        except WCS_ERRORS as err:
            reason = str(err).strip().splitlines() or [type(err).__name__]
            raise InputError(f"the WCS cannot be used: {reason[-1]}") from err


def _checked(wcs, shape):
    ctypes = [c for c in wcs.wcs.ctype if c]
    wcs.wcs.set()
    if not wcs.has_celestial:
        found = f"its axes are {', '.join(ctypes)}" if ctypes else "the header has none"
        raise InputError(f"no celestial WCS: {found}")
    if {wcs.wcs.lng, wcs.wcs.lat} != {0, 1}:
        raise InputError(
            "the first two pixel axes must be the celestial ones, got " + ", ".join(ctypes)
        )
    if wcs.naxis > 2:
        wcs = wcs.sub([1, 2])
    try:
        frame = wcs_to_celestial_frame(wcs)
    except ValueError:
        frame = None
    if frame is None or isinstance(frame, ITRS) or frame.name.startswith("helioproj"):
        raise InputError(f"the WCS does not lie on the sky: its axes are {', '.join(ctypes)}")
    _check_matrix(np.asarray(wcs.pixel_scale_matrix, float))
    pixel_geometry(wcs, shape)
    return wcs


#: Arcsec per radian.
ARCSEC = math.degrees(3600)


def pixel_geometry(wcs, shape):
    """Return pixel scales and area at the centre of an image.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
    shape : tuple of int
        (ny, nx).

    Returns
    -------
    scale_x, scale_y : float
        Arcsec per pixel along each pixel axis.
    area : float
        Arcsec2 per pixel.
    """
    y, x = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    dx = np.array([-0.5, 0.5, 0, 0])
    dy = np.array([0, 0, -0.5, 0.5])
    # plain vectors: much faster than SkyCoord, and position angles turn at the pole
    world = np.radians(wcs.all_pix2world(x + dx, y + dy, 0))
    lon, lat = world[wcs.wcs.lng], world[wcs.wcs.lat]
    sky = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    along_x, along_y = (sky[1] - sky[0]) * ARCSEC, (sky[3] - sky[2]) * ARCSEC
    scale_x, scale_y = np.linalg.norm(along_x), np.linalg.norm(along_y)
    area = float(np.linalg.norm(np.cross(along_x, along_y)))
    if not (math.isfinite(area) and area > 0):
        raise InputError("the WCS gives no sky position at the centre of the image")
    return float(scale_x), float(scale_y), float(area)


def _probe(shape, steps):
    """Pixel positions on a regular mesh from edge to edge."""
    y, x = np.meshgrid(
        np.linspace(0, shape[0] - 1, steps), np.linspace(0, shape[1] - 1, steps), indexing="ij"
    )
    return x.ravel(), y.ravel()


def _to_pixels(wcs, sky):
    """Pixel positions, NaN where the projection or its distortion does not reach."""
    try:
        x, y = wcs.world_to_pixel(sky)
    except (WcsError, ValueError, RuntimeError):
        return np.full(sky.shape, np.nan), np.full(sky.shape, np.nan)
    return np.asarray(x, float), np.asarray(y, float)


def same_grid(wcs, shape, other, other_shape, tolerance=0.01):
    """Say whether two images share their pixel grid, to ``tolerance`` pixels."""
    if tuple(shape) != tuple(other_shape):
        return False
    x, y = _probe(shape, 3)
    with quiet_astropy():
        sky = wcs.pixel_to_world(x, y)
        x_other, y_other = _to_pixels(other, sky)
    off = np.hypot(x - x_other, y - y_other)
    return bool(np.nanmax(off, initial=0) < tolerance and np.isfinite(off).any())


def sky_overlap(wcs, shape, other, other_shape):
    """Say whether two images share any sky."""
    with quiet_astropy():
        for a, a_shape, b, b_shape in (
            (wcs, shape, other, other_shape),
            (other, other_shape, wcs, shape),
        ):
            x, y = _to_pixels(b, a.pixel_to_world(*_probe(a_shape, 33)))
            inside = (abs(2 * x + 1 - b_shape[1]) <= b_shape[1]) & (
                abs(2 * y + 1 - b_shape[0]) <= b_shape[0]
            )
            if inside.any():
                return True
    return False


def sky_centre(wcs, shape):
    """Position of the image centre as text, for messages."""
    centre = SkyCoord(wcs.pixel_to_world((shape[1] - 1) / 2, (shape[0] - 1) / 2)).icrs
    return f"RA {centre.ra.to_value(u.deg):.4f}, Dec {centre.dec.to_value(u.deg):+.4f}"
