"""Which of the true objects are recovered: where in the image, and of what properties."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from astro_objdet.plots.canvas import (
    COLOURS,
    MUTED,
    column,
    counted,
    dots,
    drawing,
    legend,
    note,
)

__all__ = ["field_positions", "property_distributions"]

_RECOVERED = COLOURS[0]
_LABELS = {
    "redshift": "Redshift",
    "magnitude": "Magnitude",
    "richness": "Richness",
    "field_x": "x from the field's centre (arcmin)",
    "field_y": "y from the field's centre (arcmin)",
}


def field_positions(evaluation, path=None, *, ax=None, threshold=None, title=None, overwrite=False):
    """Where the true objects lie in their fields, and which of them were recovered.

    Paper I, Fig. 14: a detector without position bias recovers them alike everywhere.

    Parameters
    ----------
    evaluation : `~astro_objdet.catalogs.evaluation.Evaluation`
    path : path-like, optional
        Where to save the figure; the suffix chooses the format. Written whole or not at
        all.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw into. By default a new figure is made.
    threshold : float, optional
        One of those evaluated; the best one where not given.
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
        If ``path`` has a suffix of no picture format, or the threshold was not evaluated.
    """
    with drawing(path, ax, overwrite, size=(6.6, 6.8)) as ax:
        truth, rows = evaluation.truth, counted(evaluation)
        x, y = column(truth, "field_x") / 60, column(truth, "field_y") / 60
        known = rows & np.isfinite(x) & np.isfinite(y)
        found = known & evaluation.recovered(threshold)
        ax.set(xlabel=_LABELS["field_x"], ylabel=_LABELS["field_y"], title=title or "")
        ax.set_aspect("equal", adjustable="datalim")
        if known.any():
            labels = f"all ({known.sum()})", f"recovered ({found.sum()})"
            dots(ax, x[known], y[known], labels[0], color=MUTED, marker="o", fillstyle="none")
            dots(ax, x[found], y[found], labels[1], color=_RECOVERED, marker=".")
            ax.axhline(0, color=MUTED, linewidth=0.6, alpha=0.5, zorder=0)
            ax.axvline(0, color=MUTED, linewidth=0.6, alpha=0.5, zorder=0)
            legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
            _say_ks(ax, evaluation, ("field_x", "field_y"), threshold)
        elif rows.any():
            note(ax, "The outlines of the fields are not known")
        else:
            note(ax, "No known objects to count")
    return ax.figure


def property_distributions(
    evaluation,
    path=None,
    *,
    ax=None,
    properties=None,
    threshold=None,
    bins=20,
    title=None,
    overwrite=False,
):
    """Properties of the recovered and of all true objects, with what the KS test says.

    Paper I, Fig. 15: redshift, magnitude and richness.

    Parameters
    ----------
    evaluation, path, threshold, title, overwrite
        As for `field_positions`.
    ax : sequence of `~matplotlib.axes.Axes`, optional
        As many as there are properties.
    properties : sequence of str, optional
        Columns of the evaluation's truth; those of redshift, magnitude and richness that
        are known where not given.
    bins : int, optional

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    OutputExistsError, InputError
        As `field_positions` does.
    """
    rows = counted(evaluation)
    truth = evaluation.truth[rows]
    if properties is None:
        properties = [
            name
            for name in ("redshift", "magnitude", "richness")
            if np.isfinite(column(truth, name)).any()
        ]
    panels = max(len(properties), 1)
    with drawing(path, ax, overwrite, size=(7.5, 1 + 2.9 * panels), panels=panels) as axes:
        axes = axes if panels > 1 else [axes]
        found = evaluation.recovered(threshold)[rows]
        for place, name in zip(axes, properties, strict=False):
            _compare(place, column(truth, name), found, bins)
            unit = getattr(truth[name], "unit", None) if name in truth.colnames else None
            label = _LABELS.get(name, name)
            place.set_xlabel(f"{label} ({unit})" if unit and name not in _LABELS else label)
            _say_ks(place, evaluation, (name,), threshold)
        if not properties:
            why = "Redshift, magnitude and richness are not known"
            note(axes[0], why if len(truth) else "No known objects to count")
        axes[0].set_title(title or "")
        # Below the lowest panel, clear of the bars of any shape.
        legend(axes[-1], loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=2)
    return axes[0].figure


def _compare(ax, values, found, bins):
    known = np.isfinite(values)
    ax.set_ylabel("Objects")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    if not known.any():
        note(ax, "No values are known")
        return
    # A long tail would leave all bars in the first bin.
    low, high = np.quantile(values[known], [0, 0.995])
    edges = np.linspace(low, high, bins + 1) if high > low else [low - 0.5, low + 0.5]
    last = np.minimum(values, edges[-1])
    ax.hist(last[known], edges, color="0.8", label=f"all ({known.sum()})")
    recovered = known & found
    style = {"histtype": "step", "color": _RECOVERED, "linewidth": 1.8}
    ax.hist(last[recovered], edges, label=f"recovered ({recovered.sum()})", **style)


def _say_ks(ax, evaluation, names, threshold):
    """The KS test of these properties, in words, above the axes."""
    said = []
    for row in evaluation.ks_at(threshold):
        if str(row["property"]) in names and row["n_recovered"]:
            which = f"{row['property'][-1]}: " if len(names) > 1 else ""
            verdict = "differs" if row["differs"] else "no difference"
            said.append(
                f"{which}KS {row['statistic']:.3f}, critical {row['critical']:.3f}: {verdict}"
            )
    text = "\n".join(said)
    ax.text(1, 1.02, text, transform=ax.transAxes, ha="right", color=MUTED, fontsize=11)
