"""Selection functions: how complete a sample is, as a function of redshift and richness.

Counts in bins with Wilson intervals stand beside a smooth fit to the single objects, a
logistic regression on polynomials. The objects are those of a catalogue that a detector
did or did not recover, or sources injected into images: paper II measures its
completeness with these, as a function of the flux ratio of clump and galaxy.
"""

import dataclasses
import itertools
import math
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy import units as u
from astropy.table import QTable
from scipy.special import ndtri

from astro_objdet.catalogs.arguments import check_threshold, property_names
from astro_objdet.catalogs.fitting.arrays import float_array
from astro_objdet.catalogs.fitting.binning import bin_edges, binned, goodness_of_fit
from astro_objdet.catalogs.fitting.inputs import (
    check_enough,
    logarithms,
    property_columns,
    usable_rows,
)
from astro_objdet.catalogs.fitting.logistic import fit_logistic, predict_logistic
from astro_objdet.catalogs.metrics import check_probability
from astro_objdet.catalogs.tables.files import read_table, write_table
from astro_objdet.errors import InputError, check_choice

__all__ = ["Completeness", "SelectionFunction"]

_META = "selection_function"
#: Of an evaluation's meta, what a fit keeps.
_SETTINGS = ("radius", "cosmology", "find", "inclusive", "ranges")


class Completeness(NamedTuple):
    """Completeness and the ends of its interval, float64 arrays of one shape, 0 to 1."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class SelectionFunction:
    """Completeness as a function of one or two properties of objects.

    Made by `fit` or `from_evaluation`, or read from a file.

    Attributes
    ----------
    table : `~astropy.table.QTable`
        One row per bin: ``<property>_low``, ``<property>_high``, ``n``, ``recovered``,
        ``completeness`` (NaN in an empty bin), and ``low``, ``high`` of its Wilson
        interval, 0 to 1 in an empty bin.
    properties : tuple of str
    log : tuple of str
        Those that are fitted in their decimal logarithm.
    units : dict of str to `~astropy.units.Unit`
        Of properties that have one.
    ranges : dict of str to (float, float)
        Lowest and highest value of each property that was fitted.
    degree : int
        Of the polynomial; 0 where all or none of the objects were recovered.
    coefficients, covariance : `~numpy.ndarray` of float64, shapes (P,) and (P, P)
        Of the log odds in the monomials of the properties, each shifted and scaled
        from its range (of logarithms, for those in ``log``) to -1 to 1.
    confidence : float
        Of all intervals.
    goodness : dict
        ``deviance`` of the counts in the bins from the fit, ``bins``, ``dof`` and
        ``p_value``; the same of the statistic of Hosmer & Lemeshow, in tenths by the
        fitted completeness, with ``hosmer_lemeshow_`` in front. A low p-value says that
        the polynomial does not follow the counts. Empty where nothing is left to test.
    counts : dict of str to int
        ``n`` and ``recovered`` of the fit, ``outside`` the bins, and those set aside
        by reason.
    provenance : dict
    """

    table: QTable
    properties: tuple
    log: tuple
    units: dict
    ranges: dict
    degree: int
    coefficients: np.ndarray
    covariance: np.ndarray
    confidence: float
    goodness: dict
    counts: dict
    provenance: dict

    def __repr__(self):
        return (
            f"<SelectionFunction of {', '.join(self.properties)}: {self.counts['recovered']} of "
            f"{self.counts['n']} recovered, degree {self.degree}, {len(self.table)} bins>"
        )

    @classmethod
    def fit(
        cls,
        values,
        recovered,
        *,
        log=None,
        bins=None,
        confidence=0.95,
        degree=2,
        provenance=None,
    ):
        """Fit the completeness of objects that were recovered or not.

        Parameters
        ----------
        values : dict of str to array_like, shape (N,)
            One or two properties, such as ``redshift`` and ``richness``; quantities
            keep their unit. Rows with a masked, NaN or infinite value are set aside,
            and for logarithms those at 0 or below.
        recovered : array_like of bool, shape (N,)
            Rows where it is masked are set aside.
        log : sequence of str, optional
            Properties to take the decimal logarithm of; ``richness`` and ``flux_ratio``
            where not given.
        bins : int or dict of str to int or array_like, optional
            Number of bins of each property, of equal width in what is fitted, or their
            edges; bins of about equal numbers of objects where not given.
            Objects outside of the edges are fitted and not in the table.
        confidence : float
            Of the intervals, between 0 and 1.
        degree : {1, 2, 3}
            Of the polynomial, products of the two properties included.
        provenance : dict, optional
            Numbers and strings to keep with the fit.

        Returns
        -------
        `SelectionFunction`

        Raises
        ------
        InputError
            For fewer than 10 usable objects, a property of one value only, and
            parameters that cannot be used.

        Warns
        -----
        UserWarning
            Where all or none were recovered, which fixes no shape: the fit is a
            constant then. And for fewer than 5 objects to a coefficient.

        Notes
        -----
        The fit is `~astro_objdet.catalogs.fitting.logistic.fit_logistic`; the intervals are
        those of Wald in the log odds, at each point by itself. Where very few objects
        were missed, the upper end is somewhat low (and where few were found, the lower
        one high): of 100 objects at a completeness of 0.99, intervals of 95 per cent hold
        the truth in 86 per cent of trials, of 1000 in 95.
        """
        check_choice("degree", degree, (1, 2, 3))
        check_probability("confidence", confidence)
        columns, units, recovered = property_columns(values, recovered)
        log = logarithms(log, columns)
        usable, counts = usable_rows(columns, recovered, log)
        columns = {name: column[usable] for name, column in columns.items()}
        recovered = recovered[usable] == 1
        check_enough(columns, counts)
        ranges = {n: (float(c.min()), float(c.max())) for n, c in columns.items()}
        degree = _possible_degree(recovered, degree, len(columns))
        design = _design(columns, log, ranges, degree)
        coefficients, covariance = fit_logistic(design, recovered)
        fitted = predict_logistic(design, coefficients, covariance, 0.0)[0]
        edges = bin_edges(bins, columns, log)
        table, cell = binned(columns, recovered, edges, units, confidence)
        counts |= {
            "n": len(recovered),
            "recovered": int(recovered.sum()),
            "outside": int((cell < 0).sum()),
        }
        return cls(
            table=table,
            properties=tuple(columns),
            log=log,
            units=units,
            ranges=ranges,
            degree=degree,
            coefficients=coefficients,
            covariance=covariance,
            confidence=float(confidence),
            goodness=goodness_of_fit(cell, recovered, fitted, len(coefficients)),
            counts=counts,
            provenance=dict(provenance or {}),
        )

    @classmethod
    def from_evaluation(cls, evaluation, *, threshold=None, properties=None, **options):
        """Fit the completeness that an evaluation found.

        Parameters
        ----------
        evaluation : `~astro_objdet.catalogs.evaluation.Evaluation`
            Its counted truth is fitted; what was matched by a detection of a
            score above the threshold (or at it, where the evaluation is inclusive)
            is recovered.
        threshold : float, optional
            The evaluation's best one where not given; one of its thresholds where it
            matched anew at each.
        properties : sequence of str, optional
            Columns of its truth; ``redshift`` and ``richness``, those that are known,
            where not given.
        **options
            As for `fit`.

        Raises
        ------
        InputError
            For a property that the truth does not have, and as `fit` does.
        """
        counted = np.asarray(evaluation.truth["status"]) == "counted"
        truth = evaluation.truth[counted]
        known = [
            name
            for name in truth.colnames
            if truth[name].dtype.kind in "fiu" and np.isfinite(float_array(name, truth[name])).any()
        ]
        if properties is None:
            properties = [name for name in ("redshift", "richness") if name in known]
        properties = property_names("properties", properties)
        missing = [name for name in properties if name not in known]
        if missing or not properties:
            what = ", ".join(missing) or "redshift or richness"
            raise InputError(f"truth has no values of {what}; it has those of {', '.join(known)}")
        settings = evaluation.meta
        if threshold is None or settings["find"] != "score":
            recovered = evaluation.recovered(threshold)[counted]
            threshold = evaluation.at(threshold)["threshold"]
        else:
            threshold = check_threshold(threshold)
            # NaN, for what was not matched at all, is neither
            score = float_array("score", truth["score"])
            recovered = score >= threshold if settings["inclusive"] else score > threshold
        provenance = {name: settings[name] for name in _SETTINGS} | {"threshold": float(threshold)}
        provenance |= options.pop("provenance", None) or {}
        values = {name: truth[name] for name in properties}
        return cls.fit(values, recovered, provenance=provenance, **options)

    def completeness(self, *, extrapolate=False, **values):
        """The fitted completeness of objects with these properties.

        Parameters
        ----------
        extrapolate : bool
            Whether to follow the polynomial outside the range that was fitted, where
            nothing supports it. Otherwise these are NaN.
        **values : array_like
            Each of the properties, by name; they broadcast.

        Returns
        -------
        `Completeness`
            ``value, low, high``; NaN where a property is NaN or masked too.

        Raises
        ------
        InputError
            When a property is missing, or is not one of the fit's.
        """
        if set(values) != set(self.properties):
            raise InputError(
                f"completeness is a function of {', '.join(self.properties)}; "
                f"got {', '.join(values) or 'nothing'}"
            )
        columns = {n: float_array(n, values[n], self.units.get(n)) for n in self.properties}
        arrays = np.broadcast_arrays(*columns.values())
        columns = dict(zip(self.properties, arrays, strict=True))
        good = np.all([np.isfinite(c) for c in arrays], axis=0)
        for name, column in columns.items():
            low, high = self.ranges[name]
            if not extrapolate:
                good &= (low <= column) & (column <= high)
            if name in self.log:
                good &= column > 0
        inside = {name: np.where(good, c, self.ranges[name][0]) for name, c in columns.items()}
        design = _design(inside, self.log, self.ranges, self.degree)
        z = ndtri((1 + self.confidence) / 2)
        found = predict_logistic(design, self.coefficients, self.covariance, z)
        return Completeness(*(np.where(good, part, np.nan) for part in found))

    def write(self, path, *, overwrite=False):
        """Write bins and fit to one ECSV file, whole or not at all.

        Raises
        ------
        InputError
            For another suffix than .ecsv.
        OutputExistsError
            When the file exists and ``overwrite`` is false.
        """
        if Path(path).suffix.lower() != ".ecsv":
            raise InputError("a selection function is written as .ecsv", path)
        fit = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "table"
        }
        fit["properties"], fit["log"] = list(self.properties), list(self.log)
        fit["units"] = {name: str(unit) for name, unit in self.units.items()}
        fit["ranges"] = {name: list(ends) for name, ends in self.ranges.items()}
        fit["coefficients"] = self.coefficients.tolist()
        fit["covariance"] = self.covariance.tolist()
        table = self.table.copy()
        table.meta[_META] = fit
        write_table(table, path, overwrite=overwrite)

    @classmethod
    def read(cls, path):
        """Read what `write` wrote.

        Raises
        ------
        InputError
            When the file holds no selection function.
        """
        table = QTable(read_table(path))
        fit = table.meta.pop(_META, None)
        if not isinstance(fit, dict):
            raise InputError("holds no selection function", path)
        try:
            fit = {field.name: fit[field.name] for field in dataclasses.fields(cls)[1:]}
        except KeyError as error:
            raise InputError(f"its selection function lacks {error}", path) from None
        fit["properties"], fit["log"] = tuple(fit["properties"]), tuple(fit["log"])
        fit["units"] = {name: u.Unit(unit) for name, unit in fit["units"].items()}
        fit["ranges"] = {name: tuple(ends) for name, ends in fit["ranges"].items()}
        fit["coefficients"] = np.array(fit["coefficients"], dtype=float)
        fit["covariance"] = np.array(fit["covariance"], dtype=float)
        return cls(table=table, **fit)


def _possible_degree(recovered, degree, properties):
    """The degree asked for, or 0 where the outcomes fix no shape."""
    hits, n = int(recovered.sum()), len(recovered)
    if hits in (0, n):
        which = "all" if hits else "none"
        text = f"{which} of the {n} objects were recovered: the fit is a constant"
        warnings.warn(text, UserWarning, stacklevel=3)
        return 0
    terms = math.comb(degree + properties, properties)
    if n < 5 * terms:
        text = f"{n} objects are few for the {terms} coefficients of degree {degree}"
        warnings.warn(text, UserWarning, stacklevel=3)
    return degree


def _design(columns, log, ranges, degree):
    """Monomials up to the degree, shape (..., P), of properties scaled to -1 to 1."""
    scaled = []
    for name, column in columns.items():
        ends = np.array(ranges[name])
        if name in log:
            column, ends = np.log10(column), np.log10(ends)
        scaled.append((column - ends.mean()) / (np.ptp(ends) / 2))
    powers = itertools.product(range(degree + 1), repeat=len(scaled))
    return np.stack(
        [
            math.prod((x**k for x, k in zip(scaled, power, strict=True)), start=np.ones(()))
            for power in powers
            if sum(power) <= degree
        ],
        axis=-1,
    )
