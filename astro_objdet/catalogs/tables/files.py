"""Tables from and to files of any of the formats that catalogues come in."""

import csv
import gzip
import struct
import zlib
from functools import partial
from pathlib import Path
from xml.parsers.expat import ExpatError

import numpy as np
import pyarrow
from astropy.io import fits
from astropy.table.meta import YamlParseError
from astropy.utils.exceptions import AstropyUserWarning

from astro_objdet.catalogs.detections import Detections
from astro_objdet.catalogs.tables.fitstable import read_fits, write_fits
from astro_objdet.catalogs.tables.parquet import read_parquet, write_parquet
from astro_objdet.catalogs.tables.regionpoints import read_regions, write_regions
from astro_objdet.catalogs.tables.text import read_text, write_csv, write_ecsv
from astro_objdet.catalogs.tables.votable import read_votable, write_votable
from astro_objdet.errors import InputError
from astro_objdet.files import atomic_path, check_writable

__all__ = ["check_output", "read_table", "write_table"]

_READERS = {
    "text": read_text,
    "fits": read_fits,
    "votable": read_votable,
    "parquet": read_parquet,
    "regions": read_regions,
}
# Suffix: name in _READERS, and what writes it.
_FORMATS = {
    ".ecsv": ("text", write_ecsv),
    ".csv": ("text", write_csv),
    ".fits": ("fits", write_fits),
    ".fit": ("fits", write_fits),
    ".vot": ("votable", write_votable),
    ".votable": ("votable", write_votable),
    ".xml": ("votable", write_votable),
    ".parquet": ("parquet", write_parquet),
    ".parq": ("parquet", write_parquet),
    ".reg": ("regions", write_regions),
}
# The names that the formats have in astropy's unified I/O.
_IN_ASTROPY = {
    write_ecsv: "ascii.ecsv",
    write_csv: "ascii.csv",
    write_fits: "fits",
    write_votable: "votable",
    write_parquet: "parquet",
    write_regions: "ds9",
}
_LISTED = "FITS, ECSV, CSV, VOTable, Parquet and DS9 regions"
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
    try:
        kind = _kind_of(Path(path))
        return _as_detections(_READERS[kind](path, hdu))
    except InputError as error:
        if error.path is not None:
            raise
        raise InputError(str(error), path) from error
    except _READING_FAILS as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"cannot be read: {' '.join(reason.split())[:300]}", path) from error


def check_output(path, overwrite=False):
    """Raise what `write_table` would for this name, before any work is done for the table.

    Raises
    ------
    InputError, OutputExistsError
        As `write_table` does.
    """
    _writer(Path(path))
    check_writable(path, overwrite)


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
    path = Path(path)
    write = _writer(path)
    if isinstance(table, Detections) and _one_value_a_row(table):
        write = partial(_write_detections, _IN_ASTROPY[write])
    with atomic_path(path, overwrite) as temporary, open(temporary, "wb") as file:
        try:
            if path.suffix.lower() == ".gz":
                # Without a name and a time in it, the same table gives the same bytes.
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                    write(table, packed)
            else:
                write(table, file)
        except (ValueError, TypeError) as error:
            raise InputError(f"cannot be written: {error}", path) from error


def _write_detections(name, table, stream):
    """Write detections by their own method, so that they can be read by their own."""
    table.write(stream, format=name)


def _one_value_a_row(table):
    return all(column.ndim == 1 and hasattr(column, "dtype") for column in table.itercols())


def _writer(path):
    if _suffix(path) not in _FORMATS:
        raise InputError(
            f"the suffix must be one of {', '.join(_FORMATS)}, got {path.suffix!r}", path
        )
    _, write = _FORMATS[_suffix(path)]
    if write is write_parquet and path.suffix.lower() == ".gz":
        raise InputError("Parquet is compressed by itself; leave .gz out of the name", path)
    return write


def _suffix(path):
    name = path.name.lower()
    return Path(name.removesuffix(".gz")).suffix


def _kind_of(path):
    """Return the name of the reader, by suffix, else by content."""
    with open(path, "rb") as file:
        start = file.read(4096)
    if not start:
        raise InputError("is empty")
    if start.startswith(b"\x1f\x8b"):
        start = zlib.decompressobj(wbits=31).decompress(start)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        raise InputError("is a web page, not a table")
    known = _FORMATS.get(_suffix(path))
    if known is not None:
        return known[0]
    if start.startswith(b"SIMPLE  ="):
        return "fits"
    if start.startswith(b"PAR1"):
        return "parquet"
    if b"<votable" in text or b":votable" in text:
        return "votable"
    if text.startswith(b"# region file format"):
        return "regions"
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(b"#")]
    if text.startswith(b"# %ecsv") or (lines and any(mark in lines[0] for mark in b",;\t")):
        return "text"
    raise InputError(f"is in no known format; known are {_LISTED}, by suffix or content")


def _as_detections(table):
    """Return a table as detections if it has all of their columns, complete and with units."""
    standard = Detections.from_boxes(np.zeros((0, 4)), [], [])
    if isinstance(table, Detections) or not set(standard.colnames) <= set(table.colnames):
        return table
    for name in standard.colnames:
        unit, found = standard[name].unit, table[name].unit
        if np.any(getattr(table[name], "mask", False)) or table[name].ndim != 1:
            return table
        if unit is not None and found is not None and not found.is_equivalent(unit):
            return table
    for name in standard.colnames:
        if standard[name].unit is not None and table[name].unit is None:
            # As in a CSV file that went through a spreadsheet.
            table[name].unit = standard[name].unit
    return Detections(table, copy=False)
