"""Which detections are known, in which catalogue, how far away; and which are new."""

import dataclasses
import re
from importlib.metadata import version

import numpy as np
from astropy import units as u
from astropy.table import Column, QTable, Table

from astro_objdet.catalogs.arguments import check_ranges, check_table
from astro_objdet.catalogs.columns import (
    ColumnValues,
    guess_column,
    numeric_values,
    position_names,
    redshift_values,
    sky_positions,
)
from astro_objdet.catalogs.columns.masks import unmasked
from astro_objdet.catalogs.cosmology import cosmology_meta, get_cosmology, kpc_per_arcsec
from astro_objdet.catalogs.matching.pairs import pairs_within
from astro_objdet.catalogs.matching.radius import parse_radius, radius_arcsec
from astro_objdet.catalogs.plain import plain_meta
from astro_objdet.errors import InputError, check_choice, check_positive

__all__ = ["triage"]

# Columns that are added once, behind those of the catalogues.
_VERDICT = ("known_in", "new", "triage_reason")


def triage(
    found,
    catalogues,
    radius,
    *,
    redshift=None,
    ranges=None,
    missing=None,
    radius_unit=None,
    cosmology=None,
    columns=None,
    frame=None,
):
    """Look detections up in catalogues of known objects.

    A detection is known in a catalogue if any of its objects lies within the radius,
    whether or not another detection is closer to it.

    Parameters
    ----------
    found : `~astropy.table.Table`
        Detections, or any table with positions.
    catalogues : dict of str to `~astropy.table.Table`
        Tables by the names their columns get, as
        `~astro_objdet.catalogs.reference.fetch_catalogue` returns them or any other with
        positions.
    radius : `~astropy.units.Quantity` or str
        An angle, a length, or a column of the catalogues, as for
        `~astro_objdet.catalogs.crossmatch.crossmatch`.
    redshift : float, optional
        At which a length is meant; by default the redshift of each known object.
    ranges : dict of str to (float, float), optional
        Objects of the catalogues outside of these ranges of their columns, ends
        included, do not count: ``{"redshift": (0.05, 0.4)}``.
    missing : {"accept", "reject"}, optional
        What becomes of objects without a value that ``ranges`` asks for. There is no
        default: if there are any, it must be given.
    radius_unit : str, optional
        Of a radius column that has none in its table.
    cosmology : as for `~astro_objdet.catalogs.cosmology.get_cosmology`, optional
    columns : pair of str or str, optional
        Names of the columns of the position in ``found``, longitude first, or of one with
        `~astropy.coordinates.SkyCoord`.
    frame : str, optional
        Of that position.

    Returns
    -------
    `~astropy.table.QTable`
        The rows of ``found`` in their order, and behind its columns for each catalogue
        ``known_in_NAME`` (bool) and of its nearest object within the radius ``NAME_id``
        (str, empty if none), ``NAME_separation`` (arcsec), ``NAME_separation_kpc`` (kpc
        at the object's redshift, else at ``redshift``), ``NAME_redshift``, NaN where there
        is none; then ``known_in`` (str, names separated by commas), ``new`` (bool) and
        ``triage_reason`` (str), why a row could not be looked up: it is neither known nor
        new. ``.meta["triage"]`` has the parameters, and of each catalogue its origin, the
        columns used, its rows set aside by reason, and how many detections it knows.

    Raises
    ------
    InputError
        Naming the parameter or the catalogue, for one that cannot be used, columns that
        are missing, ambiguous, or have the names of those that are added, or objects without
        a value of ``ranges``.

    Notes
    -----
    Chan & Stott (2019), section 3.2: 1.61 arcmin, which are 250 kpc at z = 0.15, and
    redshifts from 0.05 to 0.4.
    """
    check_table("found", found)
    _check_catalogues(catalogues)
    _check_names(found.colnames, catalogues)
    if missing is not None:
        check_choice("missing", missing, ("accept", "reject"))
    if redshift is not None:
        check_positive("redshift", redshift)
    ranges = check_ranges(ranges)
    radius = parse_radius(radius, radius_unit)
    cosmology = get_cosmology(cosmology)
    lon, lat = position_names(columns, "columns")
    positions = sky_positions(found, side="found", ra=lon, dec=lat, frame=frame)
    result = found.copy() if isinstance(found, QTable) else QTable(found)
    known = np.zeros((len(result), len(catalogues)), bool)
    record = {"radius": str(radius), "redshift": redshift, "missing": missing}
    record["ranges"] = {name: list(ends) for name, ends in ranges.items()}
    record["cosmology"] = cosmology_meta(cosmology)
    record["catalogues"] = {}
    for number, (name, table) in enumerate(catalogues.items()):
        objects = _open(table, name, ranges, missing)
        _reach(objects, radius, redshift, cosmology)
        rows, partner, separation = _nearest(positions, objects)
        known[rows, number] = True
        _add_columns(result, objects, rows, partner, separation, redshift, cosmology)
        record["catalogues"][name] = _summary(objects, len(rows))
    _add_verdict(result, list(catalogues), known, positions)
    record["new"] = int(np.count_nonzero(result["new"]))
    record["version"] = version("astro-objdet")
    result.meta["triage"] = plain_meta(record)
    return result


@dataclasses.dataclass
class _Objects:
    """A catalogue of known objects: positions, radii, and why rows do not count."""

    name: str
    table: Table
    ra: np.ndarray
    dec: np.ndarray
    redshift: ColumnValues | None
    reason: np.ndarray
    radius: np.ndarray | None = None

    @property
    def rows(self):
        return np.flatnonzero(self.reason == "")

    def set_aside(self, reason):
        """Set rows aside that have a reason and count as yet."""
        self.reason = np.where(self.reason == "", reason, self.reason)


def _check_catalogues(catalogues):
    if not isinstance(catalogues, dict) or not catalogues:
        raise InputError(
            f"catalogues must be a dict of tables by name, got {type(catalogues).__name__}"
            + (" of none" if isinstance(catalogues, dict) else "")
        )
    for name, table in catalogues.items():
        if not isinstance(name, str) or not re.fullmatch(r"[\w.+-]+", name):
            raise InputError(f"names of catalogues must be letters and digits, got {name!r}")
        check_table(f"catalogue {name!r}", table)


def _check_names(names, catalogues):
    """Refuse to write over columns, of the user or of another catalogue."""
    added = [column for name in catalogues for column in _names_of(name)] + list(_VERDICT)
    taken = [name for name in added if name in names]
    if taken:
        raise InputError(
            f"found has columns of the names that are added, {', '.join(map(repr, taken))}: "
            "rename or remove them"
        )
    twice = sorted({name for name in added if added.count(name) > 1})
    if twice:
        raise InputError(
            f"catalogues must have names that give different columns, got {', '.join(catalogues)}, "
            f"both with {', '.join(map(repr, twice))}"
        )


def _names_of(catalogue):
    """Names of the columns that are added for a catalogue."""
    about = ("id", "separation", "separation_kpc", "redshift")
    return (f"known_in_{catalogue}", *(f"{catalogue}_{name}" for name in about))


def _open(table, name, ranges, missing):
    side = f"catalogue {name!r}"
    positions = sky_positions(table, side=side)
    redshift = _redshift(table, side)
    reason = np.asarray(positions.reason, dtype=object)
    objects = _Objects(name, table, positions.ra, positions.dec, redshift, reason)
    for column, (low, high) in ranges.items():
        ranged = column == "redshift" and redshift is not None
        values = redshift if ranged else numeric_values(table, column, side=side)
        unknown = ~values.usable & (objects.reason == "")
        if unknown.any() and missing is None:
            raise InputError(
                f"{np.count_nonzero(unknown)} of {len(table)} rows of {side} have no usable "
                f"{column!r}: say by missing (--missing-redshift) whether to 'accept' or "
                "'reject' them"
            )
        if missing == "reject":
            objects.set_aside(values.reason)
        with np.errstate(invalid="ignore"):
            outside = values.usable & ~((values.values >= low) & (values.values <= high))
        objects.set_aside(np.where(outside, f"{column} outside of the range", ""))
    return objects


def _redshift(table, side):
    # Our name for it decides where several columns could be meant.
    ours = "redshift" if "redshift" in table.colnames else None
    try:
        return redshift_values(table, side=side, column=ours)
    except InputError as error:
        raise InputError(f"{error}, as load_catalogue(..., columns={{'redshift': NAME}})") from None


def _reach(objects, radius, redshift, cosmology):
    """Set the radius of each object, and aside those that have none."""
    at = objects.redshift if redshift is None else redshift
    side = f"catalogue {objects.name!r}"
    if radius.is_length and at is None:
        raise InputError(
            f"radius is a length ({radius}), which needs a redshift, and {side} has none: "
            "give redshift a number"
        )
    objects.radius, reason = radius_arcsec(
        radius, objects.table, side=side, redshift=at, cosmology=cosmology
    )
    objects.set_aside(reason)


def _nearest(positions, objects):
    """Rows of detections with an object within its radius, the nearest one's row, arcsec."""
    first, second = np.flatnonzero(positions.usable), objects.rows
    pairs = pairs_within(
        positions.ra[first],
        positions.dec[first],
        objects.ra[second],
        objects.dec[second],
        objects.radius[second],
        of="second",
    )
    # Pairs come by rows: of equally near objects the first one is taken.
    order = np.lexsort((pairs.second, pairs.separation, pairs.first))
    near = pairs[order[np.unique(pairs.first[order], return_index=True)[1]]]
    return first[near.first], second[near.second], near.separation


def _add_columns(result, objects, rows, partner, separation, redshift, cosmology):
    name = objects.name
    known = np.zeros(len(result), bool)
    known[rows] = True
    ids = np.full(len(result), "", dtype=object)
    ids[rows] = _ids(objects)[partner]
    angle, length, known_redshift = (np.full(len(result), np.nan) for _ in range(3))
    angle[rows] = separation
    theirs = np.full(len(partner), np.nan)
    if objects.redshift is not None:
        theirs = objects.redshift.values[partner]
        known_redshift[rows] = theirs
    at = theirs if redshift is None else np.where(np.isfinite(theirs), theirs, redshift)
    good = np.isfinite(at)
    length[rows[good]] = separation[good] * kpc_per_arcsec(at[good], cosmology)
    added = (
        (known, f"whether {name} has an object within the radius"),
        (ids.astype(str), f"nearest object of {name} within the radius"),
        (angle * u.arcsec, "angle to it"),
        (length * u.kpc, "distance to it, at its redshift"),
        (known_redshift, "its redshift"),
    )
    for column, (values, description) in zip(_names_of(name), added, strict=True):
        result[column] = values
        result[column].info.description = description


def _ids(objects):
    table = objects.table
    column = "id" if "id" in table.colnames else guess_column(table, "id", side=objects.name)
    if column is None:
        return np.arange(len(table)).astype(str).astype(object)
    values, masked = unmasked(table[column])
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    ids = np.array([str(value).strip() for value in values], dtype=object)
    return np.where(masked, "", ids)


def _add_verdict(result, names, known, positions):
    kinds, kind = np.unique(known, axis=0, return_inverse=True)
    listed = np.array([",".join(np.array(names)[row]) for row in kinds], dtype=str)
    result["known_in"] = Column(
        listed[kind.ravel()], description="catalogues that have it within the radius"
    )
    result["new"] = Column(
        positions.usable & ~known.any(axis=1), description="looked up, and in no catalogue"
    )
    result["triage_reason"] = Column(
        np.array(positions.reason, dtype=str), description="why it could not be looked up"
    )


def _summary(objects, matched):
    reasons, counts = np.unique(
        objects.reason[objects.reason != ""].astype(str), return_counts=True
    )
    summary = {
        "rows": len(objects.table),
        "set_aside": dict(zip(reasons.tolist(), counts.tolist(), strict=True)),
        "known": int(matched),
        "redshift": None if objects.redshift is None else objects.redshift.name,
    }
    origin = objects.table.meta.get("origin")
    return summary | ({"origin": dict(origin)} if origin else {})
