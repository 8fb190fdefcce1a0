"""What the figures of an evaluation share: a canvas, colours, notes, labels.

Colours are those of Okabe & Ito, told apart with any colour vision; markers and
line styles differ besides, so that a grey print does.
"""

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import rc_context, rcParamsDefault
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from astro_objdet.catalogs.fitting.arrays import float_array
from astro_objdet.errors import InputError
from astro_objdet.files import atomic_path, check_writable

__all__ = [
    "COLOURS",
    "LINES",
    "MARKERS",
    "MUTED",
    "column",
    "counted",
    "dots",
    "drawing",
    "legend",
    "log_ticks",
    "named",
    "note",
    "save_figure",
    "svg_text",
    "true_and_false",
    "whiskers",
]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
#: Of what stands behind: all of the truth, grid lines, notes.
MUTED = "#767676"

# More points than this are drawn small, and as pixels in any format.
_MANY = 3000
# Groups of settings that change a drawing; the rest are of windows and keys.
_GROUPS = ("axes", "errorbar", "figure.s", "font", "grid", "hatch", "hist", "image", "legend")
_GROUPS += ("lines", "markers", "mathtext", "patch", "path", "savefig.", "svg", "text")
_GROUPS += ("xaxis", "xtick", "yaxis", "ytick")
_STYLE = {
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "figure.dpi": 120,
    "savefig.dpi": "figure",
    # The same evaluation gives the same bytes.
    "svg.hashsalt": "astro_objdet",
}


@contextlib.contextmanager
def drawing(path, ax, overwrite, *, size=(7.5, 5.2), panels=1):
    """Axes to draw into, of a new figure or as given; saved at the end.

    Parameters
    ----------
    path : path-like or None
        Where to save; written whole or not at all.
    ax : `~matplotlib.axes.Axes`, sequence of them, or None
        Given axes keep the style of their owner.
    overwrite : bool
        Whether ``path`` may exist.
    size : tuple of float
        Inches of a new figure.
    panels : int
        Number of axes, one below the other.

    Yields
    ------
    `~matplotlib.axes.Axes`, or a list of them for several panels

    Raises
    ------
    InputError
        If ``ax`` is not as many axes as there are panels.
    OutputExistsError
        If ``path`` exists and ``overwrite`` is false.
    """
    with contextlib.ExitStack() as stack:
        temporary = None
        if path is not None:
            temporary = stack.enter_context(atomic_path(path, overwrite))
        stack.enter_context(rc_context(_own_style() if ax is None else {"text.usetex": False}))
        axes = _new_axes(size, panels) if ax is None else list(np.ravel(ax))
        if len(axes) != panels:
            raise InputError(f"ax must be {panels} axes, got {len(axes)}")
        yield axes[0] if panels == 1 else axes
        if temporary is not None:
            save_figure(axes[0].figure, temporary, path)


def save_figure(figure, temporary, path):
    """Save to a temporary path; a suffix of no picture format is an `InputError`."""
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    try:
        figure.savefig(temporary, dpi=figure.dpi, metadata=undated.get(temporary.suffix))
    except ValueError as error:
        raise InputError(f"cannot be a picture: {error}", path) from error


def check_picture(path, overwrite=False, inputs=()):
    """Raise what saving a figure to ``path`` would, before it is drawn."""
    suffix = Path(path).suffix.lower().lstrip(".")
    offered = FigureCanvasAgg.get_supported_filetypes()
    if suffix not in offered:
        known = ", ".join(sorted(offered))
        raise InputError(f"cannot be a picture: .{suffix} is none of {known}", path)
    check_writable(path, overwrite, inputs)


def svg_text(figure):
    """A figure as the text of an SVG file, the same bytes each time."""
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": _STYLE["svg.hashsalt"]}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _own_style():
    # A user's style sheet must not make the labels unreadable.
    defaults = {key: rcParamsDefault[key] for key in rcParamsDefault if key.startswith(_GROUPS)}
    return defaults | _STYLE


def _new_axes(size, panels):
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return list(np.ravel(figure.subplots(panels, 1)))


def named(evaluations):
    """Pairs of name and evaluation, of one (its name is empty) or a mapping.

    Raises
    ------
    InputError
        For an empty mapping.
    """
    if not isinstance(evaluations, Mapping):
        return [("", evaluations)]
    if not evaluations:
        raise InputError("evaluations must hold at least one, got an empty mapping")
    return [(str(name), one) for name, one in evaluations.items()]


def column(table, name):
    """A column as plain float64 of shape (N,), NaN where masked or missing."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    return float_array(name, table[name])


def true_and_false(evaluation, threshold=None):
    """The detections that count at a threshold, by default the best.

    Returns
    -------
    judged, true : `~numpy.ndarray` of bool, shape (n_found,)
        Those that are true or false, and those that are true.
    """
    row = evaluation.at(threshold)
    found = evaluation.detections
    score, level = column(found, "score"), row["threshold"]
    passed = score >= level if evaluation.meta.get("inclusive") else score > level
    true = np.zeros(len(found), bool)
    partner = evaluation.matches.at(row.index)
    true[partner[partner >= 0]] = True
    status = np.asarray(found["status"]).astype(str)
    return true | passed & np.isin(status, ("true", "duplicate", "false")), true


def counted(evaluation):
    """Which rows of the truth count: bool, shape (n_truth,)."""
    return np.asarray(evaluation.truth["status"]).astype(str) == "counted"


def log_ticks(axis):
    """A logarithmic axis with plain numbers at 1, 2, 5, 10, ..."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def whiskers(value, low, high):
    """Lengths of error bars, shape (2, N), never below zero."""
    return np.clip([value - low, high - value], 0, None)


def dots(ax, x, y, label, *, marker, **style):
    """Points that stay readable, and a file that stays small, when there are many."""
    many = len(x) > _MANY
    ax.plot(
        x,
        y,
        marker="." if many else marker,
        markersize=2 if many else 7,
        linestyle="none",
        label=label,
        rasterized=many,
        **style,
    )


def note(ax, text):
    """Say in the middle of axes why they are empty; they get no ticks."""
    ax.set(xticks=[], yticks=[])
    ax.text(
        0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED, wrap=True
    )


def legend(ax, **options):
    """A legend, where there is anything to tell apart."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(**options)
