"""Evaluating a catalogue of detections against one of known objects, from files to a folder."""

import dataclasses
import json
import numbers
from os import PathLike
from pathlib import Path

import numpy as np
from astropy import units as u

from astro_objdet import plots
from astro_objdet.catalogs.arguments import check_threshold, check_thresholds
from astro_objdet.catalogs.calibration import Calibration
from astro_objdet.catalogs.evaluation import evaluate
from astro_objdet.catalogs.footprint import read_moc
from astro_objdet.catalogs.tables.files import read_table, write_table
from astro_objdet.errors import InputError, OutputExistsError, check_choice
from astro_objdet.evaluationreport import report_of
from astro_objdet.files import write_whole
from astro_objdet.plots.canvas import check_picture
from astro_objdet.staging import publish, staged

__all__ = ["FORMATS", "calibrate_files", "evaluate_files"]

#: Of the tables of detections and truth, by suffix.
FORMATS = ("ecsv", "fits", "vot", "parquet", "csv")

_PICTURES = {
    "purity_completeness.png": plots.purity_completeness,
    "threshold_curves.png": plots.threshold_curves,
    "centre_distances.png": plots.centre_distances,
    "centre_residuals.png": plots.centre_residuals,
    "field_positions.png": plots.field_positions,
    "property_distributions.png": plots.property_distributions,
    "selection_map.png": plots.selection_map,
}


def evaluate_files(
    found,
    truth,
    output="astro-objdet-evaluation",
    *,
    radius="100 kpc",
    threshold=None,
    thresholds=None,
    footprint=None,
    area=None,
    format="ecsv",
    pictures=True,
    html=False,
    overwrite=False,
    **options,
):
    """Compare a file of detections with a file of known objects, and write what comes out.

    Written are ``thresholds.ecsv``, ``detections`` and ``truth`` (a row per row of the
    files, with what it counted as and why), ``summary.json``, ``selection.ecsv`` where
    there are enough objects, a PNG per figure, and ``report.html``. They appear together at
    the end.

    Parameters
    ----------
    found, truth : path-like
        Tables in any format of `~astro_objdet.catalogs.tables.files.read_table`.
    output : path-like
        Folder for what is written.
    radius : `~astropy.units.Quantity` or str
        As for `~astro_objdet.catalogs.evaluation.evaluate`.
    threshold : float, optional
        Where to look at centres, distributions and the selection function; added to the
        thresholds if it is none of them. The one with the highest F1 where not given.
    thresholds : array_like of float, optional
    footprint : path-like or "none", optional
        A MOC file (FITS or JSON), or ``"none"``. By default what ``found`` says.
    area : float or `~astropy.units.Quantity`, optional
        Square degrees that were searched.
    format : str
        Of the tables of detections and truth: ecsv, fits, vot, parquet or csv.
    pictures : bool
        Whether to draw.
    html : bool
        Whether to write the report, which has its figures inside.
    overwrite : bool
        Whether files in ``output`` may be replaced; ``found`` and ``truth`` never are.
    **options
        As for `~astro_objdet.catalogs.evaluation.evaluate`.

    Returns
    -------
    `~astro_objdet.evaluationreport.EvaluationReport`

    Raises
    ------
    InputError
        For files and parameters that cannot be used.
    OutputExistsError
        A file would be overwritten and ``overwrite`` is False.
    ResourceError
        The disk is full.
    """
    check_choice("format", format, FORMATS)
    output = Path(output)
    names = _names(format, pictures, html)
    _refuse(output, names, overwrite, (found, truth))
    evaluation = evaluate(
        read_table(found),
        read_table(truth),
        radius,
        thresholds=_with_threshold(thresholds, threshold),
        footprint=_footprint(footprint),
        area=area * u.deg**2 if isinstance(area, numbers.Real) else area,
        **options,
    )
    report = report_of(evaluation, threshold, {"found": found, "truth": truth})
    with staged(output) as stage:
        _write_tables(report, stage, format)
        if pictures:
            _draw(report, stage)
        if html:
            from astro_objdet.htmlreport import html_report

            write_whole(stage / "report.html", html_report(report))
        written = sorted({"summary.json", *(path.name for path in stage.iterdir())})
        report.notes.extend(_stale(output, written))
        report = dataclasses.replace(report, written=[output / name for name in written])
        summary = json.dumps(report.to_dict(), indent=2, allow_nan=False)
        write_whole(stage / "summary.json", summary + "\n")
        _refuse(output, names, overwrite, (found, truth))
        publish(stage, output)
    return report


def _names(format, pictures, html):
    """Files that may be written."""
    names = ["thresholds.ecsv", f"detections.{format}", f"truth.{format}", "summary.json"]
    names += ["selection.ecsv", *(_PICTURES if pictures else ())]
    return [*names, "report.html"] if html else names


def _stale(output, written):
    """Say which files with names of ours this evaluation did not write."""
    others = ("selection.ecsv", "report.html", *_PICTURES)
    left = [name for name in others if name not in written and (output / name).exists()]
    return [f"{output / name} is of an earlier evaluation." for name in left]


def _refuse(output, names, overwrite, inputs):
    if output.exists() and not output.is_dir():
        raise InputError("the output must be a folder, and this is a file", output)
    existing = [output / name for name in names if (output / name).exists()]
    for path in existing:
        if any(Path(given).exists() and path.samefile(given) for given in inputs):
            raise InputError("is read, and would be replaced: choose another folder", path)
    if existing and not overwrite:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise OutputExistsError(
            f"the output exists{more}; allow overwriting it (--overwrite) or choose another folder",
            existing[0],
        )


def _with_threshold(thresholds, threshold):
    if threshold is None:
        return thresholds
    threshold = check_threshold(threshold)
    if thresholds is None and not 0 <= threshold <= 1:
        return None
    thresholds = np.arange(11) / 10 if thresholds is None else check_thresholds(thresholds)
    near = np.isclose(thresholds, threshold, rtol=0, atol=1e-9)
    return thresholds if near.any() else np.append(thresholds, threshold)


def _footprint(footprint):
    is_path = isinstance(footprint, str | PathLike) and footprint != "none"
    return read_moc(footprint) if is_path else footprint


def _write_tables(report, stage, format):
    evaluation = report.evaluation
    write_table(evaluation.thresholds, stage / "thresholds.ecsv")
    write_table(evaluation.detections, stage / f"detections.{format}")
    write_table(evaluation.truth, stage / f"truth.{format}")
    if report.selection is not None:
        report.selection.write(stage / "selection.ecsv")


def _draw(report, stage):
    """The figures; those of what is not known are left out."""
    truth = report.evaluation.truth
    unknown = {
        "field_positions.png": not np.isfinite(truth["field_x"].value).any(),
        "selection_map.png": report.selection is None,
    }
    for name, draw in _PICTURES.items():
        if unknown.get(name):
            continue
        shown = report.selection if name == "selection_map.png" else report.evaluation
        at = {"threshold": report.threshold} if draw in _AT_THRESHOLD else {}
        draw(shown, stage / name, **at)


_AT_THRESHOLD = (
    plots.centre_distances,
    plots.centre_residuals,
    plots.field_positions,
    plots.property_distributions,
)


def calibrate_files(name, table, output, *, sky=None, plot=None, overwrite=False):
    """Copy weights with a calibration of their scores, and draw how good it is.

    Parameters
    ----------
    name, table, output, sky
        As for `~astro_objdet.engine.weights.calibrate_weights`.
    plot : path-like, optional
        A reliability diagram, the detections of each field judged by a calibration on the other
        fields; the line is the calibration by all.
    overwrite : bool

    Returns
    -------
    calibration : `~astro_objdet.catalogs.Calibration`
    sha256 : str
        Of the weights written.

    Raises
    ------
    InputError
        As `~astro_objdet.engine.weights.calibrate_weights`, and where ``plot`` cannot be a
        picture or the table is of one field; nothing is written then.
    """
    # torch is not needed to evaluate
    from astro_objdet.engine.weights import calibrate_weights

    if plot is None:
        return calibrate_weights(name, table, output, sky=sky, overwrite=overwrite)
    check_picture(plot, overwrite, (output, table))
    try:
        judged = Calibration.held_out_reliability(read_table(table))
    except InputError as error:
        raise InputError(str(error), path=table) from None
    calibration, digest = calibrate_weights(name, table, output, sky=sky, overwrite=overwrite)
    plots.reliability_diagram(judged, plot, calibration=calibration, overwrite=overwrite)
    return calibration, digest
