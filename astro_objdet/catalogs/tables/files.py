"""Tables from and to files of any of the formats that catalogues come in."""

import contextlib
import csv
import gzip
import io
import struct
import zlib
from pathlib import Path
from xml.parsers.expat import ExpatError

import numpy as np
import pyarrow
from astropy.io import fits
from astropy.table.meta import YamlParseError
from astropy.utils.exceptions import AstropyUserWarning

from astro_objdet.catalogs.detections import COLUMNS, Detections, as_detections
from astro_objdet.catalogs.tables.fitstable import read_fits, write_fits
from astro_objdet.catalogs.tables.formats import SUFFIXES, format_by_suffix, format_of
from astro_objdet.catalogs.tables.parquet import read_parquet, write_parquet
from astro_objdet.catalogs.tables.regionpoints import read_regions, write_regions
from astro_objdet.catalogs.tables.text import read_text, write_csv, write_ecsv
from astro_objdet.catalogs.tables.votable import read_votable, write_votable
from astro_objdet.errors import InputError
from astro_objdet.files import atomic_path, check_writable

__all__ = ["check_output", "dump_as", "read_as", "read_table", "write_as", "write_table"]

# What reads and writes each format of `SUFFIXES`.
_READERS = {
    "ascii.ecsv": read_text,
    "ascii.csv": read_text,
    "fits": read_fits,
    "votable": read_votable,
    "parquet": read_parquet,
    "ds9": read_regions,
}
_WRITERS = {
    "ascii.ecsv": write_ecsv,
    "ascii.csv": write_csv,
    "fits": write_fits,
    "votable": write_votable,
    "parquet": write_parquet,
    "ds9": write_regions,
}
# Every way in which a damaged file fails in one of the readers.
_READING_FAILS = (
    OSError,
    EOFError,
    ImportError,  # of what reads a compression
    ValueError,  # with it units, unicode, JSON and most of pyarrow's
    TypeError,
    LookupError,
    AttributeError,
    StopIteration,
    NotImplementedError,
    SyntaxError,  # VOTable's W and E
    ExpatError,
    YamlParseError,
    csv.Error,
    struct.error,
    zlib.error,
    fits.VerifyError,
    pyarrow.ArrowException,
    AstropyUserWarning,
)


def read_table(path, *, hdu=None):
    """Read a table.

    Parameters
    ----------
    path : path-like
        FITS, ECSV, CSV, VOTable, Parquet or a DS9 region file. The format goes by the suffix, or
        by the content if the suffix says nothing; ``.gz`` may follow it.
    hdu : int or str, optional
        HDU of a FITS file by number or name, or table of a VOTable by number from 0, ID or name.
        Without it the only table is read, or the first of several with a warning.

    Returns
    -------
    `~astropy.table.Table` or `~astro_objdet.catalogs.Detections`
        With units, descriptions, ``.meta`` and masked values as the file has them; a UCD is in
        ``.meta["ucd"]`` of its column. Missing numbers of FITS and VOTable (TNULL, NaN) are
        masked, and so are empty cells, ``null``, ``N/A``, ``NaN`` in columns of numbers of CSV.
        Region files give ra, dec (deg, ICRS), label, and score if there is one. A table with all
        the columns of detections comes back as `~astro_objdet.catalogs.Detections`.

    Raises
    ------
    InputError
        If the file cannot be read, is damaged or cut short, is in no known format, holds no
        table, or has two columns of the same name; with the path.

    Warns
    -----
    UserWarning
        If a file has several tables, or a service says that it cut its answer short.
    """
    with _reading(path):
        return _detections_if_all_there(_READERS[format_of(path)](path, hdu))


def check_output(path, overwrite=False, inputs=()):
    """Raise what `write_table` would for this name, before any work is done for the table.

    Parameters
    ----------
    path, overwrite, inputs
        As for `~astro_objdet.files.check_writable`.

    Raises
    ------
    InputError, OutputExistsError
        As `write_table` does, and if ``path`` is one of the inputs.
    """
    _check_format(_format_to_write(path), path)
    check_writable(path, overwrite, inputs)


def write_table(table, path, *, overwrite=False):
    """Write a table, whole or not at all.

    The same table gives the same bytes.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Columns of numbers, booleans, strings and astropy's classes, masked or not; several values
        a row except in CSV.
    path : path-like
        The suffix names the format: .ecsv, .csv, .fits, .vot, .parquet, .reg; ``.gz`` may follow
        it. Region files get a point a row, or the boxes of detections.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the suffix is not known, the format has no place for a column, or the file cannot be
        written.
    OutputExistsError
        If the file exists and ``overwrite`` is false.
    """
    write_as(_format_to_write(path), table, path, overwrite)


def read_as(name, source, hdu=None, guess=True):
    """Read a table of a format in `SUFFIXES`.

    Parameters
    ----------
    name : str
        The format.
    source : path-like or file object
    hdu : int or str, optional
        As in `read_table`.
    guess : bool, optional
        Whether NaN and empty texts stand for missing values where a file does not tell the two
        apart.

    Returns
    -------
    `~astropy.table.Table`

    Raises
    ------
    InputError
        As in `read_table`, but not always with the path.
    """
    with _reading():
        return _READERS[name](source, hdu, guess)


def write_as(name, table, path, overwrite=False):
    """Write a table as `write_table` does, in a format that the suffix need not name."""
    _check_format(name, path)
    with atomic_path(path, overwrite) as temporary, open(temporary, "wb") as file:
        try:
            if _is_packed(path):
                # Without a name and a time in it, the same table gives the same bytes.
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as stream:
                    _WRITERS[name](table, stream)
            else:
                _WRITERS[name](table, file)
        except (ValueError, TypeError) as error:
            raise InputError(f"cannot be written: {error}", path) from error


def dump_as(name, table):
    """Return the bytes of a table in a format of `SUFFIXES`."""
    stream = io.BytesIO()
    _WRITERS[name](table, stream)
    return stream.getvalue()


@contextlib.contextmanager
def _reading(path=None):
    """Let every way in which a damaged file fails come out as InputError, naming the file."""
    try:
        yield
    except InputError as error:
        if path is None or error.path is not None:
            raise
        raise InputError(str(error), path) from error
    except _READING_FAILS as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"cannot be read: {' '.join(reason.split())[:300]}", path) from error


def _format_to_write(path):
    name = format_by_suffix(path)
    if name is None:
        known = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
        raise InputError(f"the suffix must be one of {known}, got {Path(path).suffix!r}", path)
    return name


def _check_format(name, path):
    if name == "parquet" and _is_packed(path):
        raise InputError("Parquet is compressed by itself; leave .gz out of the name", path)


def _is_packed(path):
    return str(path).lower().endswith(".gz")


def _detections_if_all_there(table):
    """Return a table as detections if it has all of their columns, with nothing missing."""
    if isinstance(table, Detections) or not set(COLUMNS) <= set(table.colnames):
        return table
    if any(np.any(getattr(table[name], "mask", False)) for name in COLUMNS):
        return table
    try:
        return as_detections(table)
    except InputError:
        return table
