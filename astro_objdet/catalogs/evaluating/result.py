"""What an evaluation returns."""

import dataclasses
import numbers

import numpy as np
from astropy import units as u
from astropy.table import QTable

from astro_objdet.catalogs.evaluating.matches import Matches
from astro_objdet.catalogs.evaluating.summary import summary_lines
from astro_objdet.catalogs.evaluating.tables import ks_table
from astro_objdet.catalogs.plain import plain
from astro_objdet.errors import InputError

__all__ = ["Evaluation"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `~astro_objdet.catalogs.evaluation.evaluate` found. NaN stands for what is not known.

    Attributes
    ----------
    thresholds : `~astropy.table.QTable`
        A row per score threshold, rising: ``threshold``; ``tp``, ``fp``, ``fn`` (true and
        false detections, objects not found); ``purity``, ``completeness`` (each with ``_low``
        and ``_high``, the Wilson interval) and ``f1``, each with ``_jackknife`` (standard
        error from leaving out pieces of sky); ``ignored`` (detections on objects that are not
        counted) and with these as false ``fp_strict``, ``purity_strict``, ``f1_strict``;
        ``false_per_deg2`` with ``_low``, ``_high`` (Garwood's Poisson interval; 1 / deg²).
    best : int
        Row of ``thresholds`` with the highest F1, the lowest threshold of several.
    detections : `~astropy.table.QTable`
        A row per row of found: ``row``; ``ra``, ``dec`` (deg); ``score``; ``field`` where
        found has it; ``truth_row`` (−1 for none); ``nearest_row``, the object that
        ``separation`` (arcsec) and ``separation_kpc`` are to: its own, or else the nearest
        counted one at any distance; ``status`` ("true", "duplicate", "false", "ignored",
        "outside", "set aside") and ``reason``. Duplicates are false detections on an object
        that has another.
    truth : `~astropy.table.QTable`
        A row per row of truth: ``row``; ``ra``, ``dec`` (deg); ``redshift``, ``richness``,
        ``magnitude``; ``detection_row`` (−1 for none) and its ``score``; ``separation``
        (arcsec), ``separation_kpc``, ``offset_x``, ``offset_y`` (arcsec east and north,
        detection minus truth); ``field_x``, ``field_y`` (arcsec from the centre of the image
        along its axes); ``radius`` of the match (arcsec); ``status`` ("counted", "ignored",
        "outside", "set aside") and ``reason``.
    average_precision : float
        Paper II Eq. D3, over the thresholds.
    coco : dict of str to float, or None
        COCO metrics of the boxes; see `~astro_objdet.catalogs.evaluating.coco.coco_metrics`.
    average_recall, f1_coco : float
        Paper II Eqs D5 and D7; NaN without boxes.
    centres : list of dict
        Centre errors at each threshold, see `centre_at`.
    ks : `~astropy.table.QTable`
        Kolmogorov-Smirnov tests at the best threshold, see `ks_at`.
    area : `~astropy.units.Quantity` or None
        Sky that was searched, deg².
    meta : dict
        Radius, cosmology, conventions, columns that were taken, and how many rows were set
        aside and why.
    matches : `~astro_objdet.catalogs.evaluating.matches.Matches`
        Who is whose at each threshold.

    Notes
    -----
    Status and rows in ``detections`` and ``truth`` are those of all scores. With
    ``find="score"`` what holds above a threshold are the rows with such scores; with
    ``find="separation"`` ask `recovered`.
    """

    thresholds: QTable
    best: int
    detections: QTable
    truth: QTable
    average_precision: float
    coco: dict | None
    average_recall: float
    f1_coco: float
    centres: list = dataclasses.field(repr=False)
    ks: QTable
    area: u.Quantity | None
    meta: dict
    matches: Matches = dataclasses.field(repr=False)

    @property
    def best_threshold(self):
        """Score threshold with the highest F1."""
        return float(self.thresholds["threshold"][self.best])

    def at(self, threshold=None):
        """The row of ``thresholds`` at a threshold, by default the best.

        Raises
        ------
        InputError
            If that threshold was not evaluated.
        """
        return self.thresholds[self._number(threshold)]

    def recovered(self, threshold=None):
        """Which rows of ``truth`` are found above a threshold, by default the best.

        Returns
        -------
        `~numpy.ndarray` of bool, shape (n_truth,)
        """
        return self.matches.at(self._number(threshold)) >= 0

    @property
    def centre(self):
        """Centre error at the best threshold, see `centre_at`."""
        return self.centre_at()

    def centre_at(self, threshold=None):
        """How far the true detections above a threshold are from the centres of their objects.

        Returns
        -------
        dict
            ``n``, ``rms_arcsec``, ``median_arcsec``; of those with a redshift ``n_kpc``,
            ``rms_kpc`` (paper I, Eq. 8), ``median_kpc``; ``threshold``.
        """
        return self.centres[self._number(threshold)]

    def ks_at(self, threshold=None, alpha=0.05):
        """Compare the objects found above a threshold with all counted ones.

        Two-sample Kolmogorov-Smirnov tests of redshift, richness, magnitude and the position
        in the image: paper I, section 3.1 and Figs 14 and 15. The samples share objects, so
        that the test is milder than its level says.

        Returns
        -------
        `~astropy.table.QTable`
            ``property``, ``statistic``, ``critical`` (one-sided, as paper I has it),
            ``critical_two_sided``, ``p_value`` (two-sided), ``n_recovered``, ``n_truth``,
            ``differs`` (statistic above ``critical``).
        """
        return ks_table(self.truth, self.recovered(threshold), alpha)

    def summary(self, threshold=None):
        """What to tell at the terminal, as lines of text in one str.

        Centre errors and tests of distributions are those at a threshold, by default the best.
        """
        return "\n".join(summary_lines(self, threshold))

    def to_dict(self):
        """All but the tables of detections and truth, for JSON; None stands for NaN."""
        values = {
            "thresholds": self.thresholds,
            "best": self.best,
            "best_threshold": self.best_threshold,
            "average_precision": self.average_precision,
            "coco": self.coco,
            "average_recall": self.average_recall,
            "f1_coco": self.f1_coco,
            "centre": self.centre,
            "ks": self.ks,
            "area_deg2": None if self.area is None else self.area.to_value(u.deg**2),
            "meta": self.meta,
        }
        return plain(values)

    def _number(self, threshold):
        if threshold is None:
            return self.best
        values = self.thresholds["threshold"]
        number = isinstance(threshold, numbers.Real)
        near = np.flatnonzero(np.abs(values - threshold) <= 1e-9) if number else ()
        if not len(near):
            listed = ", ".join(f"{value:g}" for value in values)
            raise InputError(f"threshold must be one of {listed}; got {threshold!r}")
        return int(near[0])
