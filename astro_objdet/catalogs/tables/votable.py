"""Tables as VOTable: any, and with the header of `schema` in a PARAM."""

import json
import re
import warnings

import numpy as np
from astropy import units as u
from astropy.io import votable
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from astro_objdet.catalogs.columns.masks import unmasked
from astro_objdet.catalogs.tables.formats import title_of
from astro_objdet.catalogs.tables.schema import (
    check_unique,
    flatten,
    parse,
    plain_text,
    restore,
    with_info,
)
from astro_objdet.errors import InputError

__all__ = ["read_votable", "write_votable"]

_PARAM = "ecsv_header"
# What a cell of XML cannot hold: control characters, and blanks at the ends, which readers strip.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]|^\s|\s$")
# Types that VOTable lacks, and those that take their numbers; the header has the type.
_STORED = {
    "int8": np.int16,
    "uint16": np.int32,
    "uint32": np.int64,
    "uint64": np.int64,
    "float16": np.float32,
}


def read_votable(source, hdu=None, guess=True):
    """Read a table of a VOTable.

    Parameters
    ----------
    source : path-like or file object
    hdu : int or str, optional
        Number of the table, from 0, or its ID or name. Without it the only table is read, or
        the first of several with a warning.
    guess : bool, optional
        Whether NaN stands for a missing number where the file does not tell the two apart.

    Returns
    -------
    `~astropy.table.Table`
        With the UCD of a column in its ``.meta["ucd"]``, and the system of its COOSYS in
        ``.meta["coosys"]``.
    """
    with warnings.catch_warnings():
        # Half of the files of large services break the standard in harmless ways.
        warnings.simplefilter("ignore", AstropyWarning)
        tree = votable.parse(source, verify="ignore")
    _check_answer(tree, source)
    element = _chosen(tree, hdu, source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        return _table(tree, element, guess)


def write_votable(table, stream):
    """Write a table as a VOTable, its cells as text."""
    plain, lines = flatten(table, _UNSAFE, "fU")
    stored = Table([_storable(column) for column in plain.itercols()], copy=False)
    tree = votable.from_table(stored)
    element = tree.get_first_table()
    for field, column in zip(element.fields, stored.itercols(), strict=True):
        values, mask = unmasked(column)
        if values.ndim > 1 and values.dtype.kind in "iu" and mask.any():
            # An empty cell says that all its numbers are missing; some need a number for it.
            field.values.null = int(np.iinfo(values.dtype).min)
    # JSON keeps the line ends, which an XML attribute would not, and astropy escapes the
    # characters of markup in an attribute twice.
    text = json.dumps("\n".join(lines))
    for character in "&<>":
        text = text.replace(character, f"\\u{ord(character):04x}")
    parameter = votable.tree.Param(
        tree, name=_PARAM, ID=_PARAM, datatype="char", arraysize="*", value=text
    )
    parameter.description = "data types, units and meta, in the YAML of ECSV"
    element.params.append(parameter)
    tree.to_xml(stream)


def _check_answer(tree, source):
    """Refuse a service's word that it failed, warn if it cut its answer short."""
    infos = [*tree.infos, *(info for resource in tree.resources for info in resource.infos)]
    for info in infos:
        name, status = (info.name or "").upper(), (info.value or "").upper()
        words = " ".join((info.content or "").split()) or "no reason given"
        if name == "QUERY_STATUS" and status == "ERROR":
            raise InputError(f"is a service's message of an error: {words}")
        if name == "QUERY_STATUS" and status == "OVERFLOW":
            warnings.warn(
                f"{title_of(source)}: the service cut its answer short: {words}",
                UserWarning,
                stacklevel=5,
            )


def _chosen(tree, wanted, source):
    tables = [table for table in tree.iter_tables() if table.fields]
    if not tables:
        raise InputError("holds no table")
    listed = ", ".join(f"{n} ({t.name or t.ID or 'no name'})" for n, t in enumerate(tables))
    if wanted is not None:
        for number, table in enumerate(tables):
            if str(wanted) in (str(number), table.ID, table.name):
                return table
        raise InputError(f"hdu must be that of a table: {listed}; got {wanted!r}")
    if len(tables) > 1:
        warnings.warn(
            f"{title_of(source)}: has tables {listed}; the first is read, hdu= chooses",
            UserWarning,
            stacklevel=5,
        )
    return tables[0]


def _table(tree, element, guess):
    names = _names(element.fields)
    check_unique(names)
    systems = _systems(tree)
    columns = []
    for name, field in zip(names, element.fields, strict=True):
        array = element.array[field.ID]
        meta = {"ucd": field.ucd, "coosys": systems.get(field.ref)}
        info = {
            "unit": None if field.unit is None else u.Unit(field.unit, parse_strict="silent"),
            "description": field.description,
            "meta": {key: value for key, value in meta.items() if value},
        }
        columns.append(_column(array, name, info, guess))
    table = Table(columns, copy=False)
    headers = [param.value for param in element.params if param.name == _PARAM]
    if headers:
        return restore(table, parse(json.loads(str(headers[0])).split("\n")), "fU")
    for key in ("name", "description"):
        if getattr(element, key, None):
            table.meta[key] = str(getattr(element, key))
    return table


def _names(fields):
    """Return names of columns; the ID instead where the file gives several the same name."""
    names = [field.name or field.ID for field in fields]
    return [f.ID if names.count(n) > 1 and f.ID else n for n, f in zip(names, fields, strict=True)]


def _systems(tree):
    """Return the words of COOSYS by ID, where the equinox is the usual one."""
    systems, resources = list(tree.coordinate_systems), list(tree.resources)
    for resource in resources:
        resources.extend(resource.resources)
        systems.extend(resource.coordinate_systems)
    usual = {"eq_FK4": ("B1950", "1950"), "eq_FK5": ("J2000", "2000")}
    return {
        system.ID: system.system
        for system in systems
        if not system.equinox
        or system.system not in usual
        or system.equinox.strip().removesuffix(".0") in usual[system.system]
    }


def _column(array, name, info, guess):
    mask = np.ma.getmaskarray(array)
    values = np.asarray(array)
    if values.dtype.kind == "O":
        known = [v for v in values.ravel().tolist() if v is not None]
        if all(isinstance(value, str | bytes) for value in known):
            values = np.where(values == None, "", values)  # noqa: E711
            # A missing text and an empty one are the same in XML.
            return with_info(plain_text(values), None, name, info)
        return with_info(values, None, name, info)
    if values.dtype.kind in "SU":
        return with_info(plain_text(values), None, name, info)
    if mask.dtype.names or mask.shape != values.shape:
        mask = None
    if values.dtype.kind in "fc":
        # Astropy masks NaN, and the number that the file may name for missing ones.
        known, nan = (False if mask is None else mask), np.isnan(values)
        mask = known | nan if guess else known & ~nan
    return with_info(values, mask, name, info)


def _storable(column):
    """Return a column of a type that VOTable has."""
    values, mask = unmasked(column)
    if values.dtype.kind == "O" or (values.dtype.kind == "U" and values.ndim > 1):
        what = "lists of texts" if values.ndim > 1 else "objects or lists of various lengths"
        raise InputError(
            f"column {column.name!r} holds {what}, which are not written to VOTable; remove it, "
            "or write .ecsv"
        )
    values = values.astype(_STORED.get(values.dtype.name, values.dtype))
    if values.dtype.kind in "fc" and mask.any():
        values = np.where(mask, np.array(np.nan, values.dtype), values)
    meta = {"ucd": column.meta["ucd"]} if (column.meta or {}).get("ucd") else None
    unit, description = _unit_of(column), column.description
    if unit is None and column.unit is not None:
        description = f"{description or ''} [{column.unit}]".lstrip()
    info = {"unit": unit, "description": description, "meta": meta}
    return with_info(values, mask, column.name, info)


def _unit_of(column):
    """Return the unit if VOTable has it; the header has it anyway."""
    if column.unit is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error", u.UnitsWarning)
        try:
            column.unit.to_string("vounit")
        except (ValueError, u.UnitsWarning):
            return None
    return column.unit
