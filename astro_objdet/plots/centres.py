"""How far detections lie from the centres of the true objects."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from astro_objdet.errors import AstroObjdetError
from astro_objdet.plots.canvas import (
    COLOURS,
    MUTED,
    column,
    dots,
    drawing,
    legend,
    note,
    true_and_false,
)

__all__ = ["centre_distances", "centre_residuals"]

_TRUE, _MARK = COLOURS[:2]
# The histogram of all distances ends at this many radii.
_FARTHEST = 12


def centre_distances(
    evaluation, path=None, *, ax=None, threshold=None, bins=24, title=None, overwrite=False
):
    """Distances of detections from the nearest true object: of all, and of the true ones.

    Paper I (Chan & Stott 2019), Fig. 13. In kpc at the redshift of the object where that
    is known, in arcsec otherwise.

    Parameters
    ----------
    evaluation : `~astro_objdet.catalogs.evaluation.Evaluation`
    path : path-like, optional
        Where to save the figure; the suffix chooses the format. Written whole or not at
        all.
    ax : sequence of two `~matplotlib.axes.Axes`, optional
        Axes to draw into. By default a new figure is made.
    threshold : float, optional
        One of those evaluated; the best one where not given.
    bins : int, optional
        Of each histogram.
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
        If ``path`` has a suffix of no picture format, ``ax`` is not two axes, or the
        threshold was not evaluated.
    """
    with drawing(path, ax, overwrite, size=(7.5, 7), panels=2) as axes:
        found = evaluation.detections
        rows, true = true_and_false(evaluation, threshold)
        distance, unit = column(found, "separation_kpc"), "kpc"
        if not np.isfinite(distance[true]).any():
            distance, unit = column(found, "separation"), "arcsec"
        radius = _radius(evaluation, unit)
        known = distance[rows & np.isfinite(distance)]
        near = distance[true & np.isfinite(distance)]
        reach = _reach(known, near, radius)
        _histogram(axes[0], known, bins, reach, int(rows.sum()), unit)
        reach = radius or (near.max() if len(near) else 1)
        _histogram(axes[1], near, bins, reach, len(near), unit)
        axes[0].set_title(title or "All detections")
        axes[1].set_title("True detections")
        if radius is not None and len(known):
            axes[0].axvline(radius, color=_MARK, linestyle="--", label=f"{radius:g} {unit}")
            legend(axes[0], loc="upper right", frameon=True, edgecolor="none")
        if len(near):
            rms, median = np.sqrt(np.mean(near**2)), np.median(near)
            for value, style, name in ((rms, "--", "rms"), (median, ":", "median")):
                label = f"{name} {value:.3g} {unit}"
                axes[1].axvline(value, color=_MARK, linestyle=style, label=label)
            legend(axes[1], loc="upper right", frameon=True, edgecolor="none")
        axes[1].set_xlabel(f"Distance from the true centre ({unit})")
    return axes[0].figure


def _radius(evaluation, unit):
    """The matching radius in a unit, None where it differs from object to object."""
    from astro_objdet.catalogs.matching.radius import parse_radius

    try:
        radius = parse_radius(str(evaluation.meta.get("radius", "")))
    except AstroObjdetError:
        return None
    if radius.column is not None or not radius.unit.is_equivalent(unit):
        return None
    return float(radius.unit.to(unit, radius.value))


def _reach(known, near, radius):
    """Where the histogram of all ends: a few far ones must not flatten the rest."""
    if not len(known):
        return 1
    scale = radius or (near.max() if len(near) else known.max())
    return max(min(known.max(), _FARTHEST * scale), 1.2 * (radius or 0)) or 1


def _histogram(ax, values, bins, reach, total, unit):
    ax.set_ylabel("Detections")
    if not len(values):
        note(ax, "No detections at this threshold" if not total else "No distances are known")
        return
    shown = values[values <= reach]
    ax.hist(shown, bins=bins, range=(0, reach), color=_TRUE, edgecolor="white", linewidth=0.6)
    ax.set_xlim(0, reach)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    text = f"{total} detections"
    if total > len(shown):
        text += f", {total - len(shown)} of them farther than {reach:.0f} {unit}"
    ax.text(1, 1.02, text, transform=ax.transAxes, ha="right", color=MUTED)


def centre_residuals(
    evaluation, path=None, *, ax=None, threshold=None, title=None, overwrite=False
):
    """By how much detections are off their true objects, to the east and to the north.

    A mean away from zero is an offset of coordinates, such as half a pixel.

    Parameters
    ----------
    evaluation, path, threshold, title, overwrite
        As for `centre_distances`.
    ax : `~matplotlib.axes.Axes`, optional

    Returns
    -------
    `~matplotlib.figure.Figure`

    Raises
    ------
    OutputExistsError, InputError
        As `centre_distances` does.
    """
    with drawing(path, ax, overwrite, size=(6.6, 6.8)) as ax:
        truth = evaluation.truth
        x, y = column(truth, "offset_x"), column(truth, "offset_y")
        known = evaluation.recovered(threshold) & np.isfinite(x) & np.isfinite(y)
        x, y = x[known], y[known]
        ax.set(xlabel="East (arcsec)", ylabel="North (arcsec)", title=title or "")
        ax.set_aspect("equal")
        if not len(x):
            note(ax, "No object was recovered at this threshold")
            return ax.figure
        dots(ax, x, y, f"recovered ({len(x)})", color=_TRUE, marker=".", alpha=0.7)
        middle, error = (np.mean([x, y], axis=1), np.std([x, y], axis=1) / np.sqrt(len(x)))
        east, north = (_with_error(*pair) for pair in zip(middle, error, strict=True))
        label = f"mean: east {east}, north {north}"
        ax.errorbar(*middle, *error[::-1], color=_MARK, marker="s", markersize=7, label=label)
        reach = 1.08 * max(np.abs(x).max(), np.abs(y).max(), 1e-3)
        # East is to the left, as on the sky.
        ax.set(xlim=(reach, -reach), ylim=(-reach, reach))
        ax.axhline(0, color=MUTED, linewidth=0.6, alpha=0.5, zorder=0)
        ax.axvline(0, color=MUTED, linewidth=0.6, alpha=0.5, zorder=0)
        legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    return ax.figure


def _with_error(value, error):
    """Two digits of the error, and as many decimals of the value."""
    decimals = int(np.clip(1 - np.floor(np.log10(error)), 0, 4)) if error > 0 else 2
    return f"{value:+.{decimals}f} ± {error:.{decimals}f}"
