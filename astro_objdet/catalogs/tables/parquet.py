"""Tables as Parquet, and Arrow's columns as astropy's.

Missing values are Arrow's nulls. The header of `schema` stands where astropy looks for its
own.
"""

import warnings

import numpy as np
import pyarrow
from astropy.table import Table
from pyarrow import parquet

from astro_objdet.catalogs.columns.masks import unmasked
from astro_objdet.catalogs.tables.formats import title_of
from astro_objdet.catalogs.tables.schema import (
    check_unique,
    flatten,
    parse,
    refuse_complex,
    refuse_objects,
    restore,
    with_info,
)
from astro_objdet.errors import InputError

__all__ = ["from_arrow", "read_parquet", "write_parquet"]

_HEADER = b"table_meta_yaml"


def read_parquet(source, hdu=None, guess=True):
    """Read a Parquet file, in which missing values are never a guess.

    Columns that no table of ours has a place for, such as structs, are left out with a warning.

    Returns
    -------
    `~astropy.table.Table`
    """
    if hdu is not None:
        raise InputError(f"hdu is for FITS and VOTable, got {hdu!r} for a Parquet file")
    stored = parquet.ParquetFile(source)
    schema = stored.schema_arrow
    check_unique(schema.names)
    left_out = [field.name for field in schema if _is_foreign(field.type)]
    if left_out:
        warnings.warn(
            f"{title_of(source)}: columns left out, which hold structures: {', '.join(left_out)}",
            UserWarning,
            stacklevel=4,
        )
    columns = []
    # One after the other, so that Arrow's copy of the file is never there as a whole.
    for name in schema.names:
        if name not in left_out:
            column = stored.read(columns=[name]).column(0)
            columns.append(_column(column, name))
    table = Table(columns, copy=False)
    header = (schema.metadata or {}).get(_HEADER)
    return table if header is None else restore(table, parse(header.decode().split("\n")))


def write_parquet(table, stream):
    """Write a table as Parquet."""
    plain, lines = flatten(table)
    refuse_complex(plain, "Parquet")
    metadata = {_HEADER.decode(): "\n".join(lines)}
    arrays = {}
    for column in plain.itercols():
        if column.dtype.kind == "U":
            metadata[f"table::len::{column.name}"] = str(max(column.dtype.itemsize // 4, 1))
        arrays[column.name] = _array(column)
    stored = pyarrow.table(arrays).replace_schema_metadata(metadata)
    parquet.write_table(stored, stream)


def from_arrow(table):
    """Return a table of Arrow as one of astropy, nulls masked."""
    columns = [_column(table.column(name), name) for name in table.column_names]
    return Table(columns, copy=False)


def _is_foreign(kind):
    types = pyarrow.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return types.is_nested(kind.value_type)
    return types.is_nested(kind)


def _column(stored, name):
    kind = stored.type
    types = pyarrow.types
    mask = stored.is_null().to_numpy() if stored.null_count else None
    if types.is_dictionary(kind):
        return _column(stored.cast(kind.value_type), name)
    if types.is_temporal(kind):
        return _column(stored.cast(pyarrow.string()), name)
    if types.is_decimal(kind):
        return _column(stored.cast(pyarrow.float64()), name)
    if types.is_null(kind):
        return with_info(np.full(len(stored), np.nan), np.ones(len(stored), dtype=bool), name)
    if types.is_fixed_size_list(kind) and kind.list_size:
        return _lists(stored, name, mask)
    if types.is_nested(kind):
        rows = np.empty(len(stored), dtype=object)
        for number, row in enumerate(stored.to_pylist()):
            rows[number] = None if row is None else np.array(row)
        return with_info(rows, mask, name)
    if types.is_string(kind) or types.is_large_string(kind):
        texts = ["" if text is None else text for text in stored.to_pylist()]
        return with_info(np.array(texts, dtype=np.str_), mask, name)
    if stored.null_count:
        stored = stored.fill_null(pyarrow.scalar(0).cast(kind))
    return with_info(_numbers(stored), mask, name)


def _lists(stored, name, mask):
    """Return a column of lists of one length, a missing list as missing values."""
    size = stored.type.list_size
    if mask is not None:
        filler = pyarrow.scalar([None] * size, type=stored.type)
        stored = pyarrow.compute.if_else(stored.is_null(), filler, stored)
    flat = _column(
        pyarrow.chunked_array(
            [chunk.flatten() for chunk in stored.chunks], type=stored.type.value_type
        ),
        name,
    )
    values, mask = unmasked(flat)
    shape = (len(stored), size)
    return with_info(values.reshape(shape), mask.reshape(shape), name)


def _numbers(stored):
    values = stored.to_numpy()
    # Arrow hands out memory that is not ours to write to.
    return values if values.flags.writeable else values.copy()


def _array(column):
    values, mask = unmasked(column)
    refuse_objects(column, values, "Parquet")
    flat, missing = np.ascontiguousarray(values).ravel(), mask.ravel()
    if values.dtype.kind == "U":
        texts = flat.astype(object)
        array = pyarrow.array(texts, type=pyarrow.string(), mask=missing)
    else:
        kind = pyarrow.from_numpy_dtype(flat.dtype)
        array = pyarrow.array(flat, type=kind, mask=missing if missing.any() else None)
    if values.ndim == 1:
        return array
    size = int(np.prod(values.shape[1:]))
    return pyarrow.FixedSizeListArray.from_arrays(array, size)
