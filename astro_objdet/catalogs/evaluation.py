"""How well detections agree with what is known: purity, completeness, and what they depend on."""

import numbers
from importlib.metadata import version

import numpy as np
from astropy import units as u

from astro_objdet.catalogs.arguments import check_ranges, check_table, check_thresholds
from astro_objdet.catalogs.cosmology import cosmology_meta, get_cosmology
from astro_objdet.catalogs.evaluating import inputs, tables
from astro_objdet.catalogs.evaluating.boxes import box_metrics
from astro_objdet.catalogs.evaluating.matches import count, match
from astro_objdet.catalogs.evaluating.result import Evaluation
from astro_objdet.catalogs.footprint import area_deg2, field_corners, footprint_moc
from astro_objdet.catalogs.matching.radius import parse_radius
from astro_objdet.catalogs.metrics import average_precision, check_probability
from astro_objdet.errors import InputError, check_choice, check_positive

__all__ = ["Evaluation", "evaluate"]

# Pieces of sky for the jackknife; see `sky_cells`.
_PIECES = 20
# Of found.meta, what the tables of the evaluation keep.
_ORIGIN = ("detector", "recipe", "weights", "threshold")


def evaluate(
    found,
    truth,
    radius=100 * u.kpc,
    *,
    thresholds=None,
    redshift=None,
    cosmology=None,
    ranges=None,
    find="score",
    inclusive=False,
    footprint=None,
    area=None,
    score=None,
    richness=None,
    magnitude=None,
    confidence=0.95,
    jackknife=True,
    coco=False,
    radius_unit=None,
    found_columns=None,
    found_frame=None,
    truth_columns=None,
    truth_frame=None,
):
    """Compare detections with the objects that are known, at several score thresholds.

    Parameters
    ----------
    found : `~astropy.table.Table`
        Detections with positions and scores; `~astro_objdet.catalogs.Detections` have the
        footprint of their images in ``.meta``. Without a column of scores, each has score 1.
    truth : `~astropy.table.Table`
        Objects that are there.
    radius : `~astropy.units.Quantity` or str
        How far a detection may be from its object: a length at the redshift of the object
        (100 kpc is that of paper I, section 3.1), an angle, a column of truth, or a multiple
        of one (``"0.75 psf_fwhm"``: paper II, section 4.4.2).
    thresholds : array_like of float, optional
        Scores; 0, 0.1, … 1 by default, and 0 alone for detections without scores.
    redshift : str or float, optional
        Column of truth, or the redshift of all; found by UCD and usual names by default.
    cosmology : `~astropy.cosmology.Cosmology`, str or dict, optional
        A name or numbers (``"H0=70,Om0=0.3"``); that of paper I by default.
    ranges : dict of str to (float, float), optional
        Which objects count, ends included, by columns of truth: ``{"redshift": (0.1, 0.2)}``;
        redshift, richness and magnitude are also known by what they mean. A detection on
        an object outside of the ranges is neither true nor false; strict counts stand beside.
    find : {"score", "separation"}
        Which detection an object gets: that of the highest score takes its nearest free
        object first, or the closest pairs are joined first, at each threshold anew.
    inclusive : bool, optional
        Whether a score equal to the threshold counts, as in paper II; paper I counts scores
        above it.
    footprint : `mocpy.MOC` or "none", optional
        Sky that was searched. By default what ``found.meta`` says; ``"none"``: anywhere.
        Truth outside is not counted, detections outside or on such truth are neither true
        nor false.
    area : `~astropy.units.Quantity`, optional
        Of the sky that was searched; that of the footprint by default.
    score, richness, magnitude : str, optional
        Columns of found, of truth and of truth; found by UCD and usual names by default.
    confidence : float, optional
        Probability of the intervals.
    jackknife : bool or int, optional
        Whether to leave out pieces of sky in turn for standard errors; a number is how many
        pieces there should be at least.
    coco : bool, `~astropy.units.Quantity` or str, optional
        Whether to compute COCO metrics of the boxes. Boxes of truth are its columns
        ``x_min``, ``y_min``, ``x_max``, ``y_max`` (and ``field``), or reach so far from its
        positions on the sky as is given here, in the forms of ``radius``; True: 250 kpc.
    radius_unit : str, optional
        Unit of a radius column that has none in its table.
    found_columns, truth_columns : pair of str or str, optional
        Names of the columns of the position, longitude first, or of one with
        `~astropy.coordinates.SkyCoord`.
    found_frame, truth_frame : str, optional
        Frames of the positions, any that astropy knows.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        Naming the parameter, for one that cannot be used, a length without redshift, or
        columns that are missing or ambiguous.

    Notes
    -----
    An object has one detection at most, and a detection one object: TP + FN is the number of
    objects at each threshold, as in paper I's Tables 2 and 3. Rows with an unusable
    position, score, or radius are set aside, and counted in ``meta["not_counted"]``.
    """
    check_table("found", found)
    check_table("truth", truth)
    check_choice("find", find, ("score", "separation"))
    check_probability("confidence", confidence)
    ranges = check_ranges(ranges)
    radius, cosmology = parse_radius(radius, radius_unit), get_cosmology(cosmology)
    moc, area = _searched(found, footprint, area)

    ours = inputs.read_found(found, score, found_columns, found_frame)
    names = {"redshift": redshift, "richness": richness, "magnitude": magnitude}
    theirs, z = inputs.read_truth(truth, names, truth_columns, truth_frame)
    for rows in (ours, theirs):
        inputs.mark_outside(rows, moc)
    inputs.set_radius(theirs, truth, radius, z, cosmology)
    inputs.mark_ranges(theirs, truth, ranges)
    inputs.place_in_fields(theirs, field_corners(found.meta))

    thresholds = _thresholds(thresholds, ours)
    matches = match(ours, theirs, thresholds, find, inclusive)
    counts = count(ours, theirs, matches, len(thresholds), _pieces(jackknife))

    at_thresholds = tables.thresholds_table(thresholds, counts, confidence, area)
    best = int(np.argmax(at_thresholds["f1"]))
    settings = _settings(radius, cosmology, find, inclusive, ranges, confidence)
    settings["jackknife"] = {"cells": counts.cells, "nside": counts.nside}
    offsets = tables.pair_offsets(ours, theirs, matches.detection_row)
    objects = tables.truth_table(ours, theirs, matches, offsets)
    objects.meta.update(settings)
    detections = tables.detections_table(ours, theirs, matches, offsets, found)
    detections.meta.update(settings, **_origin(found))
    return Evaluation(
        thresholds=at_thresholds,
        best=best,
        detections=detections,
        truth=objects,
        average_precision=average_precision(at_thresholds["purity"], at_thresholds["completeness"]),
        **_boxes(found, truth, ours, theirs, coco, z, cosmology),
        centres=tables.centre_errors(ours, theirs, matches, offsets, thresholds),
        ks=tables.ks_table(objects, matches.at(best) >= 0),
        area=area,
        meta=settings | _records(found, ours, theirs),
        matches=matches,
    )


def _searched(found, footprint, area):
    """The footprint as a MOC, and its area; None for what is not known."""
    if footprint is None:
        footprint = footprint_moc(found.meta)
    elif isinstance(footprint, str):
        check_choice("footprint", footprint, ("none",))
        footprint = None
    elif not hasattr(footprint, "contains_lonlat"):
        raise InputError(f"footprint must be a MOC or 'none', got {type(footprint).__name__}")
    if area is None:
        return footprint, None if footprint is None else area_deg2(footprint)
    if not (isinstance(area, u.Quantity) and area.isscalar and area.unit.is_equivalent(u.deg**2)):
        raise InputError(f"area must be an area of the sky, such as 5 * u.deg**2; got {area!r}")
    check_positive("area", float(area.value))
    return footprint, area.to(u.deg**2)


def _thresholds(given, found):
    """Score thresholds, rising, each once."""
    if given is None and found.columns["score"] is None:
        return np.zeros(1)
    if given is None:
        highest = np.fmax.reduce(found.values["score"], initial=0)
        if highest > 1:
            raise InputError(
                f"thresholds must be given where scores are not from 0 to 1: column "
                f"{found.columns['score']!r} of the found table reaches {highest:g}"
            )
        return np.arange(11) / 10
    return check_thresholds(given)


def _pieces(jackknife):
    if isinstance(jackknife, bool):
        return _PIECES if jackknife else 0
    if not isinstance(jackknife, numbers.Integral) or jackknife < 0:
        raise InputError(f"jackknife must be True, False or a number of pieces, got {jackknife!r}")
    return int(jackknife)


def _boxes(found, truth, ours, theirs, coco, redshift, cosmology):
    if coco is False:
        return {"coco": None, "average_recall": np.nan, "f1_coco": np.nan}
    boxes = box_metrics(found, truth, ours, theirs, coco, redshift, cosmology)
    return {
        "coco": boxes.metrics,
        "average_recall": boxes.average_recall,
        "f1_coco": boxes.f1,
    }


def _settings(radius, cosmology, find, inclusive, ranges, confidence):
    """What was asked for, for ``meta``."""
    return {
        "radius": str(radius),
        "cosmology": cosmology_meta(cosmology),
        "find": find,
        "inclusive": bool(inclusive),
        "rule": f"score {'≥' if inclusive else '>'} threshold",
        "ranges": {name: list(limits) for name, limits in ranges.items()},
        "confidence": float(confidence),
    }


def _origin(found):
    return {key: found.meta[key] for key in _ORIGIN if key in found.meta}


def _records(found, ours, theirs):
    """What was taken from the tables and what was left out."""
    names = ("astro-objdet", "astropy", "numpy", "scipy")
    return {
        "columns": {"found": ours.columns, "truth": theirs.columns},
        "rows": {"found": len(ours), "truth": len(theirs)},
        "not_counted": {"found": ours.counts(), "truth": theirs.counts()},
        "found": _origin(found),
        "versions": {name: version(name) for name in names},
    }
