"""How near is near enough: radii as angles, lengths or columns, and redshift windows."""

import dataclasses
import re

import numpy as np
from astropy import units as u

from astro_objdet.catalogs.columns import ColumnValues, numeric_values
from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.errors import InputError, check_choice, check_positive

__all__ = ["Radius", "RedshiftWindow", "parse_radius", "radius_arcsec"]

_MULTIPLE = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)?\s*\*?\s*(.*?)\s*")
_MARKS = {"'": "arcmin", '"': "arcsec"}
_WHAT = "radius must be an angle ('30 arcsec'), a length ('100 kpc'), or a column ('0.75 psf_fwhm')"


@dataclasses.dataclass(frozen=True)
class Radius:
    """A radius: ``value`` times ``unit``, or ``value`` times a column.

    Attributes
    ----------
    value : float
        Finite and above 0.
    unit : `~astropy.units.Unit` or None
        An angle or a length; of a column, what it is in if the table does not say.
    column : str or None
    """

    value: float
    unit: u.UnitBase | None = None
    column: str | None = None

    @property
    def is_length(self):
        """Whether a redshift is needed; of a column this is known with its unit only."""
        return self.column is None and self.unit.is_equivalent(u.kpc)

    def __str__(self):
        if self.column is None:
            return f"{self.value:g} {self.unit}"
        return self.column if self.value == 1 else f"{self.value:g} * {self.column}"


def parse_radius(radius, unit=None):
    """Understand a radius.

    Parameters
    ----------
    radius : `~astropy.units.Quantity`, str or Radius
        ``30 * u.arcsec``, ``"30 arcsec"``, ``"1 Mpc"``, the name of a column
        (``"R200"``) or a multiple of one (``"0.75 psf_fwhm"``).
    unit : str or `~astropy.units.Unit`, optional
        Of a column that has none in its table.

    Returns
    -------
    Radius

    Raises
    ------
    InputError
        If it is none of these, has another unit, or is not above 0.
    """
    if isinstance(radius, Radius):
        return radius
    if isinstance(radius, str):
        value, name = _MULTIPLE.fullmatch(radius).groups()
        known = _unit(name) if value is not None else None
        if known is None:
            if not name:
                raise InputError(f"{_WHAT}; got {radius!r}")
            value = 1.0 if value is None else float(value)
            column_unit = None if unit is None else _length_or_angle(u.Unit(unit), unit)
            return Radius(check_positive("radius", value), column_unit, name)
        value = float(value)
    elif isinstance(radius, u.Quantity) and radius.isscalar:
        value, known = float(radius.value), radius.unit
    else:
        raise InputError(f"{_WHAT}; got {radius!r}")
    known = _length_or_angle(known, radius)
    return Radius(check_positive("radius", value), known)


def _unit(name):
    """The unit of this name, None if there is none."""
    if not name:
        return u.dimensionless_unscaled
    try:
        return u.Unit(_MARKS.get(name, name))
    except (ValueError, TypeError):
        return None


def _length_or_angle(unit, given):
    # Radians aside, astropy would take a plain number for an angle.
    if unit.physical_type in ("angle", "length"):
        return unit
    named = f"unit {unit.to_string()!r}" if unit.to_string() else "no unit"
    raise InputError(f"radius must be an angle or a length, got {named} in {str(given)!r}")


def radius_arcsec(radius, table, *, side="right", redshift=None, cosmology=None, unit=None):
    """A radius in arcsec, for each row of a table where it differs.

    Parameters
    ----------
    radius : as for `parse_radius`
    table : `~astropy.table.Table`
        Whose the radius is: its columns are meant, its redshifts count.
    side : str
        What messages call the table.
    redshift : `~astro_objdet.catalogs.columns.ColumnValues` or float, optional
        Of the rows, or of all; needed for a length.
    cosmology : as for `~astro_objdet.catalogs.cosmology.get_cosmology`, optional
    unit : str, optional
        Of a column without one.

    Returns
    -------
    arcsec : `~numpy.ndarray` of float64, shape (N,)
        NaN where unusable.
    reason : `~numpy.ndarray` of str, shape (N,)
        Why a row has none; empty where it has.

    Raises
    ------
    InputError
        If the column is missing or its unit is neither angle nor length, or a
        length came without a redshift.
    """
    radius = parse_radius(radius, unit)
    reason = np.full(len(table), "", dtype=object)
    if radius.column is None:
        value, known = np.full(len(table), radius.value), radius.unit
    else:
        column = numeric_values(table, radius.column, side=side, positive=True)
        known = column.unit if column.unit not in (None, u.dimensionless_unscaled) else radius.unit
        if known is None:
            raise InputError(
                f"radius: column {radius.column!r} of the {side} table has no unit; say "
                "which by radius_unit, an angle or a length"
            )
        known = _length_or_angle(known, radius)
        value = np.where(column.usable, radius.value * column.values, np.nan)
        reason[~column.usable] = column.reason[~column.usable]
    if known.is_equivalent(u.arcsec):
        return value * known.to(u.arcsec), reason
    return _length_at(radius, value * known.to(u.kpc), redshift, cosmology, reason)


def _length_at(radius, kpc, redshift, cosmology, reason):
    if redshift is None:
        raise InputError(
            f"radius is a length ({radius}), which needs a redshift: give redshift a number, "
            "or a column of either table"
        )
    if not isinstance(redshift, ColumnValues):
        return kpc / kpc_per_arcsec(float(redshift), cosmology), reason
    arcsec = np.full(len(kpc), np.nan)
    usable = redshift.usable
    arcsec[usable] = kpc[usable] / kpc_per_arcsec(redshift.values[usable], cosmology)
    missing = ~usable & (reason == "")
    reason[missing] = redshift.reason[missing]
    return arcsec, reason


@dataclasses.dataclass(frozen=True)
class RedshiftWindow:
    """Which pairs lie at the same redshift.

    Attributes
    ----------
    left, right : `~astro_objdet.catalogs.columns.ColumnValues`
        Redshifts of the rows of both tables.
    max_dz : float
    kind : {"absolute", "relative", "sigma"}
        Of \\|z1 - z2\\|, of that over 1 + z2, or in units of the combined errors.
    missing : {"reject", "accept"} or None
        What becomes of pairs of which a redshift is missing; None if none is.
    left_error, right_error : `~astro_objdet.catalogs.columns.ColumnValues` or None
        Standard errors, for ``"sigma"``.
    """

    left: ColumnValues
    right: ColumnValues
    max_dz: float
    kind: str = "absolute"
    missing: str | None = None
    left_error: ColumnValues | None = None
    right_error: ColumnValues | None = None

    def __post_init__(self):
        check_positive("max_dz", self.max_dz)
        check_choice("dz", self.kind, ("absolute", "relative", "sigma"))
        if self.missing is not None:
            check_choice("missing_redshift", self.missing, ("accept", "reject"))
            return
        for side, columns in (("left", self._columns("left")), ("right", self._columns("right"))):
            for column in columns:
                bad = int(np.count_nonzero(~column.usable))
                if bad:
                    raise InputError(
                        f"{bad} of {len(column.usable)} rows of the {side} table have no usable "
                        f"{column.name!r}: say by missing_redshift whether to 'accept' or "
                        "'reject' their pairs"
                    )

    def _columns(self, side):
        both = getattr(self, side), getattr(self, f"{side}_error")
        return [column for column in both if column is not None]

    def test(self, pairs):
        """Judge pairs.

        Parameters
        ----------
        pairs : `~astro_objdet.catalogs.matching.pairs.Pairs`
            With the rows of the left table first.

        Returns
        -------
        inside : `~numpy.ndarray` of bool
            Which pairs to keep.
        missing : `~numpy.ndarray` of bool
            Of which pairs a redshift or its error is missing.
        """
        one, two = pairs.first, pairs.second
        known = np.ones(len(pairs), bool)
        for side, rows in (("left", one), ("right", two)):
            for column in self._columns(side):
                known &= column.usable[rows]
        with np.errstate(invalid="ignore"):
            gap = np.abs(self.left.values[one] - self.right.values[two])
            if self.kind == "relative":
                gap = gap / (1 + self.right.values[two])
            if self.kind == "sigma":
                errors = self.left_error.values[one], self.right_error.values[two]
                gap = gap / np.hypot(*errors)
            inside = gap <= self.max_dz
        return np.where(known, inside, self.missing == "accept"), ~known
