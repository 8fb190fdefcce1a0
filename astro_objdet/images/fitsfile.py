"""FITS files on disk: opened with clear errors, read by section."""

import bz2
import errno
import gzip
import importlib
import io
import lzma
import os
import tempfile
import threading
import weakref
import zlib

from astropy.io import fits

from astro_objdet.errors import InputError, ResourceError
from astro_objdet.images.filepixels import FITS_ERRORS, CompressedPixels, PlainPixels
from astro_objdet.images.grid import quiet_astropy

__all__ = ["FitsFile", "open_stream", "read_bytes"]

# Decompressed files up to this size stay in memory, larger ones go to a temporary file.
IN_MEMORY_BYTES = 64 * 2**20
CHUNK_BYTES = 4 * 2**20

_DECOMPRESSORS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


def open_stream(path):
    """Open a file for reading, decompressed where its first bytes say so.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    binary file object
        Seekable.

    Raises
    ------
    InputError
        If the file is missing, not readable, empty, or its compression is damaged.
    ResourceError
        If there is no room to decompress it.
    """
    try:
        stream = open(path, "rb")  # noqa: SIM115 (handed to the caller)
    except IsADirectoryError:
        raise InputError("is a folder, not an image", path) from None
    except FileNotFoundError:
        raise InputError("no such file", path) from None
    except (OSError, ValueError) as err:
        raise InputError(
            f"cannot be opened: {getattr(err, 'strerror', None) or err}", path
        ) from None
    head = stream.read(6)
    stream.seek(0)
    if not head:
        stream.close()
        raise InputError("the file is empty", path)
    opener = next((o for magic, o in _DECOMPRESSORS.items() if head.startswith(magic)), None)
    if head.startswith(b"\x1f\x9d"):
        opener = _lzw_opener(path, stream)
    if head.startswith(b"PK\x03\x04"):
        stream.close()
        raise InputError("is a zip archive; unpack it first", path)
    if opener is None:
        return stream
    with stream:
        return _decompressed(opener(stream), path)


def _lzw_opener(path, stream):
    try:
        return importlib.import_module("uncompresspy").open
    except ModuleNotFoundError:
        stream.close()
        raise InputError(
            "is LZW compressed (.Z): install the package uncompresspy, or run uncompress first",
            path,
        ) from None


def _decompressed(packed, path):
    """Copy a decompressing stream into memory or, if large, a temporary file."""
    out, size = io.BytesIO(), 0
    while True:
        try:
            chunk = packed.read(CHUNK_BYTES)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as err:
            out.close()
            raise InputError(f"compressed data are damaged or truncated: {err}", path) from None
        if not chunk:
            break
        size += len(chunk)
        try:
            if size > IN_MEMORY_BYTES and isinstance(out, io.BytesIO):
                spill = tempfile.TemporaryFile()  # noqa: SIM115 (handed to the caller)
                spill.write(out.getbuffer())
                out = spill
            out.write(chunk)
        except OSError as err:
            out.close()
            if err.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ResourceError(
                    f"{path}: no room to decompress in {tempfile.gettempdir()}"
                ) from err
            raise
    if not size:
        raise InputError("the file is empty once decompressed", path)
    out.seek(0)
    return out


def read_bytes(path):
    """Return the whole content of a small file, decompressed."""
    with open_stream(path) as stream:
        return stream.read()


def _check_start(head, path):
    """Say what a file is that is not FITS."""
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<")):
        raise InputError("is an HTML or XML page, not FITS; the download may have failed", path)
    if not head.startswith(b"SIMPLE  ="):
        raise InputError("is not FITS: it does not start with SIMPLE", path)
    if head[10:80].split(b"/")[0].strip() != b"T":
        raise InputError("SIMPLE is not T: the file says that it is not standard FITS", path)


def _clean_header(header):
    """Return a header with cards left out that cannot be read at all."""
    clean = fits.Header()
    for card in header.cards:
        try:
            card.verify("silentfix")
            str(card)
            card.value  # noqa: B018 (parsing is what may fail)
        except FITS_ERRORS:
            continue
        if card.keyword not in ("", "COMMENT", "HISTORY", "CONTINUE"):
            clean.append(card, end=True)
    return clean


class FitsFile:
    """An open FITS file; closed with `close` or when nothing refers to it any more.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    path : path-like
    hdus : `~astropy.io.fits.HDUList`
    headers : list of `~astropy.io.fits.Header`
        Without cards that cannot be parsed.

    Raises
    ------
    InputError
        If the file is not FITS, or damaged.
    """

    def __init__(self, path):
        self.path = path
        self._stream = open_stream(path)
        self.lock = threading.RLock()
        weakref.finalize(self, self._stream.close)
        _check_start(self._stream.read(2880), path)
        self._size = self._stream.seek(0, os.SEEK_END)
        self._stream.seek(0)
        with quiet_astropy():
            try:
                self.hdus = fits.open(self._stream, mode="readonly", lazy_load_hdus=True)
                self._load_hdus()
                self.headers = [_clean_header(hdu.header) for hdu in self.hdus]
                self.shapes = [self._image_shape(hdu) for hdu in self.hdus]
            except (MemoryError, InputError):
                raise
            except FITS_ERRORS as err:
                raise InputError(f"the FITS structure is damaged: {err}", path) from err

    def _load_hdus(self):
        """Load HDU after HDU: on a negative size astropy would read the same one for ever."""
        index = 0
        while True:
            try:
                info = self.hdus[index].fileinfo()
            except IndexError:
                return
            if info["datSpan"] < 0:
                raise InputError("a length in the header is negative", self.path, index)
            index += 1

    @staticmethod
    def _image_shape(hdu):
        """Shape of the pixels, or None for what is not an image."""
        if not hdu.is_image or isinstance(hdu, fits.GroupsHDU):
            return None
        shape = tuple(int(n) for n in hdu.shape)
        return shape if shape and min(shape) > 0 else None

    def close(self):
        """Close the file; reading from it fails from then on."""
        with self.lock:
            self._stream.close()

    def pixels(self, index, plane=()):
        """Return the pixels of one HDU, or one plane of it, to be read by section.

        Raises
        ------
        InputError
            If the file ends before the data do.
        """
        hdu = self.hdus[index]
        info = hdu.fileinfo()
        compressed = isinstance(hdu, fits.CompImageHDU)
        nbytes = info["datSpan"] - 2879 if compressed else _data_bytes(self.headers[index])
        if info["datLoc"] + nbytes > self._size:
            raise InputError(
                f"the data are truncated: the file has {self._size} bytes, the header asks for "
                f"{info['datLoc'] + nbytes}",
                self.path,
                index,
            )
        kind = CompressedPixels if compressed else PlainPixels
        return kind(self, index, plane)

    def read_at(self, offset, buffer):
        """Fill a contiguous array with the bytes from ``offset`` on; safe between threads.

        Raises
        ------
        OSError, ValueError
            If the file ends before, or is closed.
        """
        with self.lock:
            self._stream.seek(offset)
            if self._stream.readinto(buffer.data.cast("B")) != buffer.nbytes:
                raise OSError("the file has become shorter")


def _data_bytes(header):
    """Bytes of data of a plain image HDU."""
    count = 1
    for i in range(1, header["NAXIS"] + 1):
        count *= header[f"NAXIS{i}"]
    return abs(header["BITPIX"]) // 8 * count
