"""Tables of detections and of true objects, read into what an evaluation needs."""

import dataclasses

import numpy as np

from astro_objdet.catalogs.columns import (
    ColumnValues,
    guess_column,
    numeric_values,
    position_names,
    redshift_values,
    sky_positions,
)
from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.catalogs.fieldgeometry import nearest_field
from astro_objdet.catalogs.footprint import contains
from astro_objdet.catalogs.matching.radius import parse_radius, radius_arcsec
from astro_objdet.errors import check_positive

__all__ = [
    "IN_PLAY",
    "PROPERTIES",
    "Rows",
    "Status",
    "mark_outside",
    "mark_ranges",
    "place_in_fields",
    "read_found",
    "read_truth",
    "set_radius",
]

# Of a true object, beside its position.
PROPERTIES = ("redshift", "richness", "magnitude")


class Status:
    """Codes of what a row counts as; the words are in ``NAMES``."""

    COUNTED, IGNORED, OUTSIDE, SET_ASIDE, TRUE, DUPLICATE, FALSE = range(7)
    NAMES = np.array(["counted", "ignored", "outside", "set aside", "true", "duplicate", "false"])


# Truth rows that a detection can lie on: those not counted excuse it.
IN_PLAY = (Status.COUNTED, Status.IGNORED, Status.OUTSIDE)


@dataclasses.dataclass
class Rows:
    """One table as arrays, a value per row; NaN where a row has none.

    Attributes
    ----------
    ra, dec : `~numpy.ndarray` of float64
        Degrees, ICRS.
    status : `~numpy.ndarray` of int8
        Code of `Status`.
    reason : `~numpy.ndarray` of object
        Why a row is not counted; empty where it is.
    columns : dict of str
        Which columns of the table were taken for what.
    values : dict of str to `~numpy.ndarray` of float64
        ``score``; or redshift, richness, magnitude, radius (arcsec), kpc_per_arcsec,
        field_x and field_y (arcsec).
    """

    ra: np.ndarray
    dec: np.ndarray
    status: np.ndarray
    reason: np.ndarray
    columns: dict
    values: dict

    def __len__(self):
        return len(self.ra)

    def mark(self, rows, status, reason):
        """Give ``rows`` (mask) that are still counted a status and a reason (one or each)."""
        rows = rows & (self.status == Status.COUNTED)
        self.status[rows] = status
        self.reason[rows] = reason if isinstance(reason, str) else reason[rows]

    def having(self, *statuses):
        """Numbers of the rows with one of these statuses."""
        return np.flatnonzero(np.isin(self.status, statuses))

    def counts(self):
        """How many rows have each reason for not being counted."""
        reasons, numbers = np.unique(self.reason[self.reason != ""].astype(str), return_counts=True)
        return dict(zip(reasons.tolist(), numbers.tolist(), strict=True))


def read_found(table, score=None, columns=None, frame=None):
    """Read detections: positions and scores.

    Without any column of scores, each detection has the score 1.
    """
    rows = _positions(table, "found", columns, frame)
    name = score or guess_column(table, "score", side="found")
    rows.columns["score"] = name
    rows.values["score"] = np.ones(len(rows))
    if name is not None:
        scores = numeric_values(table, name, side="found")
        rows.values["score"] = np.where(scores.usable, scores.values, np.nan)
        rows.mark(~scores.usable, Status.SET_ASIDE, scores.reason)
    return rows


def read_truth(table, names, columns=None, frame=None):
    """Read true objects: positions and properties.

    ``names`` has the column of each of `PROPERTIES`, or None to look for one; as redshift
    also a number, that of all objects.

    Returns
    -------
    rows : Rows
    redshift : `~astro_objdet.catalogs.columns.ColumnValues`, float or None
        As `~astro_objdet.catalogs.matching.radius.radius_arcsec` takes it.
    """
    rows = _positions(table, "truth", columns, frame)
    redshift = names["redshift"]
    rows.values["redshift"] = np.full(len(rows), np.nan)
    if redshift is None or isinstance(redshift, str):
        redshift = redshift_values(table, side="truth", column=redshift)
        rows.columns["redshift"] = None if redshift is None else redshift.name
    else:
        check_positive("redshift", redshift)
        rows.values["redshift"][:] = redshift
        rows.columns["redshift"] = float(redshift)
    known = {"redshift": redshift}
    for kind in ("richness", "magnitude"):
        name = names[kind] or guess_column(table, kind, side="truth")
        rows.columns[kind] = name
        rows.values[kind] = np.full(len(rows), np.nan)
        known[kind] = None if name is None else numeric_values(table, name, side="truth")
    for kind, found in known.items():
        if isinstance(found, ColumnValues):
            rows.values[kind][found.usable] = found.values[found.usable]
    return rows, redshift


def place_in_fields(rows, corners):
    """Put where each object lies in its field into ``values``: field_x and field_y, arcsec."""
    known = np.isfinite(rows.ra)
    for name in ("field_x", "field_y"):
        rows.values[name] = np.full(len(rows), np.nan)
    _, x, y = nearest_field(corners.values(), rows.ra[known], rows.dec[known])
    rows.values["field_x"][known], rows.values["field_y"][known] = x, y


def mark_outside(rows, moc):
    """Rows outside of the footprint count for nothing."""
    if moc is not None:
        rows.mark(~contains(moc, rows.ra, rows.dec), Status.OUTSIDE, "outside the footprint")


def set_radius(rows, table, radius, redshift, cosmology, unit=None):
    """Put the matching radius of each true object into ``values``, and its scale."""
    values, reason = radius_arcsec(
        parse_radius(radius, unit),
        table,
        side="truth",
        redshift=redshift,
        cosmology=cosmology,
    )
    rows.values["radius"] = values
    rows.mark(~np.isfinite(values), Status.SET_ASIDE, reason)
    scale = np.full(len(rows), np.nan)
    known = np.isfinite(rows.values["redshift"])
    scale[known] = kpc_per_arcsec(rows.values["redshift"][known], cosmology)
    rows.values["kpc_per_arcsec"] = scale


def mark_ranges(rows, table, ranges):
    """True objects outside of ``ranges`` are ignored: finding one is no merit and no fault.

    These come checked, by `~astro_objdet.catalogs.arguments.check_ranges`.
    """
    for name, (low, high) in ranges.items():
        recognised = name in PROPERTIES and rows.columns[name] is not None
        if recognised and name not in table.colnames:
            # By what it means, whatever the catalogue calls it.
            values = rows.values[name]
        else:
            values = numeric_values(table, name, side="truth").values
        with np.errstate(invalid="ignore"):
            within = (values >= low) & (values <= high)
        rows.mark(~within, Status.IGNORED, f"{name} not in {low:g} to {high:g}")


def _positions(table, side, columns, frame):
    ra, dec = position_names(columns, f"{side}_columns")
    at = sky_positions(table, side=side, ra=ra, dec=dec, frame=frame)
    rows = Rows(
        ra=np.where(at.usable, at.ra, np.nan),
        dec=np.where(at.usable, at.dec, np.nan),
        status=np.full(len(table), Status.COUNTED, np.int8),
        reason=np.full(len(table), "", dtype=object),
        columns={"position": list(at.columns), "frame": at.frame, "how": at.how},
        values={},
    )
    rows.mark(~at.usable, Status.SET_ASIDE, at.reason)
    return rows
