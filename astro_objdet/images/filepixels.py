"""Pixels of one FITS image, read by section."""

import numpy as np
from astropy.io import fits

from astro_objdet.errors import InputError

__all__ = ["FITS_ERRORS", "CompressedPixels", "PlainPixels"]

# What astropy raises for damaged files, beyond OSError.
FITS_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    fits.VerifyError,
)


class _FilePixels:
    """Shared by both kinds: shape, type and scaling from the header."""

    def __init__(self, file, index, plane):
        self._file = file
        self._index = index
        self._plane = tuple(plane)
        header = file.headers[index]
        full = file.shapes[index]
        self._full_shape = full
        self.shape = full[len(self._plane) :]
        self.bscale = float(header.get("BSCALE", 1))
        self.bzero = float(header.get("BZERO", 0))
        self.dtype = np.dtype(fits.BITPIX2DTYPE[header["BITPIX"]])
        self.blank = header.get("BLANK") if self.dtype.kind in "iu" else None

    def _error(self, err):
        return InputError(f"the pixels cannot be read: {err}", self._file.path, self._index)


class PlainPixels(_FilePixels):
    """Rows read straight from their place in the file.

    Not a memory map: a map of a large field counts as used memory as far as it has been touched,
    and a file that shrinks under it kills the process.
    """

    def __init__(self, file, index, plane):
        super().__init__(file, index, plane)
        self.dtype = self.dtype.newbyteorder(">") if self.dtype.itemsize > 1 else self.dtype
        skip = (
            np.ravel_multi_index(self._plane, self._full_shape[: len(self._plane)]) if plane else 0
        )
        ny, nx = self.shape
        self._start = (
            file.hdus[index].fileinfo()["datLoc"] + int(skip) * ny * nx * self.dtype.itemsize
        )

    def read(self, y0, y1, x0, x1):
        """Return pixels ``[y0:y1, x0:x1]``, with BSCALE and BZERO applied."""
        row = self.shape[1] * self.dtype.itemsize
        # Rows are read whole where most of them is wanted: one call in place of many.
        whole = 2 * (x1 - x0) >= self.shape[1]
        columns = (0, self.shape[1]) if whole else (x0, x1)
        raw = np.empty((y1 - y0, columns[1] - columns[0]), self.dtype)
        parts = [raw] if whole else raw
        first = self._start + y0 * row + columns[0] * self.dtype.itemsize
        try:
            for i, part in enumerate(parts):
                self._file.read_at(first + i * row, part)
        except (OSError, ValueError) as err:
            raise self._error(err) from err
        if whole:
            raw = raw[:, x0:x1]
        return self._scaled(raw)

    def _scaled(self, raw):
        if self.bscale == 1 and self.bzero == 0:
            return raw
        values = raw * self.bscale
        values += self.bzero
        if self.blank is not None:
            values[raw == self.blank] = np.nan
        return values


class CompressedPixels(_FilePixels):
    """Tile-compressed pixels (.fz), decompressed tile by tile by astropy.

    fpack compresses rows by default, so that a window costs whole rows; the last rows are kept for
    the neighbouring window.
    """

    def __init__(self, file, index, plane):
        super().__init__(file, index, plane)
        self._hdu = file.hdus[index]
        self._by_rows = self._hdu.tile_shape[-1] >= self.shape[1]
        self._kept = (0, 0, None)

    def read(self, y0, y1, x0, x1):
        """Return pixels ``[y0:y1, x0:x1]``, scaled."""
        with self._file.lock:
            if not self._by_rows:
                return self._section(y0, y1, x0, x1)
            k0, k1, rows = self._kept
            if rows is None or y0 < k0 or y1 > k1:
                k0, k1, rows = y0, y1, self._section(y0, y1, 0, self.shape[1])
                self._kept = (k0, k1, rows)
        return rows[y0 - k0 : y1 - k0, x0:x1]

    def _section(self, y0, y1, x0, x1):
        try:
            return np.asarray(self._hdu.section[(*self._plane, slice(y0, y1), slice(x0, x1))])
        except MemoryError:
            raise
        except (*FITS_ERRORS, RuntimeError) as err:
            raise self._error(err) from err
