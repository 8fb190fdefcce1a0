"""`show` and `preview`: what an archive holds, in numbers and as pictures."""

from collections import Counter

import numpy as np
from PIL import Image, ImageDraw

from astro_objdet.catalogs.footprint import area_deg2, footprint_moc
from astro_objdet.errors import InputError, check_count
from astro_objdet.files import atomic_path
from astro_objdet.images.stretch import LuptonStretch, stretch_from_dict
from astro_objdet.skies.archive import Archive

__all__ = ["preview", "show"]

_COLOURS = {
    "target": (90, 255, 90),
    "ignored": (255, 220, 60),
    "decoy": (120, 170, 255),
    "confusion": (255, 110, 110),
}
_GAP = 4


def show(path):
    """What an archive holds.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict
        Ready for JSON: path, complete, images, shape, bands, pixel_scale_arcsec, kind, dtype,
        unit, stretch, recipe, labels, clip_boxes, splits, split_record, leak, sky_area_deg2 (of
        the union; None without WCS), objects (count by label and role), redshift and richness
        (lowest, median and highest of the targets; None where unknown), empty_images (without
        a target), masked (share of the pixels in up to 50 images), provenance.

    Raises
    ------
    InputError
        For anything but a sound archive.
    """
    archive = Archive(path, need_targets=False)
    table = archive.table
    targets = table[table["role"] == "target"]
    counts = Counter(zip(table["label"].tolist(), table["role"].tolist(), strict=True))
    return {
        "path": str(path),
        "complete": archive.complete,
        "images": archive.n_images,
        "shape": list(archive.shape),
        "bands": list(archive.bands),
        "pixel_scale_arcsec": archive.pixel_scale,
        "kind": archive.kind,
        "dtype": archive.dtype,
        "unit": archive.unit,
        "stretch": archive.stretch,
        "recipe": archive.recipe,
        "labels": list(archive.labels),
        "clip_boxes": archive.clip_boxes,
        "splits": archive.splits,
        "split_record": archive.split_record,
        "leak": archive.leak,
        "sky_area_deg2": _sky_area(archive),
        "objects": [
            {"label": label, "role": role, "count": n}
            for (label, role), n in sorted(counts.items())
        ],
        "redshift": _range(targets["redshift"]),
        "richness": _range(targets["richness"]),
        "empty_images": archive.n_images - len(np.unique(np.asarray(targets["image"]))),
        "masked": _masked(archive),
        "provenance": archive.provenance,
    }


def _range(values):
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    return [float(round(f(values), 4)) for f in (np.min, np.median, np.max)]


def _masked(archive):
    chosen = _spread(np.arange(archive.n_images), 50)
    if not len(chosen) or archive.dtype == "uint8":
        return None
    return round(float(np.mean([np.isnan(archive.image(i)).mean() for i in chosen])), 4)


def _sky_area(archive):
    """Square degrees of sky in any image."""
    found = (archive.corners(number) for number in range(archive.n_images))
    corners = [np.stack([c.ra.deg, c.dec.deg], axis=1) for c in found if c is not None]
    return round(float(area_deg2(footprint_moc(corners)).value), 4) if corners else None


def preview(path, output, *, images=16, side=320, stretch=None, split=None, overwrite=False):
    """Draw some images of an archive with their boxes into one PNG.

    Images with targets come first. North is up where it is in the images; boxes of targets are
    green, of ignored objects yellow, of decoys blue, of confusion red.

    Parameters
    ----------
    path, output : path-like
        The archive and the PNG.
    images : int
        How many.
    side : int
        Of each in the picture, pixels.
    stretch : dict, optional
        How fluxes become colours, as `~astro_objdet.images.stretch_from_dict` takes it.
    split : str, optional
        Only images of this split.
    overwrite : bool

    Returns
    -------
    list of int
        The images drawn.

    Raises
    ------
    InputError
        For an archive without images, or one that cannot be read.
    OutputExistsError
        The PNG exists and ``overwrite`` is False.
    """
    check_count("images", images)
    check_count("side", side)
    archive = Archive(path, need_targets=False)
    rows = archive.rows(split)
    if not len(rows):
        raise InputError("has no images to draw", path)
    has = np.isin(rows, archive.table["image"][archive.table["role"] == "target"])
    chosen = _spread(rows[has], images)
    chosen = np.concatenate([chosen, _spread(rows[~has], images - len(chosen))])
    colours = LuptonStretch() if stretch is None else stretch_from_dict(stretch)
    across = int(np.ceil(np.sqrt(len(chosen))))
    down = int(np.ceil(len(chosen) / across))
    step = side + _GAP
    sheet = Image.new("RGB", (across * step + _GAP, down * step + _GAP), (40, 40, 40))
    for place, number in enumerate(chosen):
        row, column = divmod(place, across)
        part = _picture(archive, int(number), side, colours)
        sheet.paste(part, (_GAP + column * step, _GAP + row * step))
    with atomic_path(output, overwrite) as temporary:
        sheet.save(temporary, format="PNG")
    return [int(number) for number in chosen]


def _spread(values, count):
    """Up to ``count`` of the values, evenly spaced."""
    if len(values) <= count:
        return values
    return values[np.linspace(0, len(values) - 1, max(count, 0)).round().astype(int)]


def _picture(archive, number, side, stretch):
    """One image with its boxes, first row at the bottom."""
    image = archive.image(number)[::-1]  # red first
    if archive.kind == "raw":
        image = stretch(image.astype(np.float32)) * 255
    pixels = np.moveaxis(np.asarray(image).astype(np.uint8), 0, -1)
    if pixels.shape[-1] != 3:
        pixels = np.repeat(pixels[..., :1], 3, axis=-1)
    ny, nx = archive.shape
    scale = side / max(ny, nx)
    size = (max(1, round(nx * scale)), max(1, round(ny * scale)))
    picture = Image.fromarray(pixels[::-1].copy()).resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    for item in archive.objects(number):
        x1, x2 = item["x1"] * scale, item["x2"] * scale
        y1, y2 = (ny - item["y2"]) * scale, (ny - item["y1"]) * scale
        colour = _COLOURS[str(item["role"])]
        draw.rectangle((x1, y1, x2, y2), outline=colour)
        known = [
            f"{name}={item[column]:.3g}"
            for name, column in (("z", "redshift"), ("R", "richness"))
            if np.isfinite(item[column])
        ]
        draw.text((x1 + 2, max(y1, 0) + 1), " ".join(known), fill=colour)
    draw.text((3, size[1] - 13), f"{number} {archive.images['field'][number]}", fill=(255,) * 3)
    return picture
