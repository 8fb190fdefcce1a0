"""The overlay: a colour image with boxes on sky coordinates.

Figures are made without pyplot, so that a program that draws many keeps none
open, and a notebook's own settings stay as they are.
"""

from astropy.visualization.wcsaxes import WCSAxes
from matplotlib import rc_context, rcParamsDefault
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from astro_objdet.catalogs.skyboxes import HALF_PIXEL
from astro_objdet.errors import check_positive
from astro_objdet.files import atomic_path
from astro_objdet.plots import marks
from astro_objdet.plots.canvas import save_figure
from astro_objdet.plots.picture import display_rgb

__all__ = ["overlay"]

_DPI = 100
# Inches around the image, for the labels of the axes and the title.
_MARGIN = {"left": 1.5, "right": 0.2, "bottom": 0.8, "top": 0.5}


def overlay(
    stack,
    detections,
    path=None,
    *,
    ax=None,
    stretch=None,
    truth=None,
    title=None,
    max_size=1200,
    overwrite=False,
):
    """Draw detections over a colour image, with a scale bar and a compass.

    Parameters
    ----------
    stack : `~astro_objdet.images.BandStack`
        The image. Its first three bands are red, green and blue; use
        ``stack.select`` to choose. One band is drawn in grey.
    detections : `~astro_objdet.catalogs.Detections`
        Boxes to draw, with their scores; may have zero rows. Boxes that have
        only sky positions are placed by the WCS of the stack.
    path : path-like, optional
        Where to save the figure; the suffix chooses the format. Written whole
        or not at all.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw into, best a `~astropy.visualization.wcsaxes.WCSAxes` with
        the WCS of the stack. By default a new figure is made.
    stretch : callable, optional
        Takes surface brightness in nanomaggy/arcsec² as float32 of shape
        (band, y, x) and a mask and returns 0 to 1, like those of
        `astro_objdet.images`. By default the picture is scaled by its own sky,
        noise and brightest objects.
    truth : `~astropy.coordinates.SkyCoord` or `~astropy.table.Table`, optional
        Known positions, marked by circles. A table has ``ra`` and ``dec`` in
        degrees or with units, or it is a table of detections.
    title : str, optional
        Above the picture, on the left.
    max_size : int, optional
        Longest side of a new figure in pixels. Larger images are averaged down
        to it, section by section.
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
        If ``path`` has a suffix of no picture format, or ``truth`` no positions.
    """
    check_positive("max_size", max_size)
    if path is not None:
        with atomic_path(path, overwrite) as temporary:
            figure = _drawn(stack, detections, ax, stretch, truth, title, max_size)
            save_figure(figure, temporary, path)
        return figure
    return _drawn(stack, detections, ax, stretch, truth, title, max_size)


def _drawn(stack, detections, ax, stretch, truth, title, max_size):
    # A user's style sheet must not make the labels unreadable.
    with rc_context({key: rcParamsDefault[key] for key in ("font.size", "text.usetex")}):
        own = ax is None
        if own:
            ax = _new_axes(stack, max_size)
        _, ny, nx = stack.shape
        extent = (-HALF_PIXEL, nx - HALF_PIXEL, -HALF_PIXEL, ny - HALF_PIXEL)
        picture = display_rgb(stack, max_size, stretch)
        # Smooth where the screen has more pixels than the image.
        ax.imshow(picture, origin="lower", extent=extent, interpolation="bicubic")
        ax.set(xlim=extent[:2], ylim=extent[2:])
        if own:
            _finish_axes(ax, stack, len(detections), title)
        elif title:
            ax.set_title(title, loc="left")
        taken = marks.draw_scale_bar(ax, stack)
        taken += marks.draw_compass(ax, stack, detections)
        if truth is not None:
            taken += marks.draw_truth(ax, stack, truth)
        marks.draw_boxes(ax, stack, detections, taken)
    return ax.figure


def _new_axes(stack, max_size):
    """A figure whose longest side is max_size, the image filling its axes."""
    _, ny, nx = stack.shape
    across = _MARGIN["left"] + _MARGIN["right"]
    along = _MARGIN["bottom"] + _MARGIN["top"]
    side = max_size / _DPI
    width = max(min(side - across, (side - along) * nx / ny), 0.1)
    height = width * ny / nx
    # A strip gets a figure wide or high enough for its labels.
    size = (max(width + across, 4.5), max(height + along, 2.5))
    figure = Figure(figsize=size, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    place = (
        _MARGIN["left"] / size[0],
        _MARGIN["bottom"] / size[1],
        width / size[0],
        height / size[1],
    )
    if stack.wcs is None:
        ax = Axes(figure, place)
    else:
        ax = WCSAxes(figure, place, wcs=stack.wcs)
    return figure.add_axes(ax)


def _finish_axes(ax, stack, count, title):
    """Axis labels, grid, and what the picture shows in words."""
    if stack.wcs is None:
        ax.set_xlabel("x (pixels)", fontsize=14)
        ax.set_ylabel("y (pixels)", fontsize=14)
        ax.tick_params(labelsize=12, direction="in", color="white", top=True, right=True)
    else:
        for axis, name in zip(ax.coords, _axis_names(stack.wcs), strict=True):
            axis.set_axislabel(name, fontsize=14, minpad=0.6)
            axis.set_ticklabel(size=12, exclude_overlapping=True)
            axis.set_ticks(color="white", size=6, width=1.2, number=5)
            axis.grid(color="white", alpha=0.18, linewidth=0.8)
    bands = [str(band) for band in stack.bands[:3]]
    shown = f"{count} detection{'' if count == 1 else 's'}"
    if len(bands) == 3:
        shown += f"   ·   RGB = {', '.join(bands)}"
    elif len(bands) == 1:
        shown += f"   ·   {bands[0]}"
    ax.set_title(title or "", loc="left", fontsize=15, fontweight="bold")
    width = ax.get_window_extent().width
    if width > 500:
        ax.set_title(shown, loc="right", fontsize=12, color="0.25")
    else:
        # Beside the title it would run into it.
        ax.figure.text(0.98, 0.02, shown, fontsize=10, color="0.25", ha="right")


def _axis_names(wcs):
    system = (wcs.wcs.radesys or "ICRS").strip()
    names = {"RA": f"Right ascension ({system})", "DEC": f"Declination ({system})"}
    return [names.get(kind[:4].rstrip("-"), kind[:4].rstrip("-")) for kind in wcs.wcs.ctype]
