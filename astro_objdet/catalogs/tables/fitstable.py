"""Tables as FITS: binary tables as they are, and with the header of `schema`.

The header stands in the COMMENT cards where astropy writes and looks for its own.
"""

import re
import warnings

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from astro_objdet.catalogs.columns.masks import unmasked
from astro_objdet.catalogs.tables.formats import title_of
from astro_objdet.catalogs.tables.schema import (
    check_unique,
    flatten,
    parse,
    plain_text,
    refuse_objects,
    restore,
    with_info,
)
from astro_objdet.errors import InputError

__all__ = ["read_fits", "write_fits"]

_BEGIN = "--BEGIN-ASTROPY-SERIALIZED-COLUMNS--"
_END = "--END-ASTROPY-SERIALIZED-COLUMNS--"
_CARD = 70
# What a FITS cell cannot hold: anything but printable ASCII, and blanks at the end.
_UNSAFE = re.compile(r"[^ -~]| $")
_STRUCTURE = re.compile(
    r"(XTENSION|EXTNAME|EXTVER|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|CHECKSUM|DATASUM"
    r"|COMMENT|HISTORY|)|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM|BCOL|UCD|COMM|UTYP)\d+"
)
# Types that FITS lacks (astropy takes int8 for logical), and types in which missing values have
# a place: TNULL is for integers, and TZERO, by which FITS has unsigned ones, would shift it.
_STORED = {"int8": np.int16, "float16": np.float32}
_WITH_NULL = {
    "bool": np.uint8,
    "uint16": np.int32,
    "uint32": np.int64,
    "uint64": np.int64,
}
# The name SExtractor gives its catalogue, behind a table that holds an image header.
_PREFERRED = "LDAC_OBJECTS"


def read_fits(source, hdu=None, guess=True):
    """Read a table of a FITS file.

    Parameters
    ----------
    source : path-like or file object
        Also compressed, as far as astropy can.
    hdu : int or str, optional
        Number or name. Without it the only table is read, or the first of several with a warning.
    guess : bool, optional
        Whether NaN stands for a missing number where the file does not tell the two apart.

    Returns
    -------
    `~astropy.table.Table`
        Missing values (TNULL, null logicals, NaN) masked.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        # Null logicals are masked here.
        warnings.filterwarnings("ignore", "(?s).*check for bytes values")
        # A table cut short is no table, though astropy reads what is left.
        warnings.filterwarnings("error", "File may have been truncated")
        with fits.open(source, memmap=True) as hdus:
            table = _chosen(hdus, hdu, source)
            columns = _columns(table, guess)
            header = table.header
    return _with_header(columns, header)


def write_fits(table, stream):
    """Write a table as a FITS file with one binary table."""
    plain, lines = flatten(table, _UNSAFE, "fU", always_mixins=True)
    stored = [_storable(column) for column in plain.itercols()]
    hdu = fits.table_to_hdu(
        Table([values for values, _ in stored], names=plain.colnames, copy=False),
        character_as_bytes=True,
    )
    for definition, (_, null), column in zip(hdu.columns, stored, plain.itercols(), strict=True):
        if null is not None:
            definition.null = null
        if column.unit is not None:
            definition.unit = _unit_text(column.unit)
    for number, column in enumerate(plain.itercols(), start=1):
        ucd = (column.meta or {}).get("ucd")
        for key, text in (("TCOMM", column.description), ("TUCD", ucd)):
            if text and len(str(text)) <= _CARD - 2 and not _UNSAFE.search(str(text)):
                hdu.header.set(f"{key}{number}", str(text), after=f"TFORM{number}")
    for card in [_BEGIN, *(card for line in lines for card in _cards(line)), _END]:
        hdu.header.add_comment(card)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(stream)


def _chosen(hdus, wanted, source):
    tables = [h for h in hdus if isinstance(h, fits.BinTableHDU | fits.TableHDU)]
    listed = ", ".join(f"{hdus.index(h)} ({h.name or 'no name'})" for h in tables)
    if not tables:
        raise InputError("holds no table, only images or nothing")
    if wanted is not None:
        number = isinstance(wanted, str) and wanted.isdigit()
        try:
            found = hdus[int(wanted) if number else wanted]
        except (KeyError, IndexError, TypeError):
            found = None
        if found not in tables:
            raise InputError(f"hdu must be that of a table: {listed}; got {wanted!r}")
        return found
    if len(tables) == 1:
        return tables[0]
    for table in tables:
        if table.name == _PREFERRED:
            return table
    warnings.warn(
        f"{title_of(source)}: has tables in HDUs {listed}; the first is read, hdu= chooses",
        UserWarning,
        stacklevel=5,
    )
    return tables[0]


def _columns(hdu, guess):
    names = [c.name or f"col{i}" for i, c in enumerate(hdu.columns, start=1)]
    check_unique(names)
    data = hdu.data
    columns = []
    for number, (name, definition) in enumerate(zip(names, hdu.columns, strict=True)):
        values, mask = _values(data, number, definition, isinstance(hdu, fits.TableHDU), guess)
        info = {
            "unit": _unit(definition.unit),
            "description": hdu.header.get(f"TCOMM{number + 1}"),
            "meta": {"ucd": hdu.header.get(f"TUCD{number + 1}")},
        }
        info["meta"] = info["meta"] if info["meta"]["ucd"] else None
        columns.append(with_info(values, mask, name, info))
    return Table(columns, copy=False)


def _values(data, number, definition, ascii_table, guess):
    """Return a column in native byte order, and where it is missing.

    The rows of the file are not contiguous in a column, which makes everything that follows slow,
    and hold on to the whole file.
    """
    values = data.field(number) if data is not None else np.zeros(0)
    if values.dtype.kind == "O":
        return np.array(values, dtype=object), None
    if values.dtype.kind in "SU":
        return plain_text(np.asarray(values)), None
    mask = None
    if not ascii_table:
        raw = np.recarray.field(data, number)
        if definition.format.format == "L":
            mask = raw == 0
        elif definition.null is not None and raw.dtype.kind in "iu":
            mask = raw == definition.null
    values = np.array(values, dtype=values.dtype.newbyteorder("="))
    if guess and values.dtype.kind in "fc":
        missing = np.isnan(values)
        mask = missing if mask is None else mask | missing
    return values, mask


def _unit(text):
    if not text:
        return None
    unit = u.Unit(text, format="fits", parse_strict="silent")
    if isinstance(unit, u.UnrecognizedUnit):
        # Many files have units that FITS does not know, but astropy does.
        return u.Unit(text, parse_strict="silent")
    return unit


def _unit_text(unit):
    """Return a unit as FITS writes it, or as astropy does where FITS lacks it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        try:
            return unit.to_string("fits")
        except ValueError:
            return unit.to_string()


def _with_header(table, header):
    """Give a table what the header of the file says besides its columns."""
    cards = [str(card) for card in header.get("COMMENT", [])]
    if _BEGIN in cards and _END in cards:
        begin, end = cards.index(_BEGIN), cards.index(_END)
        described = parse(_joined(cards[begin + 1 : end]))
        table = restore(table, described, "fU")
        if "masked" in described or "escaped" in described or table.meta:
            # One of ours: its meta is all there. Astropy's has the rest in cards.
            return table
        del cards[begin : end + 1]
    for card in header.cards:
        known = _STRUCTURE.fullmatch(card.keyword)
        if not known and not isinstance(card.value, fits.card.Undefined):
            table.meta[card.keyword] = card.value
    for key, texts in (("comments", cards), ("HISTORY", header.get("HISTORY", []))):
        if texts:
            table.meta[key] = [str(text) for text in texts]
    return table


def _storable(column):
    """Return values as FITS stores them, and the number that stands for a missing one."""
    values, mask = unmasked(column)
    refuse_objects(column, values, "FITS")
    if values.dtype.kind == "U":
        # Escapes have made it ASCII.
        values = np.where(mask, "", values).astype(np.bytes_)
        return (values if values.dtype.itemsize else values.astype("S1")), None
    values = values.astype(_STORED.get(values.dtype.name, values.dtype), copy=False)
    if not mask.any():
        return values, None
    if values.dtype.kind in "fc":
        return np.where(mask, np.array(np.nan, values.dtype), values), None
    values = values.astype(_WITH_NULL.get(values.dtype.name, values.dtype))
    null = _free_number(values[~mask])
    if null is None:
        raise InputError(f"column {column.name!r} leaves no number to stand for missing values")
    return np.where(mask, np.array(null, values.dtype), values), null


def _free_number(values):
    """Return a number of the type that no value has."""
    limits = np.iinfo(values.dtype)
    for number in (limits.max, limits.min, limits.max - 1, limits.min + 1):
        if not np.any(values == number):
            return number
    return None


def _cards(line):
    """Cut a line into COMMENT cards, a backslash behind those that go on."""
    parts = [line[i : i + _CARD] for i in range(0, len(line), _CARD)] or [""]
    return [part + "\\" for part in parts[:-1]] + parts[-1:]


def _joined(cards):
    lines, goes_on = [], False
    for card in cards:
        if goes_on:
            lines[-1] += card[:_CARD]
        else:
            lines.append(card[:_CARD])
        goes_on = len(card) > _CARD
    return lines
