"""The radius of a cross-match, understood: one for all rows, or one for each of a table."""

import dataclasses

import numpy as np

from astro_objdet.catalogs.columns import redshift_values
from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.catalogs.matching.radius import Radius, parse_radius, radius_arcsec
from astro_objdet.catalogs.matching.sides import column_of
from astro_objdet.errors import InputError, check_positive

__all__ = ["Reach", "kpc_scale", "open_reach"]


@dataclasses.dataclass(frozen=True)
class Reach:
    """How far a match may be off.

    Attributes
    ----------
    radius : `~astro_objdet.catalogs.matching.radius.Radius`
        What was asked for.
    of : {"left", "right"}
        Whose the radii are.
    arcsec : float or `~numpy.ndarray` of float64
        For all, or for each row of that table.
    """

    radius: Radius
    of: str
    arcsec: float | np.ndarray

    def at(self, left, right):
        """The radii of pairs, by their rows: a number, or one for each pair."""
        if not np.ndim(self.arcsec):
            return self.arcsec
        return self.arcsec[left if self.of == "left" else right]


def open_reach(sides, radius, redshift, unit, cosmology):
    """Understand the radius; rows that have none are set aside.

    Parameters
    ----------
    sides : pair of `~astro_objdet.catalogs.matching.sides.Side`
    radius, redshift, unit, cosmology
        As for `~astro_objdet.catalogs.crossmatch.crossmatch`.

    Raises
    ------
    InputError
        If a column is missing or ambiguous, a length has no redshift, or the length and its
        redshift are of different tables.
    """
    radius = parse_radius(radius, unit)
    side = None
    if radius.column is not None:
        side, column = column_of(radius.column, sides, "radius", "unit and no column")
        radius = dataclasses.replace(radius, column=column)
    needs_redshift = radius.is_length or (side is not None and _holds_lengths(side, radius))
    z_side, z = _redshift(sides, redshift)
    if needs_redshift and z_side is not None:
        if side not in (None, z_side):
            raise InputError(
                f"redshift {redshift!r} is of the {z_side.name} table, the radius "
                f"{radius} of the {side.name} one: a length and its redshift must be of one row"
            )
        side = z_side
    if side is None:
        # The same for every row of whichever table: worked out for one that has no columns.
        one, _ = radius_arcsec(radius, [None], redshift=z, cosmology=cosmology)
        return Reach(radius, "right", float(one[0]))
    arcsec, reason = radius_arcsec(
        radius, side.table, side=side.name, redshift=z, cosmology=cosmology
    )
    side.set_aside(reason)
    return Reach(radius, side.name, arcsec)


def _holds_lengths(side, radius):
    unit = getattr(side.table[radius.column], "unit", None) or radius.unit
    return unit is not None and unit.physical_type == "length"


def _redshift(sides, redshift):
    """The table and the values of a column, or None and a number."""
    if not isinstance(redshift, str):
        return None, None if redshift is None else check_positive("redshift", redshift)
    side, column = column_of(redshift, sides, "redshift")
    return side, redshift_values(side.table, side=side.name, column=column)


def kpc_scale(sides, redshift, window, cosmology):
    """A function from pairs to kpc per arcsec; None where there is no redshift at all.

    ``redshift`` as for `open_reach`; without it that of the right table in the window.
    """
    side, z = _redshift(sides, redshift)
    if z is None and window is not None:
        side, z = sides[1], window.right
    if z is None:
        return None
    if side is None:
        return lambda pairs: np.full(len(pairs), kpc_per_arcsec(z, cosmology))

    def scale(pairs):
        rows = pairs.first if side.name == "left" else pairs.second
        kpc = np.full(len(rows), np.nan)
        usable = z.usable[rows]
        kpc[usable] = kpc_per_arcsec(z.values[rows[usable]], cosmology)
        return kpc

    return scale
