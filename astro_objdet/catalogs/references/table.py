"""From a service's reply, or any table of objects, to a reference catalogue in our columns."""

import io
import re
import warnings

import numpy as np
from astropy import units as u
from astropy.io import votable
from astropy.table import Column, MaskedColumn, QTable, vstack

from astro_objdet.catalogs.columns import guess_column, numeric_values, sky_positions
from astro_objdet.errors import InputError

__all__ = ["ReplyError", "read_reply", "to_reference"]

# A catalogue may lose a few objects on its way into a service, not more.
_FEWER_ACCEPTED = 0.9
_MASS_UNIT = "1e14 Msun"
_NUMBERS = ("redshift", "redshift_error", "richness", "magnitude", "mass")
_DESCRIPTIONS = {
    "id": "name of the object",
    "ra": "right ascension, ICRS",
    "dec": "declination, ICRS",
    "redshift": "redshift",
    "redshift_error": "standard error of the redshift",
    "richness": "richness",
    "magnitude": "magnitude",
    "mass": "mass",
}
_UCDS = {
    "id": "meta.id;meta.main",
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "redshift": "src.redshift;meta.main",
}


class ReplyError(ValueError):
    """A reply that cannot be used.

    Attributes
    ----------
    again : bool
        Whether asking once more may help.
    """

    def __init__(self, message, again=False):
        super().__init__(message)
        self.again = again


def read_reply(content, entry):
    """Read a service's reply as a reference catalogue.

    Parameters
    ----------
    content : bytes
        A VOTable.
    entry : `~astro_objdet.catalogs.references.entries.ReferenceCatalogue`
        What was asked for.

    Returns
    -------
    `~astropy.table.QTable`
        As `to_reference` makes it; ``.meta["columns"]`` says which of their
        columns became which of ours.

    Raises
    ------
    ReplyError
        If it is empty, cut off, no VOTable, an error report, a part of the
        catalogue, another catalogue, or has no columns that can be recognised.
    """
    document = _parse(content)
    infos = [info for holder in _holders(document) for info in holder.infos]
    _check_status(infos)
    tables = [table for table in document.iter_tables() if len(table.array)]
    if not tables:
        raise ReplyError(f"no rows came{_said(infos)}")
    _check_names(tables, entry)
    _check_matches(tables, infos)
    fitting, problems = [], []
    for table in tables:
        name = table.name or "table"
        try:
            fitting.append(to_reference(_astropy_table(table), entry, name))
        except InputError as error:
            problems.append(str(error))
    if not fitting:
        raise ReplyError("; ".join(problems))
    return _checked_rows(_stacked(fitting, entry), entry)


def _parse(content):
    if not content.strip():
        raise ReplyError("an empty reply", again=True)
    if not re.search(rb"<(\w+:)?VOTABLE", content[:4096]):
        text = re.sub(r"<[^>]*>|\s+", " ", content[:2000].decode("utf-8", "replace"))
        text = " ".join(text.split())[:100]
        raise ReplyError(f"no VOTable but {text!r}", again=True)
    if not re.search(rb"</(\w+:)?VOTABLE>\s*$", content[-4096:]):
        raise ReplyError(f"a reply cut off after {len(content)} bytes", again=True)
    try:
        # The letter of the standard matters less here than the catalogue.
        with warnings.catch_warnings(action="ignore"):
            return votable.parse(io.BytesIO(content), verify="ignore", invalid="mask")
    except (ValueError, TypeError, LookupError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ReplyError(f"a damaged VOTable ({reason})", again=True) from error


def _holders(document):
    """The document, its resources and tables: all that can carry an INFO."""
    yield document
    resources = list(document.resources)
    while resources:
        resource = resources.pop()
        yield resource
        yield from resource.tables
        resources.extend(resource.resources)


def _check_status(infos):
    for info in infos:
        if info.name != "QUERY_STATUS":
            continue
        status = str(info.value).upper()
        said = (info.content or "").strip()
        if status == "ERROR":
            raise ReplyError(f"the service reports an error: {said or 'no reason given'}")
        if status == "OVERFLOW":
            raise ReplyError(f"only a part of the catalogue came (OVERFLOW: {said or 'cut'})")


def _said(infos):
    """What the service says of errors, for a message."""
    said = [
        f"{info.value or ''} {info.content or ''}".strip()
        for info in infos
        if re.match(r"(?i)error|warning", str(info.name))
    ]
    return f" ({'; '.join(said)[:200]})" if said else ""


def _check_names(tables, entry):
    """Refuse another catalogue, which VizieR has been seen to send for a wrong id."""
    wanted = {_catalogue_of(table) for table in entry.tables}
    for table in tables:
        if table.name and "/" in table.name and _catalogue_of(table.name) not in wanted:
            asked = ", ".join(entry.tables)
            raise ReplyError(f"another catalogue came, {table.name}, not {asked}")


def _catalogue_of(vizier_id):
    parts = vizier_id.split("/")
    return tuple(parts[: 4 if parts[0] == "J" else 2])


def _check_matches(tables, infos):
    """Compare with the number of rows that VizieR says it sent."""
    counts = [str(info.value) for info in infos if info.name == "matches"]
    rows = sum(len(table.array) for table in tables)
    if len(counts) == len(tables) and all(count.isdigit() for count in counts):
        sent = sum(map(int, counts))
        if sent > rows:
            raise ReplyError(f"{rows} of {sent} rows came", again=True)


def _stacked(tables, entry):
    """One table: the one of the right length if there is one, else all of them."""
    exact = [table for table in tables if len(table) == entry.rows]
    if len(tables) == 1 or exact:
        table = (exact or tables)[0]
    else:
        columns = {}
        for table in tables:
            columns |= table.meta["columns"]
        table = vstack(tables, join_type="outer", metadata_conflicts="silent")
        table.meta = {"columns": columns}
        _name_repeated(table, entry)
    return table


def _checked_rows(table, entry):
    if entry.rows is not None and len(table) < entry.rows:
        if len(table) < _FEWER_ACCEPTED * entry.rows:
            raise ReplyError(f"only {len(table)} of about {entry.rows} objects came")
        if len(table) < 0.99 * entry.rows:
            warnings.warn(
                f"catalogue {entry.name!r} came with {len(table)} objects, {entry.rows} "
                "are published",
                stacklevel=4,
            )
    return table


def to_reference(table, entry, side, columns=None):
    """Give a table our columns.

    Parameters
    ----------
    table : `~astropy.table.Table`
    entry : `~astro_objdet.catalogs.references.entries.ReferenceCatalogue` or None
        Whose columns to expect; None recognises them by UCD, unit and name.
    side : str
        What messages call the table.
    columns : dict, optional
        Names of their columns by ours, before all others.

    Returns
    -------
    `~astropy.table.QTable`
        First id (str), ra and dec (deg, ICRS; NaN where unusable), redshift (masked
        where missing), and where there are such redshift_error, richness, magnitude,
        mass (solar masses). Behind them their other columns by their own names, those
        that would clash with ours with ``_`` and the catalogue's name. ``.meta["columns"]``
        has the names of theirs by ours.

    Raises
    ------
    InputError
        If positions are not recognised, or the redshift of a catalogue on the list.
    """
    expected = {} if entry is None else entry.columns
    names = _their_names(table, expected, side, columns or {})
    positions = sky_positions(table, side=side, ra=names.get("ra"), dec=names.get("dec"))
    names |= dict(zip(("ra", "dec"), positions.columns, strict=False))
    if entry is not None and "redshift" not in names:
        raise InputError(
            f"{side}: no column with the redshift was recognised among {', '.join(table.colnames)}"
        )
    ours = {"id": _ids(table, names, entry)}
    ours["ra"], ours["dec"] = positions.ra * u.deg, positions.dec * u.deg
    ours["redshift"] = MaskedColumn(np.zeros(len(table)), mask=True)
    for kind in _NUMBERS:
        if kind in names:
            number = _number(table, names[kind], kind, entry, side)
            if number is None:
                del names[kind]
            else:
                ours[kind] = number
    result = QTable()
    for name, values in ours.items():
        result[name] = values
        result[name].info.description = _DESCRIPTIONS[name]
        result[name].info.meta = {"ucd": _UCDS[name]} if name in _UCDS else {}
    _add_others(result, table, names, "theirs" if entry is None else entry.name)
    _name_repeated(result, entry)
    result.meta["columns"] = dict(names)
    return result


def _their_names(table, expected, side, given):
    """Names of their columns by ours, as far as they are recognised."""
    names = {}
    pairs = zip(expected.get("ra", ()), expected.get("dec", ()), strict=True)
    for ra, dec in pairs:
        found = _named(table, ra), _named(table, dec)
        if None not in found:
            names["ra"], names["dec"] = found
            break
    for kind in ("id", *_NUMBERS):
        found = (_named(table, name) for name in expected.get(kind, ()))
        name = next((name for name in found if name is not None), None)
        # Guessed: what cross-matching needs, and the richness.
        if name is None and kind in ("id", "redshift", "richness") and kind not in given:
            name = guess_column(table, kind, side=side)
        if name is not None:
            names[kind] = name
    for kind, name in given.items():
        if kind not in _DESCRIPTIONS:
            raise InputError(f"columns must be of {', '.join(_DESCRIPTIONS)}; got {kind!r}")
        if name not in table.colnames:
            listed = ", ".join(table.colnames)
            raise InputError(f"columns: {side} has no column {name!r}; it has {listed}")
        names[kind] = name
    return names


def _named(table, name):
    """Their column of a name, in whatever case; None if there is none."""
    if name in table.colnames:
        return name
    folded = [other for other in table.colnames if other.lower() == name.lower()]
    return folded[0] if len(folded) == 1 and table[folded[0]].ndim == 1 else None


def _ids(table, names, entry):
    if "id" not in names:
        return Column([str(number) for number in range(1, len(table) + 1)], dtype=str)
    values = np.ma.asarray(table[names["id"]])
    # Masked entries and numbers one by one are slow: plain texts first.
    ids = np.where(np.ma.getmaskarray(values), "", values.data.astype(str)).tolist()
    ids = [text.strip() for text in ids]
    prefix = "" if entry is None else entry.id_prefix
    if prefix:
        bare = prefix.strip()
        ids = [i and prefix + i.removeprefix(bare).strip() for i in ids]
    return Column(ids, dtype=str)


def _name_repeated(table, entry):
    """Give ids that come a second time the supplement's prefix."""
    if entry is None or entry.id_prefix_repeated is None:
        return
    seen, ids = set(), []
    for name in table["id"].tolist():
        if name in seen:
            name = entry.id_prefix_repeated + name.removeprefix(entry.id_prefix)
        seen.add(name)
        ids.append(name)
    info = table["id"].info
    table["id"] = Column(ids, description=info.description, meta=info.meta)


def _number(table, name, kind, entry, side):
    """Their numbers as ours, None if they are in a unit that cannot be meant."""
    # Catalogues write -1 or 0 for none.
    column = numeric_values(table, name, side=side, positive=kind in ("redshift", "mass"))
    values, missing = column.values, ~column.usable
    if kind == "magnitude":
        return values * u.mag
    if kind == "mass":
        usual = _MASS_UNIT if entry is None else entry.mass_unit
        unit = u.Unit(usual) if column.unit is None else _known_unit(column.unit)
        is_mass = unit is not None and unit.is_equivalent(u.Msun)
        return (values * unit).to(u.Msun) if is_mass else None
    if not missing.any():
        return Column(values)
    return MaskedColumn(np.where(missing, 0, values), mask=missing)


def _add_others(result, table, names, catalogue):
    used = set(names.values())
    taken = {name.lower() for name in result.colnames}
    for name in table.colnames:
        if name in used:
            continue
        column = _plain(table[name])
        new = name if name.lower() not in taken else f"{name}_{catalogue}"
        taken.add(new.lower())
        result[new] = column
        meta = dict(getattr(table[name].info, "meta", None) or {})
        ucd = next((str(meta[key]) for key in meta if key.lower() == "ucd"), None)
        # Of positions and redshifts, ours are the main ones now.
        result[new].info.meta = {"ucd": ucd.replace(";meta.main", "")} if ucd else {}
        result[new].info.description = table[name].info.description


def _plain(column):
    """A column without a unit that astropy does not know, without a mask where none is masked."""
    if not isinstance(column, Column):
        return column.copy()
    masked = isinstance(column, MaskedColumn) and column.mask.any()
    column = column.copy() if masked else Column(column)
    column.unit = None if column.dtype.kind in "OSU" else _known_unit(column.unit)
    return column.astype(str) if column.dtype.kind == "O" else column


def _known_unit(unit):
    """A unit in astropy's own words, None if it has none for it.

    VOTables from version 1.4 on are read by VOUnit, which takes the Msun of VizieR for a
    new unit that is no mass.
    """
    if unit is None:
        return None
    try:
        return u.Unit(unit.to_string())
    except (ValueError, TypeError):
        return None


def _astropy_table(element):
    with warnings.catch_warnings(action="ignore"):
        return element.to_table(use_names_over_ids=True)
