"""Known objects: where they are, how large their boxes are, and what they count as."""

import contextlib
import dataclasses
from collections import Counter

import numpy as np

from astro_objdet.catalogs.columns import (
    guess_column,
    numeric_values,
    position_names,
    redshift_values,
    sky_positions,
)
from astro_objdet.catalogs.columns.ranges import check_range
from astro_objdet.catalogs.matching.radius import parse_radius, radius_arcsec
from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.errors import InputError
from astro_objdet.skies.archives.layout import OBJECT_COLUMNS, ROLES

__all__ = ["Truth", "named", "read_truth", "truth_of"]

_SIDE = "truth"
_NO_REDSHIFT = "none of its columns is recognised as one, so name it by redshift"


@dataclasses.dataclass(frozen=True)
class Truth:
    """Objects that can be used, N of them.

    Attributes
    ----------
    ra, dec : `~numpy.ndarray` of float64, shape (N,)
        Degrees, ICRS.
    width, height : `~numpy.ndarray` of float64, shape (N,)
        Sides of the boxes along x and y of the images, arcsec.
    label, role : `~numpy.ndarray` of str, shape (N,)
    values : dict of `~numpy.ndarray` of float64, shape (N,)
        redshift, richness (NaN where unknown), and the columns kept besides.
    rows : int
        Of the table they come from.
    set_aside : dict of int
        How many rows could not be used, by reason.
    """

    ra: np.ndarray
    dec: np.ndarray
    width: np.ndarray
    height: np.ndarray
    label: np.ndarray
    role: np.ndarray
    values: dict
    rows: int
    set_aside: dict

    def __len__(self):
        return len(self.ra)

    @property
    def columns(self):
        """Names of the columns kept besides redshift and richness."""
        return tuple(name for name in self.values if name not in ("redshift", "richness"))


def truth_of(
    table,
    labels,
    *,
    box_size="500 kpc",
    label=None,
    label_column=None,
    target=None,
    ignore=None,
    decoy=None,
    keep=(),
    columns=None,
    redshift=None,
    richness=None,
    cosmology=None,
):
    """Objects of a table; rows that cannot be used are counted by their reason.

    Parameters
    ----------
    table : `~astropy.table.Table`
    labels : tuple of str
        Classes of the recipe.
    box_size : str, `~astropy.units.Quantity` or pair of these
        Side of the square, or width and height: an angle ("30 arcsec"), a length ("500 kpc", at
        the redshift of each object), or a column of either.
    label : str, optional
        Class of all objects; the first of ``labels`` by default.
    label_column : str, optional
        Column with each object's class.
    target, ignore, decoy : dict, optional
        (low, high) by column, ends included; "redshift" and "richness" are found by meaning.
        Objects inside all ranges of ``target`` are targets; those of the others inside all of
        ``ignore`` are ignored, then those inside all of ``decoy`` decoys, and the rest is
        confusion, or target where no ``target`` is given.
    keep : sequence of str
        Further columns of numbers for the archive.
    columns : pair of str, optional
        Of right ascension and declination; or one of `~astropy.coordinates.SkyCoord`.
    redshift, richness : str, optional
        Their columns.
    cosmology : optional
        As for `~astro_objdet.catalogs.cosmology.get_cosmology`.

    Returns
    -------
    Truth

    Raises
    ------
    InputError
        For missing columns, labels that the recipe does not have, or no usable row.
    """
    ra, dec = position_names(columns or None, "columns")
    place = _places(table, ra, dec)
    z = redshift_values(table, side=_SIDE, column=redshift)
    reason = np.array(place.reason, dtype=object)
    sides, sizes = [], box_size if isinstance(box_size, tuple | list) else (box_size,) * 2
    if len(sizes) != 2:
        raise InputError(f"box_size must be one size, or width and height, got {box_size!r}")
    for size in sizes:
        arcsec, why = _side_arcsec(size, table, z, cosmology)
        sides.append(arcsec)
        reason[reason == ""] = why[reason == ""]
    names = _labels(table, labels, label, label_column)
    foreign = ~np.isin(names, labels)
    reason[foreign & (reason == "")] = "class not in the recipe"
    good = reason == ""
    counts = dict(Counter(reason[~good].tolist()))
    if not good.any():
        told = "; ".join(f"{why}: {count}" for why, count in counts.items()) or "it has no rows"
        raise InputError(f"truth table: no row can be used ({told})")
    values = _values(table, z, richness, keep)
    return Truth(
        *(array[good] for array in (place.ra, place.dec, *sides, names)),
        role=_roles(table, values, target or {}, ignore or {}, decoy or {})[good],
        values={name: array[good] for name, array in values.items()},
        rows=len(table),
        set_aside=counts,
    )


def read_truth(path, labels, **objects):
    """`truth_of` a file, whose errors name it."""
    with named(path):
        return truth_of(read_table(path), labels, **objects)


@contextlib.contextmanager
def named(path):
    """Errors with the name of the file that they are about."""
    try:
        yield
    except InputError as error:
        if error.path is not None:
            raise
        raise InputError(str(error), path) from None


def _places(table, ra, dec):
    try:
        return sky_positions(table, side=_SIDE, ra=ra, dec=dec, hours="refuse")
    except InputError as error:
        # where two tables are compared each has its own parameter
        raise InputError(str(error).replace(f"{_SIDE}_columns", "columns")) from None


def size_told(box_size):
    """A ``box_size`` as JSON takes it: texts with their units."""
    if isinstance(box_size, tuple | list):
        return [str(size) for size in box_size]
    return str(box_size)


def _side_arcsec(size, table, z, cosmology):
    """Side of each box in arcsec, and why there is none."""
    try:
        return radius_arcsec(parse_radius(size), table, side=_SIDE, redshift=z, cosmology=cosmology)
    except InputError as error:
        # a radius is what the parser takes a size for
        text = str(error).replace("radius", "box_size")
        text = text.replace("say which by box_size_unit,", "give the column a unit,")
        # there is one table only, and no number for all
        text = text.replace("give redshift a number, or a column of either table", _NO_REDSHIFT)
        raise InputError(text) from None


def _labels(table, labels, label, label_column):
    if label is not None and label_column is not None:
        raise InputError("label and label_column exclude each other")
    if label_column is None:
        label = labels[0] if label is None else label
        if label not in labels:
            raise InputError(f"label must be one of {', '.join(labels)}; got {label!r}")
        return np.full(len(table), label)
    if label_column not in table.colnames:
        raise InputError(
            f"truth table: there is no column {label_column!r}; it has {', '.join(table.colnames)}"
        )
    return np.char.strip(np.ma.filled(np.ma.asarray(table[label_column]).astype(str), ""))


def _values(table, z, richness, keep):
    """Columns that go into the archive."""
    missing = np.full(len(table), np.nan)
    richness = richness or guess_column(table, "richness", side=_SIDE)
    values = {
        "redshift": missing if z is None else z.values,
        "richness": missing
        if richness is None
        else numeric_values(table, richness, side=_SIDE).values,
    }
    for name in keep:
        if name in OBJECT_COLUMNS:
            raise InputError(f"keep: {name!r} is a column that every archive has")
        values[name] = numeric_values(table, name, side=_SIDE).values
    return values


def _roles(table, values, target, ignore, decoy):
    """Role of each row, from the ranges of each role."""
    found = _inside(table, values, target) if target else np.zeros(len(table), bool)
    role = np.full(len(table), "confusion" if target else ROLES[0], f"U{max(map(len, ROLES))}")
    # the later one counts
    for name, ranges in (("decoy", decoy), ("ignored", ignore)):
        if ranges:
            role[_inside(table, values, ranges)] = name
    role[found] = ROLES[0]
    return role


def _inside(table, values, ranges):
    inside = np.ones(len(table), bool)
    for name, limits in ranges.items():
        low, high = check_range(name, limits)
        known = values.get(name)
        if known is None or not np.isfinite(known).any():
            known = numeric_values(table, name, side=_SIDE).values
        inside &= (known >= low) & (known <= high)  # unknown values are in no range
    return inside
