"""Any table as plain columns with native masks, and the YAML header that tells the rest.

Data types, units, descriptions, astropy's other column classes and the whole nested ``.meta`` are
in the header, which is the one of ECSV. It stands where the format has room for text. Columns are
stored natively beside it, with their units, so that other programs read the file as it is.

The header has two lists more than that of ECSV: ``masked`` names the columns with missing values,
so that an empty string or a NaN elsewhere is itself; ``escaped`` those with backslash escapes.
"""

import json
import re
from collections import OrderedDict

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table, serialize
from astropy.table.meta import get_header_from_yaml, get_yaml_from_header
from astropy.utils.data_info import serialize_context_as
from yaml.representer import RepresenterError

from astro_objdet.catalogs.columns.masks import unmasked
from astro_objdet.errors import InputError

__all__ = [
    "check_unique",
    "flatten",
    "parse",
    "plain_text",
    "refuse_complex",
    "refuse_objects",
    "restore",
    "with_info",
]

_MIXINS = "__serialized_columns__"
_ATTRIBUTES = ("unit", "format", "description", "meta")


def flatten(table, unsafe=None, merged="", always_mixins=False, **extra):
    """Take a table apart into plain columns and header lines.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Left as it is.
    unsafe : `re.Pattern`, optional
        What a text cell of the format cannot hold; escaped in the columns that have it.
    merged : str, optional
        As `restore` has it. Masked columns with such values besides get a column with their mask,
        as astropy's own writers make it.
    always_mixins : bool, optional
        Whether the header lists astropy's other column classes even if there are none, as the
        FITS reader of astropy 7 expects.
    **extra
        Further entries of the header.

    Returns
    -------
    plain : `~astropy.table.Table`
        `~astropy.table.Column` and `~astropy.table.MaskedColumn` of numbers, booleans, strings
        and, where the table has them, objects.
    lines : list of str
        The header.

    Raises
    ------
    InputError
        If ``.meta`` holds something that YAML has no word for.
    """
    parts = Table(copy=False)
    for name in table.colnames:
        column = _as_column(table[name], name)
        if isinstance(column, MaskedColumn) and _is_ambiguous(column, merged):
            column.info.serialize_method["ecsv"] = "data_mask"
        parts.add_column(column, name=name, copy=False)
    # The context in which missing values stay in their column.
    with serialize_context_as("ecsv"):
        parts = serialize.represent_mixins_as_columns(parts)
    meta = OrderedDict(table.meta)
    mixins = parts.meta.get(_MIXINS, {})
    if mixins or always_mixins:
        meta[_MIXINS] = mixins
    plain = Table([_as_column(c, c.info.name) for c in parts.itercols()], copy=False)
    header = {"meta": meta, **extra}
    header["masked"] = [c.name for c in plain.itercols() if isinstance(c, MaskedColumn)]
    escaped = [name for name in plain.colnames if _needs_escape(plain[name], unsafe)]
    for name in escaped:
        _map_text(plain, name, _escape)
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


def parse(lines):
    """Return the header as a dict, from its lines.

    Raises
    ------
    InputError
        If it names no columns.
    """
    header = get_header_from_yaml([line for line in lines if line != "---"])
    if not isinstance(header, dict) or "datatype" not in header:
        raise InputError("the header in YAML has no 'datatype'")
    return header


def restore(table, header, merged=""):
    """Give columns, as a format has them, the types, masks, units and meta of the header.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Columns the header does not name stay as they are.
    header : dict
        From `parse`.
    merged : str, optional
        Kinds of numpy's types in which the format cannot tell a missing value from NaN or an
        empty string: "f", "U" or "fU". In the columns that the header says have missing values,
        these are all missing.

    Returns
    -------
    `~astropy.table.Table`
    """
    known = {column["name"]: column for column in header["datatype"]}
    columns = []
    for name in table.colnames:
        if name in known:
            columns.append(_restored(table[name], known[name], header, merged))
        else:
            columns.append(table[name])
    table = Table(columns, copy=False)
    table.meta = dict(header.get("meta") or {})
    mixins = table.meta.pop(_MIXINS, None)
    if mixins and set(known) == set(table.colnames):
        table.meta[_MIXINS] = mixins
        # Private, yet what each of astropy's own readers ends with.
        table = serialize._construct_mixins_from_columns(table)
    return table


def with_info(values, mask, name, source=None):
    """Return a column, masked if there is a mask with anything in it.

    ``source``, a column or a dict, gives unit, format, description and meta.
    """
    column = Column(values, name=name, copy=False)
    if mask is not None and np.any(mask):
        column = MaskedColumn(values, mask=mask, name=name, copy=False)
    for key in _ATTRIBUTES:
        info = source.get(key) if isinstance(source, dict) else getattr(source, key, None)
        if info:
            setattr(column, key, info)
    return column


def plain_text(values):
    """Return an array of text as fixed-width unicode: from bytes, objects, or numpy's strings."""
    if values.dtype.kind == "S":
        values = np.strings.rstrip(values)
        try:
            return values.astype(np.str_)
        except UnicodeDecodeError:
            # Beyond ASCII no standard says what it is; Latin-1 reads anything.
            return np.strings.decode(values, "latin-1")
    if values.dtype.kind == "O":
        texts = [t.decode("latin-1") if isinstance(t, bytes) else t for t in values.tolist()]
        return np.array(texts, dtype=np.str_)
    return values.astype(np.str_)


def check_unique(names):
    """Raise `InputError` if a column name comes twice."""
    seen = set()
    for number, name in enumerate(names, start=1):
        if name in seen:
            first = list(names).index(name) + 1
            raise InputError(
                f"two columns have the name {name!r}, numbers {first} and {number}; rename one"
            )
        seen.add(name)


def refuse_complex(table, what):
    """Raise `InputError` if a column holds complex numbers, which few formats read back."""
    for column in table.itercols():
        if column.dtype.kind == "c":
            raise InputError(
                f"column {column.name!r} holds complex numbers, which are not written to {what}; "
                "remove it, or write .fits"
            )


def refuse_objects(column, values, format_name):
    """Raise `InputError` for a column of objects, in a format without a place for them."""
    if values.dtype.kind == "O":
        raise InputError(
            f"column {column.name!r} holds objects or lists of various lengths, which are not "
            f"written to {format_name}; remove it, or write .ecsv"
        )


def _as_column(column, name):
    """Return a plain column of what is one; other classes, like coordinates, as they are."""
    quantity = type(column) is u.Quantity or type(column).__name__ == "MaskedQuantity"
    if not quantity and not isinstance(column, Column):
        return column
    values, mask = unmasked(column)
    info = {key: getattr(column.info, key, None) for key in _ATTRIBUTES}
    if values.dtype.kind in "ST" or _is_text(values, mask):
        if values.dtype.kind == "O":
            mask = mask | (values == None)  # noqa: E711
            values = np.where(mask, "", values)
        values = plain_text(values)
    return with_info(values, mask, name, info)


def _is_text(values, mask):
    if values.dtype.kind != "O" or values.ndim != 1:
        return False
    known = [value for value in values[~mask].tolist() if value is not None]
    return all(isinstance(value, str | bytes) for value in known)


def _restored(column, known, header, merged):
    """Return a column with the type and mask that the header gives it."""
    name = known["name"]
    values, mask = unmasked(column)
    datatype, _, shape = (known.get("subtype") or known["datatype"]).partition("[")
    if datatype == "string":
        values = plain_text(values)
        if name in header.get("escaped", ()):
            values = np.array([_unescape(text) for text in values.tolist()], dtype=np.str_)
    elif datatype != "json" and values.dtype.kind != "O":
        values = values.astype(datatype, copy=False)
    if shape and "null" not in shape:
        shape = (len(values), *json.loads(f"[{shape}"))
        values, mask = values.reshape(shape), mask.reshape(shape)
    if "masked" in header:
        mask = _missing(values, mask, merged) if name in header["masked"] else None
    return with_info(values, mask, name, known)


def _is_ambiguous(column, merged):
    """Return whether values of a masked column would be taken for missing ones."""
    values, mask = unmasked(column)
    nothing = np.zeros(values.shape, dtype=bool)
    return bool(np.any(_missing(values, nothing, merged) & ~mask))


def _missing(values, mask, merged):
    """Return where values are missing, by the format's word or by their value."""
    if values.dtype.kind in "fc" and "f" in merged:
        return mask | np.isnan(values)
    if values.dtype.kind == "U" and "U" in merged:
        return mask | (values == "")
    return mask


def _needs_escape(column, unsafe):
    if unsafe is None or column.dtype.kind != "U":
        return False
    return any(map(unsafe.search, unmasked(column)[0].ravel().tolist()))


def _map_text(table, name, function):
    old = table[name]
    values, mask = unmasked(old)
    texts = np.array([function(text) for text in values.ravel().tolist()], dtype=np.str_)
    table.replace_column(name, with_info(texts.reshape(values.shape), mask, name, old))


def _escape(text):
    text = text.encode("unicode_escape").decode("ascii")
    return re.sub("^ | $", r"\\x20", text)


def _unescape(text):
    return text.encode("ascii").decode("unicode_escape")
