"""How near is near enough: radii as angles, lengths or columns."""

import dataclasses
import re

import numpy as np
from astropy import units as u

from astro_objdet.catalogs.columns import ColumnValues, numeric_values
from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.errors import InputError, check_positive

__all__ = ["Radius", "parse_radius", "radius_arcsec"]

_MULTIPLE = re.compile(
    r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?:[-+]?(?:nan|inf)(?=\s)))?\s*\*?\s*(.*?)\s*"
)
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
            return Radius(check_positive("radius", value), _unit_of_column(unit), name)
        value = float(value)
    elif isinstance(radius, u.Quantity) and radius.isscalar and not np.any(_mask_of(radius)):
        value, known = float(radius.value), radius.unit
    else:
        raise InputError(f"{_WHAT}; got {radius!r}")
    known = _length_or_angle(known, radius)
    if known.is_equivalent(u.deg) and value * known.to(u.deg) > 180:
        raise InputError(f"radius must be at most 180 deg, got {str(radius)!r}")
    return Radius(check_positive("radius", value), known)


def _mask_of(quantity):
    return getattr(quantity, "mask", False)


def _unit(name):
    """The unit of this name, None if there is none."""
    if not name:
        return u.dimensionless_unscaled
    try:
        return u.Unit(_MARKS.get(name, name))
    except (ValueError, TypeError):
        return None


def _unit_of_column(given):
    if given is None:
        return None
    known = given if isinstance(given, u.UnitBase) else _unit(given)
    if known is None or known.physical_type not in ("angle", "length"):
        raise InputError(f"radius_unit must be an angle or a length, got {str(given)!r}")
    return known


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
