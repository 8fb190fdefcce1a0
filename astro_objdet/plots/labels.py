"""Labels beside points, placed where they hide nothing."""

import numpy as np

__all__ = ["label_points"]


def label_points(ax, x, y, texts, colour, taken):
    """Write beside points where nothing else is; what finds no place is left out.

    Parameters
    ----------
    ax : `~matplotlib.axes.Axes`
    x, y : array_like of float, shape (N,)
        Points, the most important first.
    texts : sequence of str
    colour : str
    taken : list
        Extents in pixels, as (x0, y0, x1, y1), of what must not be covered;
        labels are added.
    """
    frame = ax.get_window_extent().extents
    scale = ax.figure.dpi / 72
    for px, py, text in zip(*ax.transData.transform(np.c_[x, y]).T, texts, strict=True):
        label = ax.text(0, 0, text, color=colour, fontsize=10, transform=None, zorder=6)
        extent = label.get_window_extent()
        for place in _around(px, py, extent.width, extent.height, 7 * scale):
            if _within(place, frame) and not any(_meet(place, other) for other in taken):
                # Tied to the point, so that it follows when the figure is resized.
                label.remove()
                ax.annotate(
                    text,
                    ax.transData.inverted().transform((px, py)),
                    xytext=((place[0] - px) / scale, (place[1] - py) / scale),
                    textcoords="offset points",
                    color=colour,
                    fontsize=10,
                    zorder=6,
                )
                taken.append(place)
                break
        else:
            label.remove()


def _around(x, y, width, height, gap):
    """Rectangles beside a point, the best first."""
    corners = [
        (x + gap, y + gap / 2),
        (x - gap - width, y - gap / 2 - height),
        (x + gap, y - gap / 2 - height),
        (x - gap - width, y + gap / 2),
        (x - width / 2, y + 1.3 * gap),
        (x - width / 2, y - 1.3 * gap - height),
        (x + 2.4 * gap, y - height / 2),
        (x - 2.4 * gap - width, y - height / 2),
    ]
    return [(left, bottom, left + width, bottom + height) for left, bottom in corners]


def _meet(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _within(a, frame):
    return a[0] >= frame[0] and a[1] >= frame[1] and a[2] <= frame[2] and a[3] <= frame[3]
