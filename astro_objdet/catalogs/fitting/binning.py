"""Counts of recovered objects in bins of one or two properties, and fits against them."""

import math
from functools import partial

import numpy as np
from astropy import units as u
from astropy.table import Column, QTable
from scipy.special import chdtrc

from astro_objdet.catalogs.fitting.arrays import edge_array
from astro_objdet.catalogs.metrics import wilson
from astro_objdet.errors import check_choice

__all__ = ["bin_edges", "binned", "goodness_of_fit"]

#: Bins of equal numbers hold about so many objects, and there are no more than these.
_PER_BIN = 30
_MOST_BINS = 10


def bin_edges(bins, columns, log):
    """Edges of the bins of each property.

    Parameters
    ----------
    bins : None, int or dict
        As for `astro_objdet.catalogs.selection.SelectionFunction.fit`.
    columns : dict of str to `~numpy.ndarray` of float64, shape (N,)
    log : tuple of str
        Properties that get equal widths in their logarithm.

    Returns
    -------
    dict of str to `~numpy.ndarray` of float64
    """
    if not isinstance(bins, dict):
        bins = dict.fromkeys(columns, bins)
    for name in bins:
        check_choice("bins", name, columns)
    return {
        name: _edges(name, bins.get(name), column, name in log, len(columns))
        for name, column in columns.items()
    }


def _edges(name, bins, column, log, properties):
    if bins is None:
        number = int((len(column) / _PER_BIN) ** (1 / properties))
        quantiles = np.linspace(0, 1, min(max(number, 1), _MOST_BINS) + 1)
        # values that many objects share would give bins without width
        return np.unique(np.quantile(column, quantiles))
    spaced = partial(np.geomspace if log else np.linspace, column.min(), column.max())
    return edge_array(f"bins of {name}", bins, spaced)


def binned(columns, recovered, edges, units, confidence):
    """Completeness and its Wilson interval in each bin.

    Parameters
    ----------
    columns : dict of str to `~numpy.ndarray` of float64, shape (N,)
    recovered : `~numpy.ndarray` of bool, shape (N,)
    edges : dict of str to `~numpy.ndarray`
        The last bin of each property includes its upper edge.
    units : dict of str to `~astropy.units.Unit`
    confidence : float

    Returns
    -------
    table : `~astropy.table.QTable`
        See `astro_objdet.catalogs.selection.SelectionFunction`; the last property
        runs fastest.
    cell : `~numpy.ndarray` of int64, shape (N,)
        Row of the table of each object, -1 outside.
    """
    shape = tuple(len(e) - 1 for e in edges.values())
    places = []
    for name, e in edges.items():
        column = columns[name]
        number = np.searchsorted(e, column, side="right") - 1
        number[column == e[-1]] = len(e) - 2
        places.append(np.where((number >= 0) & (number < len(e) - 1), number, -1))
    inside = np.all([place >= 0 for place in places], axis=0)
    cell = np.full(len(recovered), -1)
    cell[inside] = np.ravel_multi_index([place[inside] for place in places], shape)
    n = np.bincount(cell[inside], minlength=math.prod(shape))
    hits = np.bincount(cell[inside & recovered], minlength=math.prod(shape))
    low, high = wilson(hits, n, confidence)
    table = QTable()
    for (name, e), index in zip(edges.items(), np.indices(shape), strict=True):
        for end, part in (("low", e[:-1]), ("high", e[1:])):
            values = part[index.ravel()]
            unit = units.get(name)
            table[f"{name}_{end}"] = values if unit is None else u.Quantity(values, unit)
    share = np.divide(hits, n, out=np.full(len(n), np.nan), where=n > 0)
    table["n"] = Column(n, description="objects in the bin")
    table["recovered"] = Column(hits, description="of these, found")
    table["completeness"] = Column(share, description="recovered / n")
    interval = f"end of the Wilson interval of {confidence:g}"
    table["low"] = Column(low, description=f"lower {interval}")
    table["high"] = Column(high, description=f"upper {interval}")
    return table, cell


def goodness_of_fit(cell, recovered, fitted, coefficients):
    """How far the counts in bins are from a fit to the single objects.

    Parameters
    ----------
    cell : `~numpy.ndarray` of int64, shape (N,)
        Bin of each object; -1 is left out.
    recovered : `~numpy.ndarray` of bool, shape (N,)
    fitted : `~numpy.ndarray` of float64, shape (N,)
        Probability of each object to be recovered.
    coefficients : int
        Of the fit, to take off the degrees of freedom.

    Returns
    -------
    dict
        ``deviance``, ``bins``, ``dof``, ``p_value`` of the bins; and of tenths by
        the fitted probability, χ² with two degrees of freedom less than groups (Hosmer &
        Lemeshow 1980), the same names behind ``hosmer_lemeshow``. A test without
        degrees of freedom left is not in it.
    """
    result = {}
    # a fit that is certain, within rounding, would expect no error at all
    fitted = np.clip(fitted, 1e-12, 1 - 1e-12)
    n, hits, expected = _sums(cell[cell >= 0], recovered[cell >= 0], fitted[cell >= 0])
    if len(n) > coefficients:
        deviance = 2 * (_xlogy(hits, expected) + _xlogy(n - hits, n - expected))
        dof = len(n) - coefficients
        result |= {
            "deviance": float(deviance),
            "bins": len(n),
            "dof": dof,
            "p_value": float(chdtrc(dof, deviance)),
        }
    groups = min(10, len(fitted) // 10)
    if groups > 2 and np.ptp(fitted) > 0:
        rank = np.argsort(np.argsort(fitted, kind="stable"))
        n, hits, expected = _sums(rank * groups // len(rank), recovered, fitted)
        chi2 = np.sum((hits - expected) ** 2 / (expected * (1 - expected / n)))
        result |= {
            "hosmer_lemeshow": float(chi2),
            "hosmer_lemeshow_groups": groups,
            "hosmer_lemeshow_dof": groups - 2,
            "hosmer_lemeshow_p_value": float(chdtrc(groups - 2, chi2)),
        }
    return result


def _sums(cell, recovered, fitted):
    """Objects, recovered ones and expected ones in each cell that has any."""
    n = np.bincount(cell)
    some = n > 0
    hits, expected = np.bincount(cell, recovered), np.bincount(cell, fitted)
    return n[some], hits[some], expected[some]


def _xlogy(count, expected):
    """Σ count ln(count / expected), 0 where the count is."""
    some = count > 0
    return np.sum(count[some] * np.log(count[some] / expected[some]))
