"""What is fitted to an evaluation: the selection function, and calibrated scores."""

import numpy as np
from matplotlib.patheffects import withStroke

from astro_objdet.errors import InputError
from astro_objdet.plots.canvas import (
    COLOURS,
    MUTED,
    column,
    drawing,
    legend,
    log_ticks,
    note,
    whiskers,
)

__all__ = ["reliability_diagram", "selection_map"]

_STEPS = 200
# Below this chance of counts as far from the fit, it is said to be poor.
_POOR = 0.01
_ASIDE = {"color": MUTED, "fontsize": 9}
# Completeness that is outlined on the map, and marked at its bar alike.
_LEVELS = {0.5: "solid", 0.8: "dashed", 0.9: "dotted"}


def selection_map(selection, path=None, *, ax=None, title=None, overwrite=False):
    """Completeness as fitted: a map over two properties, or a line with its band over one.

    The counts of each bin (recovered / all) are written over the map, where there is room, and
    bins without objects are grey;
    over one property they are points with their intervals. Lines follow a completeness of
    0.5, 0.8 and 0.9.

    Parameters
    ----------
    selection : `~astro_objdet.catalogs.selection.SelectionFunction`
    path : path-like, optional
        Where to save the figure; the suffix chooses the format. Written whole or not at
        all.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw into. By default a new figure is made.
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
        If ``path`` has a suffix of no picture format.
    """
    with drawing(path, ax, overwrite) as ax:
        ax.set_title(title or "")
        draw = _draw_map if len(selection.properties) == 2 else _draw_line
        draw(ax, selection)
        p_value = selection.goodness.get("p_value")
        if p_value is not None and p_value < _POOR:
            ax.set_title(f"the fit misses the counts (p = {p_value:.2g})", loc="right", **_ASIDE)
    return ax.figure


def _name(selection, name):
    unit = selection.units.get(name)
    label = name.replace("_", " ").capitalize()
    return f"{label} ({unit})" if unit is not None and str(unit) else label


def _grid(selection, name):
    low, high = selection.ranges[name]
    values = (np.geomspace if name in selection.log else np.linspace)(low, high, _STEPS)
    # rounding may leave the range, outside of which nothing is known
    return np.clip(values, low, high)


def _draw_line(ax, selection):
    (name,) = selection.properties
    x = _grid(selection, name)
    value, low, high = selection.completeness(**{name: x})
    ax.fill_between(x, low, high, color=COLOURS[0], alpha=0.18, linewidth=0)
    ax.plot(x, value, color=COLOURS[0], label="fit")
    table = selection.table[np.asarray(selection.table["n"]) > 0]
    start, end = column(table, f"{name}_low"), column(table, f"{name}_high")
    logarithmic = name in selection.log
    middle = np.sqrt(start * end) if logarithmic else (start + end) / 2
    y = column(table, "completeness")
    ax.errorbar(
        middle,
        y,
        xerr=whiskers(middle, start, end),
        yerr=whiskers(y, column(table, "low"), column(table, "high")),
        color=COLOURS[1],
        marker="s",
        linestyle="none",
        elinewidth=1,
        label="counts in bins",
    )
    ax.set(xlabel=_name(selection, name), ylabel="Completeness", ylim=(0, 1.02))
    if logarithmic:
        log_ticks(ax.xaxis)
    legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)


def _draw_map(ax, selection):
    first, second = selection.properties
    x, y = _grid(selection, first), _grid(selection, second)
    value = selection.completeness(**{first: x[None, :], second: y[:, None]}).value
    value = np.where(_with_objects(selection, x, y), value, np.nan)
    ax.set_facecolor("0.85")
    shown = ax.pcolormesh(x, y, value, vmin=0, vmax=1, cmap="cividis", rasterized=True)
    bar = ax.figure.colorbar(shown, ax=ax, label="Completeness")
    bar.set_ticks([0, 0.2, 0.4, *_LEVELS, 1])
    for level, style in _LEVELS.items():
        bar.ax.axhline(level, color="white", linestyle=style, linewidth=1.5)
        if np.nanmin(value) < level < np.nanmax(value):
            ax.contour(x, y, value, [level], colors="white", linestyles=style, linewidths=1.5)
    ax.set(xlabel=_name(selection, first), ylabel=_name(selection, second))
    for name, axis in ((first, ax.xaxis), (second, ax.yaxis)):
        if name in selection.log:
            log_ticks(axis)
    ax.set(xlim=selection.ranges[first], ylim=selection.ranges[second])
    _write_counts(ax, selection)


def _with_objects(selection, x, y):
    """Where on the grid of two properties there are bins with objects, shape (y, x)."""
    first, second = selection.properties
    there = np.zeros((len(y), len(x)), bool)
    table = selection.table[np.asarray(selection.table["n"]) > 0]
    edges = [column(table, f"{name}_{end}") for name in (first, second) for end in ("low", "high")]
    for left, right, low, high in zip(*edges, strict=True):
        columns, rows = (x >= left) & (x <= right), (y >= low) & (y <= high)
        there |= rows[:, None] & columns[None, :]
    return there


def _write_counts(ax, selection):
    """Recovered / all in the middle of each bin that has room for it."""
    table = selection.table[np.asarray(selection.table["n"]) > 0]
    ax.figure.draw_without_rendering()
    corners = [
        np.clip(
            [column(table, f"{name}_low"), column(table, f"{name}_high")], *selection.ranges[name]
        )
        for name in selection.properties
    ]
    # shape (bins, low and high, x and y), pixels
    boxes = ax.transData.transform(np.reshape(np.stack(corners, axis=-1), (-1, 2)))
    boxes = boxes.reshape(2, -1, 2).swapaxes(0, 1)
    halo = [withStroke(linewidth=2.5, foreground="black", alpha=0.7)]
    style = {"ha": "center", "va": "center", "color": "white", "fontsize": 9}
    for (low, high), k, n in zip(boxes, table["recovered"], table["n"], strict=True):
        middle = ax.transData.inverted().transform((low + high) / 2)
        text = ax.text(*middle, f"{k}/{n}", path_effects=halo, clip_on=True, **style)
        extent = text.get_window_extent()
        if extent.width > high[0] - low[0] or extent.height > high[1] - low[1]:
            text.remove()


def reliability_diagram(
    table, path=None, *, calibration=None, ax=None, title=None, overwrite=False
):
    """How often detections are true, against the score and the probability they were given.

    On the diagonal a number means what it says. Bars are the intervals of the table.

    Parameters
    ----------
    table : `~astropy.table.Table`
        What `~astro_objdet.catalogs.calibration.Calibration.reliability` gives.
    calibration : `~astro_objdet.catalogs.calibration.Calibration`, optional
        Its probability is drawn as a line over the score.
    path, ax, title, overwrite
        As for `selection_map`.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``overwrite`` is false.
    InputError
        If ``path`` has a suffix of no picture format, or the table is another one.
    """
    missing = {"n", "mean_score", "mean_probability", "fraction"} - set(table.colnames)
    if missing:
        raise InputError(
            f"table must be that of Calibration.reliability; it lacks {', '.join(sorted(missing))}"
        )
    with drawing(path, ax, overwrite, size=(6.4, 6.4)) as ax:
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=title or "")
        ax.set(xlabel="Score or probability", ylabel="Share that is true")
        table = table[np.asarray(table["n"]) > 0]
        if not len(table):
            note(ax, "No detections")
            return ax.figure
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, label="as it says")
        if calibration is not None:
            x = np.linspace(0, 1, _STEPS)
            y = calibration.probability(x)
            ax.plot(x, y, color=COLOURS[0], linewidth=1.2, label="probability of a score")
        fraction = column(table, "fraction")
        bars = whiskers(fraction, column(table, "low"), column(table, "high"))
        kinds = (("score", "o", "none"), ("probability", "s", "full"))
        for (name, marker, fill), colour in zip(kinds, COLOURS, strict=False):
            style = {"color": colour, "marker": marker, "fillstyle": fill, "linestyle": "none"}
            x = column(table, f"mean_{name}")
            ax.errorbar(x, fraction, yerr=bars, elinewidth=1, label=name, clip_on=False, **style)
        ax.text(
            1,
            1.02,
            f"{table['n'].sum()} detections",
            transform=ax.transAxes,
            ha="right",
            color=MUTED,
        )
        legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=2)
    return ax.figure
