"""What is drawn over an image: boxes and their labels, scale bar, compass, truth.

Each function draws into axes whose data coordinates are the pixels of the stack
and returns the artists that a label must not cover.
"""

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke

from astro_objdet.catalogs.skyboxes import HALF_PIXEL, pixel_boxes
from astro_objdet.errors import InputError

__all__ = ["draw_boxes", "draw_compass", "draw_scale_bar", "draw_truth"]

# Sky blue and orange of Okabe & Ito's palette, brightened for a dark sky: told
# apart with any colour vision, and by shape besides.
_FOUND = "#4dd2ff"
_TRUTH = "#ffb000"
# More labels than this hide the image; the best scores keep theirs.
_MOST_LABELS = 100


def outlined(width=3.0):
    return [withStroke(linewidth=width, foreground="black", alpha=0.85)]


def draw_scale_bar(ax, stack):
    """A bar of a round length near a fifth of the width, lower left."""
    _, ny, nx = stack.shape
    if stack.wcs is None:
        length = _round_length(nx / 5)
        label, pixels = f"{length:g} px", length
    else:
        middle = stack.wcs.pixel_to_world([nx / 2 - 1, nx / 2], [ny / 2, ny / 2])
        scale = middle[0].separation(middle[1]).to_value(u.arcmin)
        if not np.isfinite(scale) or scale == 0:
            return []
        length = _round_length(nx * scale / 5)
        label, pixels = f"{length:g} arcmin", length / scale
    x, y = 0.03 * nx, 0.03 * max(ny, nx / 3)
    # above boxes, whose edges may lie along the bar
    bar = ax.plot(
        [x, x + pixels], [y, y], color="white", linewidth=3.5, solid_capstyle="butt", zorder=5
    )[0]
    bar.set_path_effects(outlined(6))
    text = ax.annotate(
        label,
        (x, y),
        xytext=(0, 6),
        textcoords="offset points",
        annotation_clip=False,
        ha="left",
        va="bottom",
        color="white",
        fontsize=14,
        path_effects=outlined(),
        zorder=5,
    )
    return [bar, text]


def _round_length(target):
    """Largest of 1, 2, 5 times a power of ten that is not above target."""
    power = 10.0 ** np.floor(np.log10(target))
    return max(step * power for step in (1, 2, 5) if step * power <= target * 1.0001)


def draw_compass(ax, stack, detections):
    """Arrows to north and east, lower right unless a box is there and not elsewhere."""
    if stack.wcs is None:
        return []
    _, ny, nx = stack.shape
    short = min(nx, ny)
    near = 0.09 * short
    cells = np.array([[nx - near, near], [near, ny - near], [nx - near, ny - near]])
    boxes = _image_boxes(stack, detections)
    crowded = [
        any(_meet(np.concatenate([cell - near, cell + near]), box) for box in boxes)
        for cell in cells
    ]
    cell = cells[np.argmin(crowded)]
    directions = _north_and_east(stack.wcs, cell, short)
    if directions is None:
        return []
    reach = 0.075 * short
    # The pair stands in the middle of its cell, whichever way it points.
    origin = cell - directions.sum(axis=0) * reach / 2
    drawn = []
    for letter, direction in zip("NE", directions, strict=True):
        arrow = ax.annotate(
            "",
            origin + reach * direction,
            xytext=origin,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-|>,head_width=0.25,head_length=0.5",
                "color": "white",
                "linewidth": 2.2,
                "shrinkA": 0,
                "shrinkB": 0,
                "path_effects": outlined(4),
            },
        )
        text = ax.text(
            *(origin + 1.28 * reach * direction),
            letter,
            color="white",
            fontsize=14,
            fontweight="bold",
            ha="center",
            va="center",
            path_effects=outlined(),
        )
        drawn += [arrow, text]
    return drawn


def _north_and_east(wcs, pixel, short):
    """Unit vectors in pixels, shape (2, 2), or None outside of the projection."""
    here, beside = wcs.pixel_to_world(*(np.array([[0], [0.01 * short]]) + pixel).T)
    step = here.separation(beside)
    if not np.isfinite(step) or step == 0:
        return None
    ahead = here.directional_offset_by([0, 90] * u.deg, step)
    directions = np.transpose(wcs.world_to_pixel(ahead)) - pixel
    lengths = np.hypot(*directions.T)
    if not np.isfinite(lengths).all() or not lengths.all():
        return None
    return directions / lengths[:, None]


def draw_truth(ax, stack, truth):
    """Circle known positions; return nothing to keep clear of."""
    x, y = _truth_pixels(stack, truth)
    _, ny, nx = stack.shape
    inside = (x >= -HALF_PIXEL) & (x < nx - HALF_PIXEL)
    inside &= (y >= -HALF_PIXEL) & (y < ny - HALF_PIXEL)
    style = {"marker": "o", "linestyle": "none", "fillstyle": "none", "markersize": 15}
    ax.plot(x[inside], y[inside], color="black", markeredgewidth=4, alpha=0.6, **style)
    (rings,) = ax.plot(
        x[inside], y[inside], color=_TRUTH, markeredgewidth=2, label="truth", **style
    )
    legend = ax.legend(
        handles=[rings],
        loc="upper right",
        fontsize=13,
        labelcolor="white",
        facecolor="black",
        framealpha=0.6,
        edgecolor="none",
    )
    return [legend]


def _truth_pixels(stack, truth):
    """Pixel positions of what may be coordinates, a table, or detections."""
    if not isinstance(truth, SkyCoord):
        names = {name.lower(): name for name in truth.colnames}
        if stack.wcs is None and {"x_min", "x_max", "y_min", "y_max"} <= set(names):
            x1, y1, x2, y2 = truth.boxes.T
            return (x1 + x2) / 2 - HALF_PIXEL, (y1 + y2) / 2 - HALF_PIXEL
        if not {"ra", "dec"} <= set(names):
            raise InputError(f"truth must have columns ra and dec, got {', '.join(truth.colnames)}")
        truth = SkyCoord(truth[names["ra"]], truth[names["dec"]], unit=u.deg)
    if stack.wcs is None:
        raise InputError("truth on the sky cannot be marked on an image without a WCS")
    truth = truth.reshape(-1)
    # A position far outside has no pixel in some projections, or a wrong one.
    _, ny, nx = stack.shape
    corner = stack.wcs.pixel_to_world(-HALF_PIXEL, -HALF_PIXEL)
    centre = stack.wcs.pixel_to_world(nx / 2 - HALF_PIXEL, ny / 2 - HALF_PIXEL)
    near = truth[truth.separation(centre) < 1.5 * corner.separation(centre)]
    if not len(near):
        return np.empty(0), np.empty(0)
    return stack.wcs.world_to_pixel(near)


def draw_boxes(ax, stack, detections, taken=()):
    """Draw boxes, the best score last, and labels where nothing else is."""
    boxes = _image_boxes(stack, detections) - HALF_PIXEL
    order = np.argsort(np.asarray(detections["score"]), kind="stable")
    x1, y1, x2, y2 = boxes[order].T
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]])
    width = 2.4 if len(boxes) <= 50 else 1.6
    for colour, extra, alpha in (("black", 2.4, 0.6), (_FOUND, 0, 1)):
        lines = LineCollection(
            corners.transpose(2, 0, 1),
            colors=colour,
            linewidths=width + extra,
            alpha=alpha,
            joinstyle="miter",
            capstyle="projecting",
        )
        ax.add_collection(lines, autolim=False)
    _draw_labels(ax, boxes[order[::-1]], _texts(detections[order[::-1]]), taken)


def _image_boxes(stack, detections):
    """Edges in pixels; of boxes without them, from their place on the sky."""
    boxes = detections.boxes
    unplaced = ~np.isfinite(boxes).all(axis=1)
    if unplaced.any() and stack.wcs is not None:
        rows = detections[unplaced]
        names = ("ra", "dec", "width", "height", "angle")
        boxes[unplaced] = pixel_boxes(stack.wcs, *(rows[name].value for name in names))
    return boxes


def _texts(detections):
    """Scores, with the label where there are several kinds."""
    scores = [f"{score:.2f}" for score in detections["score"]]
    labels = detections["label"].tolist()
    if len(set(labels)) < 2:
        return scores
    pairs = zip(labels, scores, strict=True)
    return [f"{' '.join(label.split())} {score}" for label, score in pairs]


def _draw_labels(ax, boxes, texts, taken):
    """Put each label at the place around its box that hides least.

    Boxes come in the order of their importance. A label that everywhere would
    cover an earlier one, or leave the axes, is left out.
    """
    ax.apply_aspect()
    frame = np.ravel(ax.get_window_extent().get_points())
    occupied = [np.ravel(artist.get_window_extent().get_points()) for artist in taken]
    on_screen = ax.transData.transform(boxes.reshape(-1, 2)).reshape(-1, 4)
    to_data = ax.transData.inverted()
    size = 14 if len(boxes) <= 25 else 12
    for i, text in enumerate(texts[:_MOST_LABELS]):
        if not np.isfinite(on_screen[i]).all() or not _meet(on_screen[i], frame):
            continue
        label = ax.text(
            0,
            0,
            text,
            color=_FOUND,
            fontsize=size,
            fontweight="bold",
            ha="left",
            va="bottom",
            parse_math=False,
            path_effects=outlined(3.5),
        )
        extent = label.get_window_extent()
        # Of a box that reaches out of the picture, the part inside.
        low, high = frame[[0, 1, 0, 1]], frame[[2, 3, 2, 3]]
        visible = np.clip(on_screen[i], low, high)
        places = [
            place
            for place in _places(visible, extent.width, extent.height)
            if _within(place, frame) and not any(_meet(place, o) for o in occupied)
        ]
        if not places:
            label.remove()
            continue
        others = np.delete(on_screen, i, axis=0)
        best = min(places, key=lambda place: _outlines_crossed(place, others))
        label.set_position(to_data.transform(best[:2]))
        occupied.append(best)


def _places(box, width, height, gap=5):
    """Rectangles around a box where its label may stand, the best first."""
    x1, y1, x2, y2 = box
    corners = [
        (x1, y2 + gap),
        (x1, y1 - gap - height),
        (x2 - width, y2 + gap),
        (x2 - width, y1 - gap - height),
        (x2 + gap, y2 - height),
        (x1 - gap - width, y2 - height),
    ]
    if x2 - x1 > width + 2 * gap and y2 - y1 > 2 * height:
        corners.append((x1 + gap, y2 - gap - height))
    return [np.array([x, y, x + width, y + height]) for x, y in corners]


def _meet(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _within(a, frame):
    return all(a[:2] >= frame[:2]) and all(a[2:] <= frame[2:])


def _outlines_crossed(place, boxes):
    """Count the boxes that a rectangle overlaps without lying inside of them."""
    x1, y1, x2, y2 = boxes.T
    meet = (x1 < place[2]) & (place[0] < x2) & (y1 < place[3]) & (place[1] < y2)
    inside = (x1 < place[0]) & (place[2] < x2) & (y1 < place[1]) & (place[3] < y2)
    return int((meet & ~inside).sum())
