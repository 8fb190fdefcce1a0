"""Tables from and to files of any of the formats that catalogues come in."""

from pathlib import Path

import numpy as np

from astro_objdet.catalogs.detections import COLUMNS, Detections, as_detections
from astro_objdet.catalogs.tables.codecs import READERS, WRITERS, check_packing, reading, write
from astro_objdet.catalogs.tables.formats import SUFFIXES, format_by_suffix, format_of
from astro_objdet.catalogs.tables.regionpoints import read_regions, write_regions
from astro_objdet.errors import InputError
from astro_objdet.files import check_writable

__all__ = ["check_output", "read_table", "write_table"]

_READERS = {**READERS, "ds9": read_regions}
_WRITERS = {**WRITERS, "ds9": write_regions}


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
    with reading(path):
        read = _READERS[format_of(path)]
        return _detections_if_all_there(read(path, hdu))


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
    _format_to_write(path)
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
    write(_WRITERS[_format_to_write(path)], table, path, overwrite)


def _format_to_write(path):
    name = format_by_suffix(path)
    if name is None:
        known = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
        raise InputError(f"the suffix must be one of {known}, got {Path(path).suffix!r}", path)
    check_packing(name, path)
    return name


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
