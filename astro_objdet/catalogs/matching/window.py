"""Which pairs lie at the same redshift."""

import dataclasses

import numpy as np

from astro_objdet.catalogs.columns import (
    ColumnValues,
    guess_column,
    numeric_values,
    redshift_values,
)
from astro_objdet.errors import InputError, check_choice, check_positive

__all__ = ["RedshiftWindow", "open_window"]


def open_window(sides, max_dz, kind, names, error_names, missing):
    """The redshift window of a cross-match, None without ``max_dz``.

    Parameters
    ----------
    sides : pair of `~astro_objdet.catalogs.matching.sides.Side`
    max_dz : float or None
    kind : {"absolute", "relative", "sigma"}
    names, error_names : pair of str or None
        Columns of redshifts and of their standard errors; found by UCD and usual names
        where None.
    missing : {"accept", "reject"} or None

    Raises
    ------
    InputError
        If something else is given without ``max_dz``, or a column is missing or ambiguous.
    """
    check_choice("dz", kind, ("absolute", "relative", "sigma"))
    if missing is not None:
        check_choice("missing_redshift", missing, ("accept", "reject"))
    if max_dz is None:
        given = {
            "dz": kind != "absolute",
            "missing_redshift": missing is not None,
            "left_redshift and right_redshift": any(names),
            "left_redshift_error and right_redshift_error": any(error_names),
        }
        for parameter in (name for name, is_given in given.items() if is_given):
            raise InputError(f"{parameter} say how redshifts are compared: give max_dz too")
        return None
    redshifts, errors = [], []
    for side, name, error_name in zip(sides, names, error_names, strict=True):
        redshifts.append(_redshift(side, name))
        errors.append(_error(side, redshifts[-1], error_name) if kind == "sigma" else None)
    return RedshiftWindow(*redshifts, max_dz, kind, missing, *errors)


def _redshift(side, name):
    values = redshift_values(side.table, side=side.name, column=name)
    if values is None:
        raise InputError(
            f"max_dz: no redshift was found in the {side.name} table; name the column by "
            f"{side.name}_redshift; it has {', '.join(side.table.colnames)}"
        )
    return values


def _error(side, redshift, name):
    """The standard errors; negative ones are a catalogue's word for none."""
    if name is None:
        name = guess_column(side.table, "redshift_error", side=side.name, of=redshift.name)
    if name is None:
        raise InputError(
            f"dz: no error of {redshift.name!r} was found in the {side.name} table; name the "
            f"column by {side.name}_redshift_error; it has {', '.join(side.table.colnames)}"
        )
    errors = numeric_values(side.table, name, side=side.name)
    none = errors.values < 0
    reasons = (*errors.reasons, f"{name} is negative")
    code = np.where(none, len(reasons) - 1, errors.code).astype(np.uint8)
    return dataclasses.replace(errors, code=code, reasons=reasons)


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
            widest = self.max_dz
            if self.kind == "relative":
                widest = widest * (1 + self.right.values[two])
            if self.kind == "sigma":
                errors = self.left_error.values[one], self.right_error.values[two]
                widest = widest * np.hypot(*errors)
            inside = gap <= widest
        return np.where(known, inside, self.missing == "accept"), ~known
