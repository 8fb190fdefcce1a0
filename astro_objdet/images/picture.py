"""RGB pictures (PNG, JPEG) with a FITS header beside them."""

import io

import numpy as np
from astropy.io import fits
from PIL import Image, UnidentifiedImageError

from astro_objdet.errors import InputError
from astro_objdet.images.grid import quiet_astropy

__all__ = ["HEADER_SUFFIXES", "PICTURE_SUFFIXES", "decode_picture", "parse_header"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
HEADER_SUFFIXES = (".hdr", ".wcs", ".header", ".fits", ".fits.gz", ".fits.fz", ".fit", ".txt")


def decode_picture(payload, path):
    """Return the pixels of a picture in FITS order.

    Parameters
    ----------
    payload : bytes
    path : path-like
        For messages.

    Returns
    -------
    ndarray of uint8 or uint16, shape (3, ny, nx) or (ny, nx)
        Red, green, blue. Row 0 is the lowest row of the picture.
    mask : ndarray of bool, shape (ny, nx), or None
        Transparent pixels.
    """
    try:
        with Image.open(io.BytesIO(payload)) as picture:
            if picture.mode in ("I;16", "I", "L"):
                pixels, alpha = np.asarray(picture), None
            else:
                pixels = np.asarray(picture.convert("RGBA"))
                pixels, alpha = np.moveaxis(pixels[..., :3], -1, 0), pixels[..., 3]
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as err:
        raise InputError(f"the picture cannot be decoded: {err}", path) from err
    except Image.DecompressionBombError as err:
        raise InputError(f"the picture is too large to decode: {err}", path) from err
    if pixels.dtype == np.int32:
        pixels = pixels.astype(np.uint16)
    # The first row of a picture is its top, the first row of a FITS image its bottom.
    mask = None if alpha is None or alpha.all() else alpha[::-1] == 0
    return np.ascontiguousarray(pixels[..., ::-1, :]), mask


def parse_header(payload, path):
    """Return the FITS header in a text or card-image file.

    Parameters
    ----------
    payload : bytes
        80-character cards, with or without line ends and END.
    path : path-like

    Raises
    ------
    InputError
        If there is no card in it.
    """
    text = payload.decode("latin-1")
    with quiet_astropy():
        try:
            separator = "\n" if "\n" in text[:400] else ""
            if separator:
                text = text.replace("\r\n", "\n")
            header = fits.Header.fromstring(text, sep=separator)
            keys = [k for k in header if k not in ("", "COMMENT", "HISTORY", "END")]
        except (ValueError, TypeError, KeyError, OSError, fits.VerifyError) as err:
            raise InputError(f"is not a FITS header: {err}", path) from err
    if not keys:
        raise InputError("is not a FITS header: it holds no cards", path)
    return header
