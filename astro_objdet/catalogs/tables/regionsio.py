"""Detections as regions, and as the text of a DS9 region file.

The file is written here rather than by ``regions``: that serialiser moves what
all regions have in common into DS9's ``global`` line, even a label, writes
sizes in degrees, and needs a region object for each box. What is written is
read back with ``regions``, strictly: DS9 itself drops a whole file over one
line it cannot read, while ``regions`` may return no region and say nothing.
"""

import re
import warnings

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.utils.exceptions import AstropyUserWarning
from regions import (
    PixCoord,
    RectanglePixelRegion,
    RectangleSkyRegion,
    RegionMeta,
    Regions,
    RegionVisual,
)

from astro_objdet.catalogs.skyboxes import HALF_PIXEL, pixel_boxes, sky_boxes
from astro_objdet.errors import InputError

__all__ = ["box_columns", "dump_ds9", "load_ds9", "to_regions"]

_HEADER = """\
# Region file format: DS9 version 4.1
global color=cyan width=2 font="helvetica 12 bold roman" select=1 edit=1 move=1 delete=1 include=1
"""
_SCORE_TAG = "score="
# DS9 ends a label at }, a line at ; and newline, whatever surrounds them, and
# regions reads quotes at the ends of a label as delimiters. They are written
# as %XX, like in a URL, and so is a % that would otherwise be read as such.
_UNSAFE = re.compile(r"""[{};"'#\x00-\x1f\x7f]|%(?=[0-9A-F]{2})|^\s|\s$""")
_ESCAPE = re.compile("%([0-9A-F]{2})")
_SHOWN_SCORE = re.compile(r"(?:^| )([01]\.\d+)$")
_SCORE_NUMBER = re.compile(r"score=(nan|[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)")
# Lines of a region file that stand for no region.
_NO_REGION = re.compile(
    r"\s*($|#(?! *(text|composite)\()|global\b|(image|icrs|fk[45]|j2000|b1950"
    r"|galactic|ecliptic)\s*$)",
    re.IGNORECASE,
)


def to_regions(table, pixel=False):
    """Return one rectangle per detection: see ``Detections.to_regions``."""
    rectangles = []
    visual = RegionVisual(edgecolor="cyan", facecolor="cyan", linewidth=2)
    if not pixel:
        _check_positions(table)
        centres = SkyCoord(table["ra"], table["dec"])
        shapes = [table[name] for name in ("width", "height", "angle")]
    boxes = table.boxes
    for i, (label, score) in enumerate(_labelled(table)):
        meta = RegionMeta(text=_text(label, score), label=label, tag=_tags(label, score))
        if pixel:
            x1, y1, x2, y2 = boxes[i]
            centre = PixCoord((x1 + x2) / 2 - HALF_PIXEL, (y1 + y2) / 2 - HALF_PIXEL)
            region = RectanglePixelRegion(centre, x2 - x1, y2 - y1, meta=meta, visual=visual.copy())
        else:
            shape = [column[i] for column in shapes]
            region = RectangleSkyRegion(centres[i], *shape, meta=meta, visual=visual.copy())
        rectangles.append(region)
    return Regions(rectangles)


def box_columns(regions, wcs=None):
    """Return the columns of a table of detections from rectangles.

    Parameters
    ----------
    regions : iterable of `~regions.RectangleSkyRegion` or `~regions.RectanglePixelRegion`
        All on the sky or all in pixels.
    wcs : `~astropy.wcs.WCS`, optional
        To find the pixels of boxes on the sky, or the sky of boxes in pixels.

    Returns
    -------
    boxes : `~numpy.ndarray` of float64, shape (N, 4)
        Edges in pixels, NaN if unknown.
    scores : `~numpy.ndarray` of float64, shape (N,)
        NaN if a region has none.
    labels : list of str
    sky : dict of `~numpy.ndarray` or None
        As `~astro_objdet.catalogs.skyboxes.sky_boxes` returns, None if unknown.
    """
    regions = list(regions)
    on_sky = [isinstance(region, RectangleSkyRegion) for region in regions]
    for i, region in enumerate(regions):
        if not isinstance(region, RectangleSkyRegion | RectanglePixelRegion):
            raise InputError(f"region {i} must be a box, got {type(region).__name__}")
        if on_sky[i] != on_sky[0]:
            raise InputError(f"regions must be all on the sky or all in pixels; 0 and {i} differ")
    labels, scores = _labels_and_scores(regions)
    if regions and on_sky[0]:
        sky = _sky_columns(regions)
        boxes = np.full((len(regions), 4), np.nan)
        if wcs is not None:
            boxes = pixel_boxes(wcs, **sky)
    else:
        boxes = np.array([_upright(region) for region in regions]).reshape(-1, 4)
        sky = None if wcs is None else sky_boxes(wcs, boxes)
    return boxes, scores, labels, sky


def dump_ds9(table):
    """Return the bytes of a DS9 region file.

    Boxes on the sky (ICRS) where positions are known, in pixels otherwise.
    Positions have 1e-9 deg, sizes and angles 1e-6 arcsec and deg.
    """
    on_sky = not len(table) or bool(np.isfinite(table["ra"].value).any())
    lines = ["icrs" if on_sky else "image"]
    if on_sky:
        _check_positions(table)
        numbers = [table[name].value for name in ("ra", "dec", "width", "height", "angle")]
        shape = 'box({:.9f},{:.9f},{:.6f}",{:.6f}",{:.6f})'
    else:
        x1, y1, x2, y2 = table.boxes.T
        # DS9 counts pixels from 1.
        x, y = (x1 + x2 + 1) / 2, (y1 + y2 + 1) / 2
        numbers = [x, y, x2 - x1, y2 - y1, np.zeros(len(table))]
        shape = "box({:.6f},{:.6f},{:.6f},{:.6f},{:g})"
    boxes = zip(*(column.tolist() for column in numbers), strict=True)
    for box, (label, score) in zip(boxes, _labelled(table), strict=True):
        tags = "".join(f" tag={{{tag}}}" for tag in _tags(label, score))
        lines.append(f"{shape.format(*box)} # text={{{_text(label, score)}}}{tags}")
    return (_HEADER + "\n".join(lines) + "\n").encode()


def load_ds9(content):
    """Read the bytes of a DS9 region file into `~regions.Regions`, strictly.

    Raises
    ------
    InputError
        If anything in the file was not understood, or it holds no region
        although it has lines that are neither comment, frame nor ``global``.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"is not a DS9 region file: {error}") from None
    if not text.strip():
        raise InputError("is not a DS9 region file: it is empty")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AstropyUserWarning)
        try:
            regions = Regions.parse(text, format="ds9")
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise InputError(f"is not a DS9 region file: {error}") from error
    for warning in caught:
        # A region is lost with these words; the rest is about its looks.
        if re.search("skipping|Cannot parse", str(warning.message)):
            raise InputError(f"cannot be read in full: {warning.message}")
    lines = [line for line in text.splitlines() if not _NO_REGION.match(line)]
    if not len(regions) and (lines or "# Region file format" not in text):
        first = lines[0] if lines else text.splitlines()[0]
        raise InputError(f"is not a DS9 region file: no region in it, first {first!r}")
    return regions


def _check_positions(table):
    if not np.isfinite(table["ra"].value).all():
        missing = int((~np.isfinite(table["ra"].value)).sum())
        raise InputError(
            f"{missing} of {len(table)} detections have no position on the sky; "
            "regions in pixels (pixel=True) need none"
        )


def _labelled(table):
    return zip(table["label"].tolist(), table["score"].tolist(), strict=True)


def _text(label, score):
    """What DS9 shows beside the box."""
    return _quoted(label) if np.isnan(score) else f"{_quoted(label)} {score:.2f}"


def _tags(label, score):
    """DS9's groups: by label, and one that keeps the score in full."""
    return [tag for tag in (_quoted(label), f"{_SCORE_TAG}{score!r}") if tag]


def _quoted(text):
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", text)


def _unquoted(text):
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def _labels_and_scores(regions):
    """Take the label from what DS9 shows, and the score from its tag or there."""
    labels, scores = [], []
    for region in regions:
        text = str(region.meta.get("text", ""))
        shown = _SHOWN_SCORE.search(text)
        score = float(shown[1]) if shown else np.nan
        for tag in map(str, region.meta.get("tag", [])):
            if _SCORE_NUMBER.fullmatch(tag):
                score = float(tag.removeprefix(_SCORE_TAG))
        # Straight from to_regions the label is there as it is.
        label = region.meta.get("label")
        if label is None:
            label = _unquoted(text[: shown.start()] if shown else text)
        labels.append(str(label))
        scores.append(score)
    return labels, np.array(scores, dtype=float)


def _sky_columns(regions):
    centre = SkyCoord([region.center.icrs for region in regions])
    # A region in another frame has its angle from that frame's north.
    turned = [_north(region.center) for region in regions]
    angle = [region.angle.to_value(u.deg) for region in regions]
    return {
        "ra": centre.ra.deg,
        "dec": centre.dec.deg,
        "width": np.array([region.width.to_value(u.arcsec) for region in regions]),
        "height": np.array([region.height.to_value(u.arcsec) for region in regions]),
        "angle": (np.array(angle) + turned) % 360,
    }


def _north(centre):
    """Position angle of the frame's own north in ICRS, degrees."""
    if centre.frame.name == "icrs":
        return 0.0
    step = centre.directional_offset_by(0 * u.deg, 1 * u.arcsec)
    return centre.icrs.position_angle(step.icrs).deg


def _upright(region):
    """Edges of the upright box around a rectangle in pixels."""
    cos, sin = np.abs([np.cos(region.angle), np.sin(region.angle)])
    half_x = (region.width * cos + region.height * sin) / 2
    half_y = (region.width * sin + region.height * cos) / 2
    x, y = region.center.x + HALF_PIXEL, region.center.y + HALF_PIXEL
    return x - half_x, y - half_y, x + half_x, y + half_y
