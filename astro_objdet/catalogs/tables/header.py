"""What a table is besides its numbers: one YAML header, the one of ECSV.

`flatten` takes a table apart into plain columns and the header, `rebuild` puts
the two together again. Data types, units, descriptions, masks, astropy's other
column classes and the whole nested ``.meta`` go through it.
"""

import re
from collections import OrderedDict

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, QTable, Table, serialize
from astropy.table.meta import get_header_from_yaml, get_yaml_from_header
from astropy.utils.data_info import serialize_context_as
from yaml.representer import RepresenterError

from astro_objdet.errors import InputError

__all__ = ["flatten", "parse", "rebuild"]

_MIXINS = "__serialized_columns__"
_ATTRIBUTES = ("unit", "format", "description", "meta")


def flatten(table, escape=None, always_mixins=False, **extra):
    """Take a table apart into plain columns and header lines.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Left as it is.
    escape : `re.Pattern`, optional
        What a text cell of the format cannot hold. A column with such a cell
        is written with backslash escapes, and the header says so.
    always_mixins : bool, optional
        Whether the header names astropy's column classes even if there are
        none, as astropy's FITS reader expects.
    **extra
        Further entries of the header.

    Returns
    -------
    plain : `~astropy.table.Table`
        Numbers, booleans and strings, one per row.
    lines : list of str
        The header.

    Raises
    ------
    InputError
        If a column has several values per row or objects, or ``.meta`` holds
        something that YAML has no word for.
    """
    plain = _plain_columns(table)
    meta = OrderedDict(table.meta)
    mixins = plain.meta.pop(_MIXINS, {})
    if mixins or always_mixins:
        meta[_MIXINS] = mixins
    header = {"meta": meta, **extra}
    escaped = [name for name in plain.colnames if _needs_escape(plain[name], escape)]
    for name in escaped:
        _map_text(plain, name, _escaped)
    if escaped:
        header["escaped"] = escaped
    header["cols"] = list(plain.itercols())
    try:
        return plain, get_yaml_from_header(header)
    except RepresenterError as error:
        culprit = error.args[-1]
        raise InputError(
            f"meta holds a {type(culprit).__name__} ({culprit!r}), which has no "
            "place in a file; use numbers, strings, lists and dicts"
        ) from None


def rebuild(table, header):
    """Give plain columns the types, units, masks and meta of the header.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Columns as the format has them; changed in place.
    header : dict
        From `parse`. Columns it does not name stay as they are.

    Returns
    -------
    `~astropy.table.QTable`
    """
    known = {column["name"]: column for column in header["datatype"]}
    for name in set(known).intersection(table.colnames):
        datatype = known[name]["datatype"]
        column = _unmasked(table[name], datatype)
        if datatype != "string":
            column = column.astype(datatype)
        for key in _ATTRIBUTES:
            setattr(column.info, key, known[name].get(key))
        table.replace_column(name, column)
    for name in set(header.get("escaped", ())).intersection(table.colnames):
        _map_text(table, name, _unescaped)
    table.meta = dict(header.get("meta") or {})
    mixins = table.meta.pop(_MIXINS, None)
    if mixins and set(known) == set(table.colnames):
        table.meta[_MIXINS] = mixins
        # Private, yet what each of astropy's own readers ends with.
        table = serialize._construct_mixins_from_columns(table)
    return QTable(table, copy=False)


def parse(lines):
    """Return the header as a dict, from its lines."""
    header = get_header_from_yaml([line for line in lines if line != "---"])
    if not isinstance(header, dict) or "datatype" not in header:
        raise InputError("the header in YAML has no 'datatype'")
    return header


def _plain_columns(table):
    plain = Table(copy=False)
    for name in table.colnames:
        column = table[name]
        # A quantity is a column with a unit to every other program.
        if type(column) is u.Quantity:
            info = {key: getattr(column.info, key) for key in _ATTRIBUTES}
            column = Column(column.value, name=name, **info)
        plain.add_column(column, name=name, copy=False)
    # The context in which a mask becomes a column of its own.
    with serialize_context_as("parquet"):
        plain = Table(serialize.represent_mixins_as_columns(plain), copy=False)
    for column in list(plain.itercols()):
        # The values under a mask, now that the mask stands beside them.
        if isinstance(column, MaskedColumn):
            info = {key: getattr(column.info, key) for key in _ATTRIBUTES}
            column = Column(column.data.data, name=column.name, **info)
            plain.replace_column(column.name, column)
        if column.ndim != 1 or column.dtype.kind not in "biufU":
            raise InputError(
                f"column {column.name!r} must hold one number, boolean or string a "
                f"row to be written, got {column.dtype} of shape {column.shape}"
            )
    return plain


def _unmasked(column, datatype):
    """Undo the reader's guess that NaN and the empty string are missing."""
    if not isinstance(column, MaskedColumn):
        return column
    if datatype == "string":
        return Column(column.filled(""), copy=False)
    if datatype.startswith("float"):
        return Column(column.filled(np.nan), copy=False)
    return column if column.mask.any() else Column(column.data.data, copy=False)


def _needs_escape(column, unsafe):
    if unsafe is None or column.dtype.kind != "U":
        return False
    return any(map(unsafe.search, column.tolist()))


def _map_text(table, name, function):
    old = table[name]
    new = Column([function(text) for text in old.tolist()], name=name, dtype=str)
    for key in _ATTRIBUTES:
        setattr(new.info, key, getattr(old.info, key))
    table.replace_column(name, new)


def _escaped(text):
    text = text.encode("unicode_escape").decode("ascii")
    return re.sub("^ | $", r"\\x20", text)


def _unescaped(text):
    return text.encode("ascii").decode("unicode_escape")
