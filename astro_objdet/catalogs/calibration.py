"""Scores turned into probabilities: isotonic calibration on held-out sky.

A detector's scores rank its detections; how often one of score 0.8 is true
depends on the sky and must be counted. The counts are made monotone by centred
isotonic regression (`astro_objdet.catalogs.fitting.isotonic`).
"""

import dataclasses
import math
import numbers

import numpy as np

from astro_objdet.catalogs.fitting.arrays import edge_array, float_array
from astro_objdet.catalogs.fitting.isotonic import isotonic_knots
from astro_objdet.catalogs.fitting.judged import (
    FALSE_STATUSES,
    TRUE_STATUSES,
    checked_detections,
    held_out_probabilities,
    judged_detections,
)
from astro_objdet.catalogs.fitting.reliability import calibration_error, reliability_table
from astro_objdet.catalogs.metrics import check_probability
from astro_objdet.catalogs.plain import plain
from astro_objdet.errors import InputError

__all__ = ["FALSE_STATUSES", "TRUE_STATUSES", "Calibration"]

#: A calibration needs this many true, and as many false, detections.
LEAST = 10
FOLDS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """The probability that a detection is true, as a function of its score.

    Made by `fit` or `from_table`; `from_dict` reads it from a model card.

    Attributes
    ----------
    scores : `~numpy.ndarray` of float64, shape (K,), K ≤ 64
        Knots, ascending.
    probabilities : `~numpy.ndarray` of float64, shape (K,)
        At the knots, ascending, above 0 and below 1.
    lowest_score : float
        Of the detections it was made with; lower scores take its probability.
    n, true : int
        Detections it was made with, and how many of them are true.
    quality : dict
        What `cross_validate` gave for the detections it was made with.
    provenance : dict
        Where these came from, as far as is known: ``recipe``, ``weights_sha256`` and
        ``threshold`` of the detections; ``sky``; ``radius``, ``cosmology`` and ``ranges``
        by which they were judged; ``left_out`` of them, and whether they are ``weighted``.
    """

    scores: np.ndarray
    probabilities: np.ndarray
    lowest_score: float
    n: int
    true: int
    quality: dict = dataclasses.field(default_factory=dict)
    provenance: dict = dataclasses.field(default_factory=dict)

    def __repr__(self):
        return (
            f"<Calibration of {self.n} detections, {self.true} true: {len(self.scores)} knots, "
            f"probability {self.probabilities[0]:.3g} to {self.probabilities[-1]:.3g}>"
        )

    @classmethod
    def fit(cls, score, true, *, weights=None, groups=None, provenance=None):
        """Calibrate scores by detections known to be true or false.

        Parameters
        ----------
        score : array_like of float, shape (N,)
        true : array_like of bool, shape (N,)
        weights : array_like of float, shape (N,), optional
            Above 0: of how many detections each stands, such as the density of
            clusters on the real sky over that of a simulation for the true ones.
        groups : array_like, shape (N,), optional
            Field or sky cell of each, for `cross_validate`; without them
            detections are held out one by one.
        provenance : dict, optional
            See `Calibration`.

        Raises
        ------
        InputError
            For scores that are not finite, truths that are masked, weights that are not
            above 0, and fewer than 10 true or 10 false detections.
        """
        score, true, weights = checked_detections(score, true, weights)
        hits = int(true.sum())
        if min(hits, len(true) - hits) < LEAST:
            raise InputError(
                f"a calibration needs at least {LEAST} true and {LEAST} false detections, "
                f"got {hits} and {len(true) - hits}"
            )
        scores, probabilities = isotonic_knots(score, true, weights)
        return cls(
            scores,
            probabilities,
            float(score.min()),
            len(score),
            hits,
            cls.cross_validate(score, true, weights=weights, groups=groups),
            dict(provenance or {}),
        )

    @classmethod
    def from_table(cls, table, *, provenance=None):
        """Calibrate by the detections of an evaluation.

        Parameters
        ----------
        table : `~astropy.table.Table`
            With the columns ``score`` and ``status``: "true" counts as true, "false"
            and "duplicate" as false; other rows, and those without a score, are left
            out. The columns ``weight`` (see `fit`) and ``field`` are used where they
            are; without fields, the groups are cells of the sky by ``ra`` and ``dec``.
        provenance : dict, optional
            Added to what ``table.meta`` says.

        Raises
        ------
        InputError
            For missing columns, naming those there are, and as `fit` does.
        """
        judged, left_out = judged_detections(table)
        known = _provenance_of(table.meta) | {"left_out": left_out}
        return cls.fit(
            **judged,
            provenance=known | (provenance or {}) | {"weighted": judged["weights"] is not None},
        )

    def probability(self, score):
        """The probability that detections of these scores are true.

        Parameters
        ----------
        score : array_like of float
            Of any shape. Below the lowest score and above the highest of the
            calibration, the probability is that at its end; NaN and masked give NaN.

        Returns
        -------
        `~numpy.ndarray` of float64
            Same shape; not falling with the score.
        """
        return np.interp(float_array("score", score), self.scores, self.probabilities)

    def reliability(self, score, true, *, bins=10, weights=None, confidence=0.95):
        """How often detections are true against the probability they were given.

        Parameters
        ----------
        score, true, weights : array_like, shape (N,)
            As for `fit`; best of other detections than it was made with.
        bins : int or array_like of float
            Number of bins of equal width in score from 0 to 1, or their edges.
        confidence : float
            Of the intervals.

        Returns
        -------
        `~astropy.table.QTable`
            One row per bin: ``score_low``, ``score_high``, ``n``, ``mean_score``,
            ``mean_probability``, ``fraction`` (of true ones), and ``low``, ``high`` of
            its Wilson interval, with weights for their effective number. Where a bin
            is empty the means are NaN, and the interval is 0 to 1.
        """
        check_probability("confidence", confidence)
        score, true, weights = checked_detections(score, true, weights)
        edges = edge_array("bins", bins, lambda number: np.linspace(0, 1, number))
        probability = self.probability(score)
        return reliability_table(score, probability, true, weights, edges, confidence)

    @staticmethod
    def cross_validate(score, true, *, weights=None, groups=None, folds=FOLDS):
        """How good scores and probabilities are, on sky the calibration has not seen.

        The groups are dealt out to the folds; the detections of a fold get their
        probability from the others.

        Parameters
        ----------
        score, true, weights, groups
            As for `fit`.
        folds : int
            From 2.

        Returns
        -------
        dict
            ``brier_score`` and ``brier_probability``: mean squared difference from the
            truth of the scores as they are and of the probabilities; ``ece_score`` and
            ``ece_probability``: expected calibration error in ten bins of equal width;
            ``folds`` and ``groups``: how many. Scores are compared where all are from 0 to 1.
        """
        score, true, weights = checked_detections(score, true, weights)
        groups = np.arange(len(score)) if groups is None else np.asarray(groups)
        probability, folds = held_out_probabilities(score, true, weights, groups, folds)
        if probability is None:
            return {}
        result = {"folds": folds, "groups": len(np.unique(groups))}
        for name, value in (("score", score), ("probability", probability)):
            if not ((value >= 0) & (value <= 1)).all():
                continue
            result[f"brier_{name}"] = float(np.average((value - true) ** 2, weights=weights))
            result[f"ece_{name}"] = calibration_error(value, true, weights)
        return result

    @staticmethod
    def held_out_reliability(table, *, bins=10, folds=FOLDS, confidence=0.95):
        """How often detections are true, each with a probability from the other fields.

        What `reliability` says of the detections that a calibration was made with is too
        good: their own chance is in it.

        Parameters
        ----------
        table : `~astropy.table.Table`
            As for `from_table`.
        bins, confidence
            As for `reliability`.
        folds : int
            As for `cross_validate`.

        Returns
        -------
        `~astropy.table.QTable`
            As of `reliability`.

        Raises
        ------
        InputError
            As `from_table` does, and where there is one field only.
        """
        check_probability("confidence", confidence)
        edges = edge_array("bins", bins, lambda number: np.linspace(0, 1, number))
        judged, _ = judged_detections(table)
        groups = judged.pop("groups")
        score, true, weights = checked_detections(**judged)
        groups = np.arange(len(score)) if groups is None else groups
        probability, _ = held_out_probabilities(score, true, weights, groups, folds)
        if probability is None:
            raise InputError("table must have detections of two fields and more")
        return reliability_table(score, probability, true, weights, edges, confidence)

    def to_dict(self):
        """As a model card holds it, under ``calibration``: numbers, lists and strings.

        Returns
        -------
        dict
        """
        return {
            "scores": self.scores.tolist(),
            "probabilities": self.probabilities.tolist(),
            **self.summary(),
        }

    def summary(self):
        """The same without the knots, as ``.meta`` of detections holds it.

        Returns
        -------
        dict
        """
        return {
            "lowest_score": self.lowest_score,
            "n": self.n,
            "true": self.true,
            "quality": dict(self.quality),
            **self.provenance,
        }

    @classmethod
    def from_dict(cls, values):
        """The calibration of a model card.

        Raises
        ------
        InputError
            When it is not what `to_dict` gives.
        """
        if not isinstance(values, dict):
            raise InputError(f"a calibration must be a dict, got {values!r}")
        rest = dict(values)
        quality = rest.pop("quality", None) or {}
        try:
            scores, probabilities = (
                np.asarray(rest.pop(name), dtype=float) for name in ("scores", "probabilities")
            )
            lowest, n, true = float(rest.pop("lowest_score")), rest.pop("n"), rest.pop("true")
        except KeyError as error:
            raise InputError(f"a calibration must have the entry {error}") from None
        except (TypeError, ValueError) as error:
            raise InputError(f"a calibration must hold numbers: {error}") from None
        good = scores.ndim == 1 and scores.size > 0 and scores.shape == probabilities.shape
        if not good or not (np.diff(scores) > 0).all() or not (np.diff(probabilities) >= 0).all():
            raise InputError("knots of a calibration must be as many of each, and ascending")
        if not (math.isfinite(lowest) and np.isfinite(scores).all()):
            raise InputError("scores of a calibration must be finite")
        if not ((probabilities >= 0) & (probabilities <= 1)).all():
            raise InputError("probabilities of a calibration must be from 0 to 1")
        whole = all(isinstance(count, numbers.Integral) for count in (n, true))
        if not whole or not 0 <= true <= n:
            raise InputError(
                f"n and true of a calibration must be whole numbers with true ≤ n, got {n!r} "
                f"and {true!r}"
            )
        if not isinstance(quality, dict):
            raise InputError(f"quality of a calibration must be a dict, got {quality!r}")
        return cls(scores, probabilities, lowest, int(n), int(true), quality, rest)


def _provenance_of(meta):
    """What the meta of a table of detections says of where its scores come from."""
    weights = meta.get("weights")
    if isinstance(weights, dict):
        meta = {**meta, "weights_sha256": weights.get("sha256")}
    names = ("recipe", "weights_sha256", "threshold", "sky", "radius", "cosmology", "ranges")
    return {name: plain(meta[name]) for name in names if meta.get(name) is not None}
