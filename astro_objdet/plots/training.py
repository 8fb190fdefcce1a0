"""How a training went: its losses, and what it found, over the steps."""

import numpy as np

from astro_objdet.plots.canvas import COLOURS, LINES, MARKERS, column, drawing, legend, note

__all__ = ["loss_curves", "score_curves"]

# Of log.csv, with what paper I calls them.
_PANELS = {
    "total": "Total loss",
    "rpn_objectness": "RPN objectness",
    "rpn_box": "RPN box regression",
    "dn_classification": "DN classification",
    "dn_box": "DN box regression",
}
# Of recipes whose detection network estimates properties.
_MORE = {"dn_estimates": "DN estimates"}


def loss_curves(log, path=None, *, ax=None, title=None, overwrite=False):
    """Losses of training and test images over the steps, paper I's Figs 5 and 6.

    Parameters
    ----------
    log : `~astropy.table.Table`
        The ``log.csv`` of a run: ``step``, and ``train_`` and ``test_`` with ``total``,
        ``rpn_objectness``, ``rpn_box``, ``dn_classification`` and ``dn_box``; and
        ``dn_estimates``, drawn where there are any.
    path : path-like, optional
        Where to save the figure; the suffix chooses the format. Written whole or not at
        all.
    ax : sequence of `~matplotlib.axes.Axes`, optional
        Axes to draw into, five, or six with estimates. By default a new figure is made.
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
    """
    panels = _PANELS | {k: v for k, v in _MORE.items() if _has(log, f"train_{k}")}
    size = (7.5, 2.2 * len(panels))
    with drawing(path, ax, overwrite, size=size, panels=len(panels)) as axes:
        for panel, (name, label) in zip(axes, panels.items(), strict=True):
            _draw(panel, log, {side: f"{side}_{name}" for side in ("train", "test")})
            panel.set_ylabel(label)
        axes[-1].set_xlabel("Step")
        axes[0].set_title(title or "")
        legend(axes[0])
    return axes[0].figure


def score_curves(evaluation, path=None, *, ax=None, title=None, overwrite=False):
    """Purity, completeness and F1 over the steps, at the threshold where F1 is highest.

    Parameters
    ----------
    evaluation : `~astropy.table.Table`
        The ``evaluation.csv`` of a run: ``step``, ``threshold``, ``purity``,
        ``completeness``, ``f1``.
    path, ax, title, overwrite
        As for `loss_curves`, with one axes.

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``overwrite`` is false.
    """
    with drawing(path, ax, overwrite) as panel:
        best = evaluation[_best_rows(evaluation)] if len(evaluation) else evaluation
        names = ("purity", "completeness", "f1", "threshold")
        _draw(panel, best, {"F1" if name == "f1" else name: name for name in names})
        panel.set(xlabel="Step", ylim=(-0.02, 1.02), title=title or "")
        legend(panel, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4)
    return panel.figure


def _has(log, name):
    return name in log.colnames and bool(np.isfinite(column(log, name)).any())


def _best_rows(evaluation):
    """Of each step the row with the highest F1, the lowest threshold of several."""
    step = column(evaluation, "step")
    order = np.lexsort((column(evaluation, "threshold"), -column(evaluation, "f1"), step))
    first = np.append(True, np.diff(step[order]) > 0)
    return order[first]


def _draw(ax, table, columns):
    step = column(table, "step")
    drawn = False
    for (label, name), colour, marker, line in zip(
        columns.items(), COLOURS, MARKERS, LINES, strict=False
    ):
        values = column(table, name)
        known = np.isfinite(values)
        if known.any():
            size = 4 if known.sum() < 60 else 0
            ax.plot(
                *(step[known], values[known]),
                color=colour,
                marker=marker,
                markersize=size,
                linestyle=line,
                label=label,
            )
            drawn = True
    if not drawn:
        note(ax, "Nothing recorded yet")
