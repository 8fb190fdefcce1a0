"""Purity and completeness: against each other, against the threshold, of many models."""

from itertools import cycle

import numpy as np

from astro_objdet.errors import InputError
from astro_objdet.plots.canvas import (
    COLOURS,
    LINES,
    MARKERS,
    MUTED,
    column,
    drawing,
    legend,
    named,
    note,
    whiskers,
)
from astro_objdet.plots.labels import label_points

__all__ = ["model_comparison", "purity_completeness", "threshold_curves"]


def _why_empty(evaluations):
    """What to say instead of points."""
    tables = [getattr(one, "thresholds", one) for one in evaluations]
    known = any((column(table, "tp") + column(table, "fn") > 0).any() for table in tables)
    found = any((column(table, "tp") + column(table, "fp") > 0).any() for table in tables)
    if known:
        return "No detections above any threshold"
    return "No known objects to count" if found else "No detections and no known objects to count"


def purity_completeness(
    evaluations, path=None, *, ax=None, strict=False, title=None, overwrite=False
):
    """Purity against completeness, a point per score threshold.

    Paper I (Chan & Stott 2019), Figs 12 and 17; paper II (Popp et al. 2024), Fig. 8, and
    Fig. 12 for evaluations over a range of a property. Thresholds without detections are
    left out, as paper I does. Grey lines join what has the same F1-score.

    Parameters
    ----------
    evaluations : Evaluation, `~astropy.table.Table`, or mapping of str to these
        What `~astro_objdet.catalogs.evaluation.evaluate` gives, or its ``thresholds``;
        several by the names to show.
    path : path-like, optional
        Where to save the figure; the suffix chooses the format. Written whole or not at
        all.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw into. By default a new figure is made.
    strict : bool, optional
        Count detections on truth outside of the evaluated ranges as false.
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
        If ``path`` has a suffix of no picture format, or ``evaluations`` is empty.
    """
    with drawing(path, ax, overwrite) as ax:
        curves = [
            (name, _curve(one, strict), colour, marker, line)
            for (name, one), colour, marker, line in zip(
                named(evaluations), cycle(COLOURS), cycle(MARKERS), cycle(LINES), strict=False
            )
        ]
        for curve in curves:
            _draw_curve(ax, *curve)
        drawn = [curve for _, curve, *_ in curves if len(curve["x"])]
        _unit_axes(ax, drawn)
        ax.set(xlabel="Completeness", ylabel="Purity", title=title or "")
        if drawn:
            _draw_f1_lines(ax)
            legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.14))
            _label_thresholds(ax, curves)
        else:
            note(ax, _why_empty(one for _, one in named(evaluations)))
    return ax.figure


def _curve(evaluation, strict):
    """Points at the thresholds that have detections; the row of the best one."""
    table = getattr(evaluation, "thresholds", evaluation)
    suffix = "_strict" if strict else ""
    tp, fp = column(table, "tp"), column(table, f"fp{suffix}")
    some = (tp + fp > 0) & (tp + column(table, "fn") > 0)
    y, f1 = column(table, f"purity{suffix}"), column(table, f"f1{suffix}")
    low, high = column(table, "purity_low"), column(table, "purity_high")
    if strict:
        from astro_objdet.catalogs.metrics import wilson

        low, high = wilson(tp, tp + fp)
    x = column(table, "completeness")
    across = whiskers(x, column(table, "completeness_low"), column(table, "completeness_high"))
    curve = {"x": x, "y": y, "f1": f1, "threshold": column(table, "threshold")}
    curve = {key: values[some] for key, values in curve.items()}
    curve |= {"xerr": across[:, some], "yerr": whiskers(y, low, high)[:, some]}
    # Thresholds between which nothing changes are one point.
    same = (np.diff(curve["x"]) == 0) & (np.diff(curve["y"]) == 0)
    points = some.sum()
    first, last = np.append(True, ~same)[:points], np.append(~same, True)[:points]
    ends = zip(curve["threshold"][first], curve["threshold"][last], strict=True)
    texts = [f"{a:g}" if a == b else f"{a:g}–{b:g}" for a, b in ends]
    return {key: values[..., first] for key, values in curve.items()} | {"texts": texts}


def _draw_curve(ax, name, curve, colour, marker, line):
    if not len(curve["x"]):
        if name:
            style = {"marker": marker, "color": colour, "linestyle": "none"}
            ax.plot([], [], label=f"{name}: nothing to count", **style)
        return
    best = int(np.argmax(curve["f1"]))
    label = f"best F1 {curve['f1'][best]:.3f} at {curve['threshold'][best]:g}"
    style = {"color": colour, "marker": marker}
    container = ax.errorbar(
        curve["x"],
        curve["y"],
        xerr=curve["xerr"],
        yerr=curve["yerr"],
        linestyle=line,
        linewidth=1.3,
        markersize=6,
        elinewidth=1,
        zorder=3,
        **style,
    )
    for bars in container[2]:
        bars.set_alpha(0.5)
    ax.plot(
        curve["x"][best],
        curve["y"][best],
        linestyle="none",
        markersize=13,
        markeredgewidth=2,
        fillstyle="none",
        label=f"{name}: {label}" if name else label,
        zorder=4,
        **style,
    )


def _unit_axes(ax, curves):
    """From 0 to 1, or from the tenth below the lowest end of an error bar."""
    for side, error, setter in (("x", "xerr", ax.set_xlim), ("y", "yerr", ax.set_ylim)):
        ends = [(curve[side] - curve[error][0]).min() for curve in curves]
        low = min([*ends, 0.9]) if ends else 0
        setter(max(np.floor(low * 10 - 0.01) / 10, 0), 1.02)


def _draw_f1_lines(ax):
    """Where F1 is 0.1, 0.2, ...: y = f x / (2x − f), named at the right edge."""
    (x0, x1), (y0, _) = ax.get_xlim(), ax.get_ylim()
    for f1 in np.arange(1, 10) / 10:
        x = np.linspace(max(x0, f1 / 2 + 1e-3), 1, 200)
        y = f1 * x / (2 * x - f1)
        inside = (y >= y0) & (y <= 1)
        ax.plot(x[inside], y[inside], color=MUTED, linewidth=0.6, alpha=0.5, zorder=1)
        if y0 + 0.02 < y[-1] and np.isclose(x[-1], 1):
            ax.text(
                x1 + 0.01 * (x1 - x0),
                y[-1],
                f"F1 {f1:g}" if f1 in (0.1, 0.5, 0.9) else f"{f1:g}",
                fontsize=9,
                color=MUTED,
                va="center",
            )


def _label_thresholds(ax, curves):
    ax.figure.draw_without_rendering()
    size = 5 * ax.figure.dpi / 72
    taken = []
    for _, curve, *_ in curves:
        points = ax.transData.transform(np.c_[curve["x"], curve["y"]])
        taken += [(x - size, y - size, x + size, y + size) for x, y in points]
    for _, curve, colour, *_ in curves:
        order = np.argsort(-curve["f1"], kind="stable")
        texts = [curve["texts"][i] for i in order]
        label_points(ax, curve["x"][order], curve["y"][order], texts, colour, taken)


def threshold_curves(evaluation, path=None, *, ax=None, title=None, overwrite=False):
    """Purity, completeness and F1-score against the score threshold.

    The columns of paper I's Tables 2 and 3 as lines, with the intervals of the first two
    shaded and the best threshold marked.

    Parameters
    ----------
    evaluation : Evaluation or `~astropy.table.Table`
    path, ax, title, overwrite
        As for `purity_completeness`.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    OutputExistsError, InputError
        As `purity_completeness` does.
    """
    with drawing(path, ax, overwrite) as ax:
        table = getattr(evaluation, "thresholds", evaluation)
        x = column(table, "threshold")
        known = column(table, "tp") + column(table, "fn") > 0
        some = column(table, "tp") + column(table, "fp") > 0
        lines = (("Completeness", "completeness", known), ("Purity", "purity", some))
        for (label, name, where), colour, marker, line in zip(
            lines, COLOURS, MARKERS, LINES, strict=False
        ):
            y = column(table, name)
            low, high = column(table, f"{name}_low"), column(table, f"{name}_high")
            ax.fill_between(
                x[where], low[where], high[where], color=colour, alpha=0.18, linewidth=0
            )
            style = {"color": colour, "marker": marker, "linestyle": line}
            ax.plot(x[where], y[where], label=label, **style)
        both = known & some
        if both.any():
            f1 = column(table, "f1")
            ax.plot(x[both], f1[both], label="F1", color="black", marker="^", linestyle="-.")
            best = x[np.argmax(np.where(both, f1, -1))]
            ax.axvline(best, color=MUTED, linewidth=1, linestyle=":", label=f"best: {best:g}")
        ax.set(xlabel="Score threshold", ylabel="Share", title=title or "", ylim=(0, 1.02))
        if some.any() or known.any():
            ax.grid(axis="y", color=MUTED, alpha=0.25, linewidth=0.6)
            legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4)
        else:
            ax.set_xlim(0, 1.02)
            note(ax, _why_empty([evaluation]))
    return ax.figure


def model_comparison(models, threshold, path=None, *, ax=None, title=None, overwrite=False):
    """Purity and completeness of many models at one score threshold, with error bars.

    Paper II, Fig. 9 (at 0.3, with 95 per cent intervals).

    Parameters
    ----------
    models : mapping of str to Evaluation, or to a sequence of them
        Several of a model are its training runs, drawn alike.
    threshold : float
        Its nearest row of each evaluation is taken.
    path, ax, title, overwrite
        As for `purity_completeness`.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    OutputExistsError, InputError
        As `purity_completeness` does, and if an evaluation has no such threshold.
    """
    with drawing(path, ax, overwrite) as ax:
        bounds, everything = [], []
        styles = zip(cycle(COLOURS), cycle(MARKERS))
        for (name, runs), (colour, marker) in zip(named(models), styles, strict=False):
            runs = list(runs) if isinstance(runs, list | tuple) else [runs]
            everything += runs
            points = [_point(run, threshold) for run in runs]
            points = {
                key: np.hstack([p[key] for p in points]) for key in ("x", "y", "xerr", "yerr")
            }
            shown = len(points["x"])
            bounds += [points] if shown else []
            ax.errorbar(
                points["x"],
                points["y"],
                xerr=points["xerr"],
                yerr=points["yerr"],
                color=colour,
                marker=marker,
                markersize=7,
                elinewidth=1,
                capsize=2,
                linestyle="none",
                label=(name or None) if shown else f"{name}: nothing to count",
            )
        _unit_axes(ax, bounds)
        ax.set(xlabel="Completeness", ylabel="Purity", title=title or "")
        ax.text(
            1,
            1.01,
            f"score threshold {threshold:g}",
            transform=ax.transAxes,
            ha="right",
            color=MUTED,
        )
        if bounds:
            ax.grid(color=MUTED, alpha=0.25, linewidth=0.6)
        else:
            note(ax, _why_empty(everything))
        legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    return ax.figure


def _point(evaluation, threshold):
    table = getattr(evaluation, "thresholds", evaluation)
    there = column(table, "threshold")
    row = np.flatnonzero(np.isclose(there, threshold, rtol=0, atol=1e-6))
    if not len(row):
        listed = ", ".join(f"{value:g}" for value in there)
        raise InputError(f"threshold must be one of {listed}; got {threshold!r}")
    return _curve(table[row[:1]], strict=False)
