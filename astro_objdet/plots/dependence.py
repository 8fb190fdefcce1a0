"""Completeness and purity against a property of the objects, such as a flux ratio."""

from collections.abc import Mapping
from functools import partial
from itertools import cycle

import numpy as np

from astro_objdet.catalogs.fitting.arrays import edge_array, float_array
from astro_objdet.catalogs.metrics import wilson
from astro_objdet.errors import InputError
from astro_objdet.plots.canvas import (
    COLOURS,
    LINES,
    MARKERS,
    MUTED,
    column,
    counted,
    drawing,
    legend,
    log_ticks,
    named,
    note,
    true_and_false,
)

__all__ = ["completeness_against", "purity_against"]


def completeness_against(
    evaluations,
    by="redshift",
    path=None,
    *,
    ax=None,
    threshold=None,
    bins=10,
    log=False,
    marks=(),
    confidence=0.95,
    label=None,
    title=None,
    overwrite=False,
):
    """Completeness of each bin of a property of the true objects, its interval shaded.

    Paper II (Popp et al. 2024), Fig. 10: against the logarithm of the flux ratio of clump
    and galaxy, with marks at 3 and 8 per cent and intervals of 95 per cent.

    Parameters
    ----------
    evaluations : Evaluation, or mapping of str to these
        What `~astro_objdet.catalogs.evaluation.evaluate` gives; several by the names to
        show.
    by : str or array_like of float, shape (N,)
        Column of the evaluation's truth, or a value for each of its rows: of all rows, in
        the order of the table that was evaluated. Of several evaluations that differ in
        their truth, a mapping of name to values.
    path : path-like, optional
        Where to save the figure; the suffix chooses the format. Written whole or not at
        all.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw into. By default a new figure is made.
    threshold : float, optional
        One of those evaluated; each one's best where not given.
    bins : int or array_like of float, optional
        Number of bins of equal width (in the logarithm with ``log``), or their edges.
    log : bool, optional
        Whether the axis is logarithmic; values of 0 and below are left out.
    marks : sequence of float or mapping of str to float, optional
        Where to draw vertical lines, with names if there are any.
    confidence : float, optional
        Of the Wilson intervals.
    label : str, optional
        Of the axis of the property; its name where not given.
    title : str, optional
    overwrite : bool, optional
        Whether ``path`` may exist.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``overwrite`` is false.
    InputError
        If a column is missing, values are of another number than rows, bins are no bins,
        the threshold was not evaluated, or ``path`` has a suffix of no picture format.
    """
    samples = []
    for name, one in named(evaluations):
        values = _values(one.truth, by, name)
        rows = counted(one)
        samples.append((name, values[rows], one.recovered(threshold)[rows]))
    with drawing(path, ax, overwrite) as ax:
        _draw(ax, samples, bins, log, confidence)
        _finish(ax, by, "Completeness", marks, label, title)
    return ax.figure


def purity_against(
    evaluations,
    by="score",
    path=None,
    *,
    ax=None,
    threshold=None,
    bins=10,
    log=False,
    marks=(),
    confidence=0.95,
    label=None,
    title=None,
    overwrite=False,
):
    """Purity of each bin of a property of the detections, its interval shaded.

    Paper II, Fig. 11: against the logarithm of the flux ratio.

    Parameters
    ----------
    evaluations, path, ax, threshold, bins, log, marks, confidence, label, title, overwrite
        As for `completeness_against`.
    by : str or array_like of float, shape (N,)
        Column of the evaluation's detections, or a value for each of its rows.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    OutputExistsError, InputError
        As `completeness_against` does.
    """
    samples = []
    for name, one in named(evaluations):
        values = _values(one.detections, by, name)
        rows, true = true_and_false(one, threshold)
        samples.append((name, values[rows], true[rows]))
    with drawing(path, ax, overwrite) as ax:
        _draw(ax, samples, bins, log, confidence)
        _finish(ax, by, "Purity", marks, label, title)
    return ax.figure


def _values(table, by, name):
    if isinstance(by, Mapping):
        if name not in by:
            raise InputError(f"by must have values for {name!r}; it has {', '.join(by)}")
        by = by[name]
    if isinstance(by, str):
        if by not in table.colnames:
            raise InputError(f"by must be a column, of {', '.join(table.colnames)}; got {by!r}")
        return column(table, by)
    values = float_array("by", by)
    if values.shape != (len(table),):
        raise InputError(f"by must be {len(table)} values, one a row, got shape {values.shape}")
    return values


def _draw(ax, samples, bins, log, confidence):
    """A line with its band for each sample, over bins that they share."""
    samples = [
        (name, values[keep], hit[keep])
        for name, values, hit in samples
        for keep in [np.isfinite(values) & (values > 0 if log else True)]
    ]
    everything = np.concatenate([values for _, values, _ in samples])
    if log:
        log_ticks(ax.xaxis)
    if not len(everything):
        note(ax, "No values are known")
        return
    edges = _edges(bins, everything, log)
    middle = np.sqrt(edges[:-1] * edges[1:]) if log else (edges[:-1] + edges[1:]) / 2
    ax.set_xlim(edges[0], edges[-1])
    styles = zip(COLOURS, MARKERS, LINES, strict=True)
    for (name, values, hit), (colour, marker, line) in zip(samples, cycle(styles), strict=False):
        n, k = np.histogram(values, edges)[0], np.histogram(values[hit], edges)[0]
        some = n > 0
        low, high = wilson(k[some], n[some], confidence)
        label = f"{name} ({n.sum()})" if name else f"{n.sum()} objects"
        ax.fill_between(middle[some], low, high, color=colour, alpha=0.18, linewidth=0)
        style = {"color": colour, "marker": marker, "linestyle": line}
        ax.plot(middle[some], k[some] / n[some], label=label, **style)


def _edges(bins, values, log):
    low, high = values.min(), values.max()
    if low == high:
        low, high = (low / 2, low * 2) if log else (low - 0.5, high + 0.5)
    edges = edge_array("bins", bins, partial(np.geomspace if log else np.linspace, low, high))
    if log and edges[0] <= 0:
        raise InputError(f"bins must start above 0 on a logarithmic axis, got {edges.tolist()}")
    return edges


def _finish(ax, by, share, marks, label, title):
    if label is None and isinstance(by, str):
        label = by.replace("_", " ").capitalize()
    ax.set(xlabel=label or "", ylabel=share, title=title or "")
    if not len(ax.lines):
        return
    ax.set_ylim(0, 1.02)
    ax.grid(axis="y", color=MUTED, alpha=0.25, linewidth=0.6)
    marks = marks if isinstance(marks, Mapping) else {f"{x:g}": x for x in marks}
    for name, x in marks.items():
        ax.axvline(x, color=MUTED, linestyle="--", linewidth=1)
        ax.annotate(
            name,
            (x, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            color=MUTED,
            fontsize=11,
        )
    legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
