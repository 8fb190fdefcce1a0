"""Tables as bytes: ECSV, CSV, FITS, VOTable and Parquet that read back equal.

Every format carries the same YAML header, the one of ECSV: data types, units,
descriptions and the whole nested ``.meta``. It stands where the format has
room for text: in the comment lines of ECSV and CSV, in the COMMENT cards where
astropy looks for it in FITS, in a PARAM of a VOTable, in the schema of a
Parquet file (again where astropy looks). Columns are stored natively beside
it, with their units, so that other programs read the file as it is. A file
without the header, or with other columns than its header names, is read by
what the format itself says.

Nothing here touches the disk.
"""

import csv
import io
import json
import re
import warnings
from xml.parsers.expat import ExpatError

import numpy as np
from astropy.io import fits, votable
from astropy.table import MaskedColumn, QTable, Table
from astropy.table.meta import YamlParseError
from astropy.units import Unit, UnitsWarning
from astropy.utils.exceptions import AstropyUserWarning

from astro_objdet.catalogs.tables.header import flatten, parse, rebuild
from astro_objdet.errors import InputError

__all__ = ["DUMPERS", "LOADERS"]

_BEGIN = "--BEGIN-ASTROPY-SERIALIZED-COLUMNS--"
_END = "--END-ASTROPY-SERIALIZED-COLUMNS--"
_CARD = 70
_PARAM = "ecsv_header"
# What a cell cannot hold as it is. FITS: anything but printable ASCII, and
# trailing blanks, which are padding. XML: control characters, and blanks at
# the ends, which readers may strip.
_NOT_FITS = re.compile(r"[^ -~]| $")
_NOT_XML = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]|^\s|\s$")


def dump_text(table, delimiter):
    """Return an ECSV file; with commas that is CSV with a header in comment lines.

    Strings are always quoted, so that a ``#`` in a label is no comment to any reader.
    """
    plain, header = flatten(table, delimiter=delimiter)
    text = io.StringIO()
    for line in ["%ECSV 1.0", "---", *header]:
        text.write(f"# {line}\n")
    writer = csv.writer(
        text, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
    )
    writer.writerow(plain.colnames)
    writer.writerows(zip(*(column.tolist() for column in plain.itercols()), strict=True))
    return text.getvalue().encode()


def load_text(content):
    """Read ECSV, or CSV with or without a header in comment lines."""
    # Newline translation would change line ends inside of labels.
    stream = io.StringIO(content.decode(), newline="")
    header, line = [], stream.readline()
    while line.startswith("#"):
        header.append(line.removeprefix("#").removeprefix(" ").rstrip("\r\n"))
        line = stream.readline()
    if not line.strip():
        raise InputError("is not a table: no line with column names")
    header = parse(header[1:]) if header[:1] and "ECSV" in header[0] else None
    if header is None:
        return QTable.read(io.BytesIO(content), format="ascii.csv", comment="#")
    delimiter = header.get("delimiter", " ")
    names, *rows = csv.reader(io.StringIO(line + stream.read(), newline=""), delimiter=delimiter)
    rows = [row for row in rows if row]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise InputError(f"row {number} has {len(row)} values, expected {len(names)}")
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    types = {column["name"]: column["datatype"] for column in header["datatype"]}
    cells = {
        name: _typed(cells, types.get(name, "string"))
        for name, cells in zip(names, columns, strict=True)
    }
    return rebuild(Table(cells), header)


def dump_fits(table):
    """Return a FITS file with one binary table."""
    plain, header = flatten(table, escape=_NOT_FITS, always_mixins=True)
    _describe_units(plain, "fits")
    hdu = fits.table_to_hdu(Table(plain.columns, copy=False), character_as_bytes=True)
    hdu.name = "DETECTIONS"
    cards = [card for line in header for card in _cards(line)]
    for card in [_BEGIN, *cards, _END]:
        hdu.header.add_comment(card)
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(stream)
    return stream.getvalue()


def load_fits(content):
    """Read the first binary table of a FITS file."""
    with warnings.catch_warnings():
        # A table cut short is no table, though astropy reads what is left.
        warnings.filterwarnings("error", "File may have been truncated")
        with fits.open(io.BytesIO(content), character_as_bytes=False) as hdus:
            tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
            if not tables:
                raise InputError("holds no binary table")
            return _fits_table(tables[0])


def _fits_table(hdu):
    cards = [str(card) for card in hdu.header.get("COMMENT", [])]
    if _BEGIN not in cards or _END not in cards:
        return QTable.read(hdu, unit_parse_strict="silent")
    header = parse(_joined(cards[cards.index(_BEGIN) + 1 : cards.index(_END)]))
    # Not by astropy's reader, which takes NaN and "" for missing values.
    table = Table({name: np.array(hdu.data[name]) for name in hdu.columns.names})
    for column in hdu.columns:
        if column.unit is not None:
            table[column.name].unit = Unit(column.unit, parse_strict="silent")
    return rebuild(table, header)


def dump_votable(table):
    """Return a VOTable, its cells as text."""
    plain, header = flatten(table, escape=_NOT_XML)
    _describe_units(plain, "vounit")
    tree = votable.from_table(Table(plain.columns, copy=False))
    element = tree.get_first_table()
    # JSON keeps the line ends, which an XML attribute would not, and astropy
    # escapes the characters of markup in an attribute twice.
    text = json.dumps("\n".join(header))
    for character in "&<>":
        text = text.replace(character, f"\\u{ord(character):04x}")
    parameter = votable.tree.Param(
        tree, name=_PARAM, ID=_PARAM, datatype="char", arraysize="*", value=text
    )
    parameter.description = "data types, units and meta, in the YAML of ECSV"
    element.params.append(parameter)
    stream = io.BytesIO()
    tree.to_xml(stream)
    return stream.getvalue()


def load_votable(content):
    """Read the first table of a VOTable."""
    element = votable.parse(io.BytesIO(content)).get_first_table()
    table = element.to_table(use_names_over_ids=True)
    headers = [p.value for p in element.params if p.name == _PARAM]
    if not headers:
        return QTable(table)
    return rebuild(table, parse(json.loads(str(headers[0])).split("\n")))


def dump_parquet(table):
    """Return a Parquet file, as astropy writes it."""
    pyarrow, parquet = _pyarrow()
    plain, header = flatten(table)
    metadata = {"table_meta_yaml": "\n".join(header)}
    for column in plain.itercols():
        if column.dtype.kind == "U":
            metadata[f"table::len::{column.name}"] = str(column.dtype.itemsize // 4)
    arrays = {
        column.name: pyarrow.array(
            np.ascontiguousarray(column.data),
            type=pyarrow.from_numpy_dtype(column.dtype.type),
        )
        for column in plain.itercols()
    }
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(arrays).replace_schema_metadata(metadata), stream)
    return stream.getvalue()


def load_parquet(content):
    """Read a Parquet file."""
    pyarrow, parquet = _pyarrow()
    stored = parquet.read_table(pyarrow.BufferReader(content))
    table = Table()
    for name in stored.column_names:
        column = stored[name]
        if column.null_count:
            mask = np.asarray(column.is_null())
            kind = column.type.to_pandas_dtype()
            filler = "" if kind in (str, np.str_, np.object_) else kind(0)
            values = np.asarray(column.fill_null(filler).to_pylist())
            table[name] = MaskedColumn(values, mask=mask)
        elif pyarrow.types.is_string(column.type):
            table[name] = np.array(column.to_pylist(), dtype=np.str_)
        else:
            table[name] = column.to_numpy()
    header = (stored.schema.metadata or {}).get(b"table_meta_yaml")
    if header is None:
        return QTable(table)
    return rebuild(table, parse(header.decode().split("\n")))


def _typed(cells, datatype):
    """Turn text cells into an array; an empty cell of numbers is missing."""
    if datatype == "string":
        return np.array(cells, dtype=np.str_)
    missing = np.array([cell == "" for cell in cells], dtype=bool)
    if datatype == "bool":
        values = [cell.strip() in ("True", "true", "1") for cell in cells]
    else:
        values = [cell or "0" for cell in cells]
    values = np.array(values or [], dtype=np.dtype(datatype))
    return MaskedColumn(values, mask=missing) if missing.any() else values


def _cards(line):
    """Cut a line into COMMENT cards, a backslash behind those that go on."""
    parts = [line[i : i + _CARD] for i in range(0, len(line), _CARD)] or [""]
    return [part + "\\" for part in parts[:-1]] + parts[-1:]


def _joined(cards):
    lines, goes_on = [], False
    for card in cards:
        text = card[:_CARD]
        if goes_on:
            lines[-1] += text
        else:
            lines.append(text)
        goes_on = len(card) > _CARD
    return lines


def _describe_units(plain, standard):
    """Move units that a standard lacks, like nanomaggies, to the description."""
    for column in plain.itercols():
        if column.unit is None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnitsWarning)
            try:
                column.unit.to_string(standard)
            except (ValueError, UnitsWarning):
                described = [column.description or "", f"[{column.unit}]"]
                column.description = " ".join(filter(None, described))
                column.unit = None


def _pyarrow():
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError("Parquet files need pyarrow: pip install pyarrow") from None
    return pyarrow, parquet


def _strict(load):
    """Let every way in which a damaged file fails come out as InputError."""

    def strict(content):
        try:
            return load(content)
        except InputError:
            raise
        except (
            OSError,
            ImportError,  # of what reads a compression
            ValueError,  # with it units, unicode, JSON and pyarrow
            TypeError,
            LookupError,
            StopIteration,
            SyntaxError,  # VOTable's W and E
            ExpatError,
            YamlParseError,
            csv.Error,
            AstropyUserWarning,
        ) as error:
            reason = str(error) or type(error).__name__
            raise InputError(f"is not a readable table: {reason}") from error

    return strict


DUMPERS = {
    "ascii.ecsv": lambda table: dump_text(table, " "),
    "ascii.csv": lambda table: dump_text(table, ","),
    "fits": dump_fits,
    "votable": dump_votable,
    "parquet": dump_parquet,
}
LOADERS = {
    "ascii.ecsv": _strict(load_text),
    "ascii.csv": _strict(load_text),
    "fits": _strict(load_fits),
    "votable": _strict(load_votable),
    "parquet": _strict(load_parquet),
}
