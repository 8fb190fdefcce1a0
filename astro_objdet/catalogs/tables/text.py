"""Tables as text: ECSV, CSV with its header in comment lines, and any other CSV."""

import csv
import io
import json
import re

import numpy as np
import pyarrow
from astropy.table import Table
from pyarrow import csv as arrow_csv

from astro_objdet.catalogs.columns.masks import unmasked
from astro_objdet.catalogs.tables.formats import content_of
from astro_objdet.catalogs.tables.parquet import from_arrow
from astro_objdet.catalogs.tables.schema import (
    check_unique,
    flatten,
    parse,
    refuse_complex,
    restore,
)
from astro_objdet.errors import InputError

__all__ = ["read_text", "write_csv", "write_ecsv"]

_NULLS = ["", "null", "NULL", "Null", "N/A", "n/a", "NA", "NaN", "nan", "NAN", "None", "--", "-"]
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_ROWS_AT_ONCE = 50_000
_as_json = json.JSONEncoder(separators=(",", ":")).encode


def read_text(source, hdu=None, guess=True):
    """Read ECSV, or CSV with commas, semicolons or tabs, from a file that may be gzipped.

    In columns of numbers of CSV ``null``, ``N/A``, ``NaN`` and the like are missing, and masked.

    Parameters
    ----------
    source : path-like or file object
    hdu : None
        Refused, as text has none.
    guess : bool, optional
        Whether NaN in CSV, and an empty text in ECSV, stand for missing values where the file
        does not tell the two apart.

    Returns
    -------
    `~astropy.table.Table`
    """
    if hdu is not None:
        raise InputError(f"hdu is for FITS and VOTable, got {hdu!r} for a text file")
    content = _as_utf8(content_of(source))
    comments, start = _leading_comments(content)
    if comments and comments[0].startswith("%ECSV"):
        return _read_described(content[start:], parse(comments[1:]), guess)
    return _read_csv(content, start, comments, guess)


def write_ecsv(table, stream):
    """Write a table as ECSV; cells with several values are JSON, as ECSV has them."""
    _write(table, stream, " ")


def write_csv(table, stream):
    """Write a table as CSV, the header of ECSV before it in comment lines."""
    several = [name for name in table.colnames if table[name].ndim > 1]
    if several:
        raise InputError(
            f"CSV has one value a cell, and {', '.join(several)} more; write .ecsv, .fits, .vot "
            "or .parquet, or remove these columns"
        )
    _write(table, stream, ",")


def _write(table, stream, delimiter):
    plain, lines = flatten(table, merged="U", delimiter=delimiter)
    refuse_complex(plain, "text")
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    for line in ["%ECSV 1.0", "---", *lines]:
        text.write(f"# {line}\n")
    # Text is quoted always, so that a # in it is no comment to any reader.
    writer = csv.writer(
        text, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
    )
    writer.writerow(plain.colnames)
    for start in range(0, len(plain), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        cells = [_cells(column[rows]) for column in plain.itercols()]
        writer.writerows(zip(*cells, strict=True))
    text.detach()


def _cells(column):
    values, mask = unmasked(column)
    if values.ndim == 1 and values.dtype.kind != "O":
        cells = values.tolist()
        for row in np.flatnonzero(mask):
            cells[row] = ""
        return cells
    if mask.any() and values.ndim > 1:
        values = values.astype(object)
        values[mask] = None
    texts = [_as_json(_listed(row)) for row in values]
    if values.ndim == 1:
        texts = ["" if m else text for text, m in zip(texts, mask, strict=True)]
    return texts


def _listed(value):
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, np.ma.core.MaskedConstant):
        return None
    return value


def _as_utf8(content):
    """Return text of any encoding as UTF-8 without a byte order mark."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16").encode()
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode()
    except UnicodeDecodeError:
        if b"\x00" in content:
            raise InputError("is not text") from None
        return content.decode("latin-1").encode()
    return content


def _leading_comments(content):
    """Return the comment lines before the names, and where the names begin."""
    comments, start = [], 0
    while True:
        end = content.find(b"\n", start)
        line = content[start:] if end < 0 else content[start:end]
        blank = not line.strip()
        if not blank and not line.startswith(b"#"):
            return comments, start
        if not blank:
            text = line.decode().rstrip("\r")
            comments.append(text.removeprefix("#").removeprefix(" "))
        if end < 0:
            return comments, len(content)
        start = end + 1


def _read_described(body, header, guess):
    """Read the cells behind a header of ECSV."""
    names = [column["name"] for column in header["datatype"]]
    if not names:
        return restore(Table(), header)
    delimiter = header.get("delimiter", " ")
    found = _names_of(body, delimiter)
    if found != names:
        raise InputError(
            f"its header has the columns {', '.join(names)}, its text {', '.join(found)}"
        )
    check_unique(names)
    subtypes = {c["name"]: c["subtype"] for c in header["datatype"] if c.get("subtype")}
    types = {
        c["name"]: pyarrow.string()
        if c["datatype"] == "string"
        else pyarrow.from_numpy_dtype(np.dtype(c["datatype"]))
        for c in header["datatype"]
    }
    table = _arrow_read(body, delimiter, names, 1, types, [""])
    for name, subtype in subtypes.items():
        table.replace_column(name, _from_json(table[name], subtype))
    if guess and "masked" not in header:
        # As astropy writes it, a missing text is an empty one.
        header = {**header, "masked": names}
    return restore(table, header, "U")


def _from_json(column, subtype):
    """Return a column of lists from cells of JSON."""
    texts = column.filled("null") if hasattr(column, "filled") else column
    rows = json.loads("[" + ",".join(text or "null" for text in texts.tolist()) + "]")
    datatype, _, shape = subtype.partition("[")
    lengths = json.loads(f"[{shape}") if shape else []
    if datatype == "json" or None in lengths:
        cells = np.empty(len(rows), dtype=object)
        for number, row in enumerate(rows):
            cells[number] = np.array(row) if isinstance(row, list) else row
        return np.ma.MaskedArray(cells, mask=[row is None for row in rows])
    if not any("null" in text for text in texts.tolist()) and datatype != "string":
        return np.array(rows, dtype=datatype).reshape(len(rows), *lengths)
    empty = np.full(lengths, None).tolist()
    cells = np.array([empty if row is None else row for row in rows], dtype=object)
    cells = cells.reshape(len(rows), *lengths)
    missing = cells == None  # noqa: E711
    filler = "" if datatype == "string" else 0
    values = np.where(missing, filler, cells)
    return np.ma.MaskedArray(values.astype("U" if datatype == "string" else datatype), missing)


def _read_csv(content, start, comments, guess):
    """Read CSV without a header of types."""
    body = content[start:]
    if not body.strip():
        raise InputError("is not a table: no line with column names")
    delimiter = _delimiter(body)
    names, lines_of_names = _names_of(body, delimiter), 1
    if all(_NUMBER.fullmatch(name) for name in names):
        # As numpy.savetxt writes it: the names are a comment.
        width, lines_of_names = len(names), 0
        names = _names_of((comments or [""])[-1].encode(), delimiter)
        if len(names) != width:
            raise InputError("its first line has numbers where the names of columns belong")
    names = [name or f"col{number}" for number, name in enumerate(names, start=1)]
    check_unique(names)
    nulls = [word for word in _NULLS if guess or word.lower() != "nan"]
    return _arrow_read(body, delimiter, names, lines_of_names, None, nulls)


def _delimiter(body):
    line = body.split(b"\n", 1)[0].decode()
    counts = {mark: line.count(mark) for mark in ",;\t"}
    best = max(counts, key=counts.get)
    return best if counts[best] else ","


def _names_of(body, delimiter):
    lines = io.StringIO(body[: 1 << 20].decode(errors="replace"), newline="")
    return [name.strip() for name in next(csv.reader(lines, delimiter=delimiter), [])]


def _arrow_read(body, delimiter, names, lines_of_names, types, nulls):
    """Read cells; without types they are guessed, dates staying text."""
    table = arrow_csv.read_csv(
        pyarrow.BufferReader(body),
        read_options=arrow_csv.ReadOptions(
            column_names=names, skip_rows=lines_of_names, block_size=1 << 24
        ),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types, null_values=nulls, timestamp_parsers=[]
        ),
    )
    return from_arrow(table)
