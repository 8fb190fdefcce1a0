"""What services reply: images, or what is none, in words."""

import io
import json
import re

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs.utils import pixel_to_skycoord

from astro_objdet.catalogs.references.table import ReplyError
from astro_objdet.errors import InputError
from astro_objdet.images.grid import celestial_wcs, quiet_astropy

__all__ = ["ImageReplyError", "read_image", "said"]

_LONGEST = 160
# Pixels that an image may be off from where it was asked for.
_OFF = 2


class ImageReplyError(ReplyError):
    """A reply that is not the image asked for.

    Attributes
    ----------
    again : bool
        Whether asking once more may help.
    wait : float or None
        Seconds that the service asks to wait before that.
    url : str
        What was asked.
    attempts : int
        How often it was asked.
    """

    def __init__(self, message, again=False, *, wait=None, url=""):
        super().__init__(message, again)
        self.wait = wait
        self.url = url
        self.attempts = 1


def read_image(content, *, shape=None, centre=None):
    """Read a FITS image from a service's reply, and check that it is the one asked for.

    Parameters
    ----------
    content : bytes
    shape : tuple of int, optional
        (ny, nx) it must have.
    centre : pair of float, optional
        Right ascension and declination, degrees, that its middle must lie at, to two pixels.

    Returns
    -------
    data : `~numpy.ndarray` of float32, shape (ny, nx)
        NaN where there is none.
    wcs : `~astropy.wcs.WCS`

    Raises
    ------
    ImageReplyError
        If it is none: empty, a page of text, cut off, damaged, of another size or place, or
        without any data.
    """
    if not content:
        raise ImageReplyError("an empty reply", again=True)
    if not content.startswith(b"SIMPLE  ="):
        raise ImageReplyError(f"no image but {said(content)!r}", again=True)
    data, header = _pixels(content)
    if shape is not None and data.shape != tuple(shape):
        size, wanted = (f"{nx}×{ny}" for ny, nx in (data.shape, shape))
        raise ImageReplyError(f"an image of {size} pixels came, not {wanted}", again=True)
    try:
        wcs = celestial_wcs(header, data.shape)
    except InputError as error:
        raise ImageReplyError(f"an image came without a usable WCS: {error}", again=True) from None
    if centre is not None:
        _check_centre(wcs, data.shape, centre)
    good = data[np.isfinite(data)]
    if not good.size or good.min() == good.max():
        # Not a fault of the service: asking again is of no use.
        raise ImageReplyError("there are no data here: outside the survey's footprint")
    return data, wcs


def said(content):
    """What a reply that is no image says, in one line."""
    text = bytes(content[:20_000]).decode("utf-8", errors="replace")
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if isinstance(told, dict):
        text = (
            ": ".join(str(told[key]) for key in ("title", "description") if told.get(key)) or text
        )
    text = re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", text)
    text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:_LONGEST]


def _pixels(content):
    """Pixels and header of the first image in a FITS file."""
    with quiet_astropy():
        try:
            with fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=False) as hdus:
                hdu = next(
                    (hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0)), None
                )
                if hdu is None:
                    raise ImageReplyError("a FITS file without an image", again=True)
                needed = hdu.fileinfo()["datLoc"] + hdu.size
                if len(content) < needed:
                    raise ImageReplyError(
                        f"cut off: {len(content)} of {needed} bytes came", again=True
                    )
                # Planes of one image, as some services send them, are one image.
                data = np.squeeze(np.asarray(hdu.data, dtype=np.float32))
                header = hdu.header.copy()
        except ReplyError:
            raise
        except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as error:
            raise ImageReplyError(f"a damaged FITS file: {error}", again=True) from None
    if data.ndim != 2:
        raise ImageReplyError(f"an image of {data.ndim} axes came, not 2")
    return data, header


def _check_centre(wcs, shape, centre):
    wanted = SkyCoord(*centre, unit="deg")
    ny, nx = shape
    with quiet_astropy():
        found = pixel_to_skycoord((nx - 1) / 2, (ny - 1) / 2, wcs).icrs
        x, y = wcs.world_to_pixel(wanted)
    off = np.hypot(x - (nx - 1) / 2, y - (ny - 1) / 2)
    if not off <= _OFF:
        apart = found.separation(wanted).to_value(u.arcsec)
        raise ImageReplyError(f"an image of another place came, {apart:.1f} arcsec off", again=True)
