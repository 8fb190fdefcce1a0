"""An evaluation as one HTML file: figures inside, nothing loaded from elsewhere."""

import base64
import math

import numpy as np
from astropy import units as u
from jinja2 import Environment, PackageLoader

from astro_objdet import plots
from astro_objdet.catalogs.evaluating.summary import verdict
from astro_objdet.plots.canvas import svg_text

__all__ = ["html_report"]


def html_report(report, title=None):
    """Write an evaluation down for readers: counts, intervals, figures, and how it was made.

    Parameters
    ----------
    report : `~astro_objdet.evaluationreport.EvaluationReport`
    title : str, optional

    Returns
    -------
    str
        HTML with its style and figures (SVG) inside. The same report gives the same text.
    """
    environment = Environment(
        loader=PackageLoader("astro_objdet"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(digits=_digits, verdict=verdict)
    evaluation = report.evaluation
    meta = evaluation.meta
    return environment.get_template("report.html").render(
        title=title or "Evaluation of detections",
        report=report,
        evaluation=evaluation,
        meta=meta,
        row=_values(evaluation.at(report.threshold)),
        best=_values(evaluation.at()),
        confidence=f"{100 * meta['confidence']:g} %",
        thresholds=[_values(row) for row in evaluation.thresholds],
        ks=[_values(row) for row in report.ks if row["n_recovered"]],
        area=None if evaluation.area is None else evaluation.area.to_value(u.deg**2),
        columns=_columns(meta["columns"]),
        settings=_settings(report),
        figures=_figures(report),
    )


def _values(row):
    return {
        name: np.asarray(getattr(row[name], "value", row[name])).item() for name in row.colnames
    }


def _digits(value, number=3):
    """A number with so many decimals; a dash for what is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    if value and abs(value) < 10.0**-number:
        return f"{value:.2g}"
    return f"{value:.{number}f}"


def _columns(columns):
    """Table, meaning, column, and how it was found."""
    for side, taken in columns.items():
        how = f"{taken['frame']}, by {taken['how']}"
        yield side, "position", ", ".join(taken["position"]), how
        for kind, name in taken.items():
            if kind not in ("position", "frame", "how"):
                yield side, kind, name or "–", ""


def _settings(report):
    """How it was made, as pairs of words."""
    meta = report.evaluation.meta
    cosmology = meta["cosmology"]
    yield "Radius", meta["radius"]
    yield "Rule", meta["rule"]
    by = {"score": "highest score first", "separation": "closest pairs first"}
    yield "Matched", f"one to one, {by.get(meta['find'], meta['find'])}"
    known = [f"{key} = {cosmology[key]:g}" for key in ("H0", "Om0", "Ode0") if key in cosmology]
    yield "Cosmology", ", ".join([cosmology.get("name") or cosmology.get("class", ""), *known])
    for name, (low, high) in meta["ranges"].items():
        yield f"Counted {name}", f"{low:g} to {high:g}"
    if np.isfinite(report.evaluation.at()["f1_jackknife"]):
        yield "Jackknife", f"{meta['jackknife']['cells']} pieces of sky"
    for key, value in meta["found"].items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {part}" for name, part in value.items())
        yield f"Detections: {key}", str(value)
    for side, file in report.inputs.items():
        yield f"File of {side}", f"{file['path']} (sha256 {file['sha256'][:12]}…)"
    versions = ", ".join(f"{name} {number}" for name, number in meta["versions"].items())
    yield "Software", versions


def _figures(report):
    """Caption and picture of each figure that has something to show."""
    evaluation, at = report.evaluation, {"threshold": report.threshold}
    truth = evaluation.truth
    score = f"score threshold {report.threshold:g}"
    drawn = [
        (
            plots.purity_completeness(evaluation),
            "Purity against completeness at each score threshold; grey lines join equal F1.",
        ),
        (
            plots.threshold_curves(evaluation),
            "Purity, completeness and F1 against the score threshold.",
        ),
        (
            plots.centre_distances(evaluation, **at),
            f"Distances of detections from the nearest true centre, {score}.",
        ),
        (
            plots.centre_residuals(evaluation, **at),
            f"Offsets of true detections from the true centres, {score}.",
        ),
        (
            plots.property_distributions(evaluation, **at),
            f"Properties of all true objects and of those recovered, {score}.",
        ),
    ]
    if np.isfinite(truth["field_x"].value).any():
        drawn.append(
            (
                plots.field_positions(evaluation, **at),
                f"Where the true objects lie in their images, {score}.",
            )
        )
    if report.selection is not None:
        drawn.append(
            (
                plots.selection_map(report.selection),
                f"Completeness as fitted, with recovered / all objects in each bin, {score}.",
            )
        )
    for figure, caption in drawn:
        encoded = base64.b64encode(svg_text(figure).encode()).decode()
        yield caption, f"data:image/svg+xml;base64,{encoded}"
