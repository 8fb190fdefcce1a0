"""What an evaluation of files gave, looked at with one score threshold."""

import dataclasses
import warnings

import numpy as np
from astropy.table import QTable

from astro_objdet.catalogs.evaluation import Evaluation
from astro_objdet.catalogs.footprint import occupied
from astro_objdet.catalogs.plain import plain
from astro_objdet.catalogs.selection import SelectionFunction
from astro_objdet.errors import InputError
from astro_objdet.files import sha256_of

__all__ = ["EvaluationReport", "report_of"]

# Fewer objects than this of each outcome do not carry a selection function.
_FEWEST = 10
# From so many on each side the sky that was searched can be told, roughly; and which share of
# the truth may lie outside of it unsaid.
_MAPPED = 100
_FAR = 0.2


@dataclasses.dataclass(frozen=True)
class EvaluationReport:
    """What an evaluation of files gave.

    Attributes
    ----------
    evaluation : `~astro_objdet.catalogs.evaluation.Evaluation`
    threshold : float
        Where centres, distributions and selection function are looked at.
    centre : dict
        As ``evaluation.centre``, at ``threshold``.
    ks : `~astropy.table.QTable`
        As ``evaluation.ks``, at ``threshold``.
    selection : `~astro_objdet.catalogs.selection.SelectionFunction` or None
        None where there are too few objects with redshift or richness.
    notes : list of str
        What a reader should know of the above.
    inputs : dict of str
        Path and sha256 of ``found`` and ``truth``.
    written : list of `~pathlib.Path`
    """

    evaluation: Evaluation
    threshold: float
    centre: dict
    ks: QTable
    selection: SelectionFunction | None
    notes: list
    inputs: dict
    written: list = dataclasses.field(default_factory=list)

    def to_dict(self):
        """All but the tables of detections and truth, as JSON takes it (NaN is None)."""
        return {
            "inputs": self.inputs,
            **self.evaluation.to_dict(),
            "threshold": self.threshold,
            "centre": plain(self.centre),
            "ks": plain(self.ks),
            "selection": self._selection(),
            "notes": self.notes,
            "written": [str(path) for path in self.written],
        }

    def _selection(self):
        if self.selection is None:
            return None
        fit = self.selection
        return plain(
            {"properties": list(fit.properties), "degree": fit.degree, "counts": fit.counts}
            | {"goodness": fit.goodness}
        )


def report_of(evaluation, threshold=None, files=None):
    """Look at an evaluation with one of its thresholds.

    Parameters
    ----------
    evaluation : `~astro_objdet.catalogs.evaluation.Evaluation`
    threshold : float, optional
        The best one where not given.
    files : dict of str to path-like, optional
        The files it was made of, by ``found`` and ``truth``.

    Returns
    -------
    EvaluationReport

    Raises
    ------
    InputError
        If the threshold was not evaluated, or a file cannot be read.
    """
    row = evaluation.at(threshold)
    threshold = float(row["threshold"])
    selection, notes = _selection(evaluation, threshold)
    notes += _doubts(evaluation)
    if row["tp"] + row["fp"] == 0:
        notes.append(f"No detection counts at the threshold {threshold:g}.")
    return EvaluationReport(
        evaluation=evaluation,
        threshold=threshold,
        centre=evaluation.centre_at(threshold),
        ks=evaluation.ks_at(threshold),
        selection=selection,
        notes=notes,
        inputs={
            side: {"path": str(path), "sha256": sha256_of(path)}
            for side, path in (files or {}).items()
        },
    )


def _doubts(evaluation):
    """What may make the counts mean something else than they say."""
    found, truth = evaluation.detections, evaluation.truth
    lowest = evaluation.thresholds["threshold"][0]
    if not evaluation.meta["inclusive"]:
        equal = int(np.count_nonzero(np.asarray(found["score"]) == lowest))
        if equal:
            yield f"{equal} detections have a score of {lowest:g} and are not above that threshold."
    there = np.isfinite(np.asarray(found["ra"].value))
    counted = np.asarray(truth["status"]) == "counted"
    if evaluation.area is None and min(there.sum(), counted.sum()) >= _MAPPED:
        inside = occupied(found["ra"].value[there], found["dec"].value[there])
        away = ~inside(truth["ra"].value[counted], truth["dec"].value[counted])
        if away.mean() > _FAR:
            yield (
                f"No footprint is known, and {100 * away.mean():.0f} % of the counted truth lie "
                "where no detection is near: if that sky was not searched, give the footprint."
            )


def _selection(evaluation, threshold):
    """The selection function, or None, and what there is to say of it."""
    counted = np.asarray(evaluation.truth["status"]) == "counted"
    recovered = evaluation.recovered(threshold) & counted
    known = np.zeros(len(counted), bool)
    for name in ("redshift", "richness"):
        known |= np.isfinite(np.asarray(evaluation.truth[name]))
    hits, total = int((recovered & known).sum()), int((counted & known).sum())
    if min(hits, total - hits) < _FEWEST:
        text = (
            f"No selection function: it needs {_FEWEST} recovered and {_FEWEST} missed objects "
            f"with redshift or richness, and there are {hits} and {total - hits}."
        )
        return None, [text]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            fit = SelectionFunction.from_evaluation(evaluation, threshold=threshold)
        except InputError as error:
            return None, [f"No selection function: {error}."]
    return fit, [f"Selection function: {warning.message}." for warning in caught]
