"""Plain tables in each of the formats: what reads and writes them, whole or not at all."""

import contextlib
import csv
import gzip
import io
import struct
import zlib
from xml.parsers.expat import ExpatError

import pyarrow
from astropy.io import fits
from astropy.table.meta import YamlParseError
from astropy.utils.exceptions import AstropyUserWarning

from astro_objdet.catalogs.tables.fitstable import read_fits, write_fits
from astro_objdet.catalogs.tables.parquet import read_parquet, write_parquet
from astro_objdet.catalogs.tables.text import read_text, write_csv, write_ecsv
from astro_objdet.catalogs.tables.votable import read_votable, write_votable
from astro_objdet.errors import InputError
from astro_objdet.files import atomic_path

__all__ = ["READERS", "WRITERS", "check_packing", "dump", "reading", "write"]

#: What reads and writes each format of `SUFFIXES` that holds tables of any kind.
READERS = {
    "ascii.ecsv": read_text,
    "ascii.csv": read_text,
    "fits": read_fits,
    "votable": read_votable,
    "parquet": read_parquet,
}
WRITERS = {
    "ascii.ecsv": write_ecsv,
    "ascii.csv": write_csv,
    "fits": write_fits,
    "votable": write_votable,
    "parquet": write_parquet,
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


@contextlib.contextmanager
def reading(path=None):
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


def write(writer, table, path, overwrite=False):
    """Write a file by what writes to a stream; ``.gz`` at the end of its name packs it.

    Parameters
    ----------
    writer : callable
        Takes a table and a stream, as those in `WRITERS`.
    table : `~astropy.table.Table`
    path : path-like
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the format has no place for a column, or the file cannot be written.
    OutputExistsError
        If the file exists and ``overwrite`` is false.
    """
    with atomic_path(path, overwrite) as temporary, open(temporary, "wb") as file:
        try:
            if _is_packed(path):
                # Without a name and a time in it, the same table gives the same bytes.
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as stream:
                    writer(table, stream)
            else:
                writer(table, file)
        except (ValueError, TypeError) as error:
            raise InputError(f"cannot be written: {error}", path) from error


def dump(writer, table):
    """Return the bytes that ``writer`` makes of a table."""
    stream = io.BytesIO()
    writer(table, stream)
    return stream.getvalue()


def check_packing(name, path):
    """Refuse names that would pack what is packed by itself."""
    if name == "parquet" and _is_packed(path):
        raise InputError("Parquet is compressed by itself; leave .gz out of the name", path)


def _is_packed(path):
    return str(path).lower().endswith(".gz")
