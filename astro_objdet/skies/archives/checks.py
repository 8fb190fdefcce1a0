"""Objects as records, and the rules that boxes keep."""

import numpy as np
from astropy.table import Table

from astro_objdet.errors import InputError
from astro_objdet.skies.archives.layout import OBJECT_COLUMNS, ROLES, object_dtype

__all__ = ["bad_box", "object_records", "pixels_of"]

# A float32 at the border of a large image rounds by so much.
_ROUNDING = 1e-3


def bad_box(records, header):
    """The first box that breaks a rule, as (index, what is wrong), or None.

    Boxes are finite with x1 < x2 and y1 < y2. They lie in the image where the archive's
    boxes are clipped, and have their centre in it where they are not.
    """
    box = np.stack([records[name] for name in ("x1", "y1", "x2", "y2")], axis=-1).astype(float)
    ny, nx = header.shape
    limit = np.array([nx, ny], dtype=float)
    low, high = box[..., :2], box[..., 2:]
    if header.clip_boxes:
        outside, rule = (low < -_ROUNDING) | (high > limit + _ROUNDING), "lie inside the image"
    else:
        centre = (low + high) / 2
        outside = (centre < -_ROUNDING) | (centre > limit + _ROUNDING)
        rule = "have its centre inside the image"
    rules = (
        (~np.isfinite(box).all(axis=-1), "be finite"),
        ((high <= low).any(axis=-1), "have an area: x1 < x2 and y1 < y2"),
        (outside.any(axis=-1), f"{rule} of {nx} x {ny} pixels"),
    )
    for broken, rule in rules:
        if broken.any():
            index = int(np.argmax(broken))
            shown = ", ".join(f"{value:g}" for value in box[index])
            return index, f"box (x1, y1, x2, y2) = ({shown}) must {rule}"
    return None


def object_records(objects, header):
    """Objects of one image as an array of `object_dtype`.

    Raises
    ------
    InputError
        For a missing or unknown column, an unknown label or role, or a bad box.
    """
    columns = _columns(objects)
    count = len(next(iter(columns.values()), ()))
    records = np.zeros(count, object_dtype(header.columns))
    known = {*OBJECT_COLUMNS, *header.columns}
    unknown = sorted(set(columns) - known)
    if unknown:
        raise InputError(
            f"objects have columns the archive was not made for: {', '.join(unknown)}; "
            f"it has {', '.join(header.columns) or 'no further ones'}"
        )
    if count == 0:
        return records
    for name in ("x1", "y1", "x2", "y2"):
        if name not in columns:
            raise InputError(f"objects must have x1, y1, x2 and y2; {name} is missing")
    for name in sorted(known - {"label", "role"}):
        records[name] = _numbers(name, columns[name]) if name in columns else np.nan
    records["label"] = _codes("label", columns.get("label"), header.labels, count)
    records["role"] = _codes("role", columns.get("role"), ROLES, count)
    wrong = bad_box(records, header)
    if wrong is not None:
        raise InputError(f"object {wrong[0]}: {wrong[1]}")
    return records


def _columns(objects):
    """Columns by name, of a table or of a list of dicts."""
    if objects is None:
        return {}
    if isinstance(objects, Table):
        return {name: objects[name] for name in objects.colnames}
    objects = list(objects)
    names = dict.fromkeys(name for item in objects for name in item)
    return {name: [item.get(name) for item in objects] for name in names}


def _numbers(name, values):
    try:
        if isinstance(values, list):
            values = [np.nan if value is None else value for value in values]
        return np.ma.filled(np.ma.asarray(values).astype(float), np.nan)
    except (TypeError, ValueError):
        raise InputError(f"objects: {name} must be numbers, got {values!r}") from None


def _codes(name, values, names, count):
    """Index of each value among ``names``; the first where none is given."""
    if values is None:
        return np.zeros(count, np.uint8)
    values = [names[0] if value is None else str(value) for value in values]
    for value in values:
        if value not in names:
            raise InputError(f"{name} must be one of {', '.join(names)}; got {value!r}")
    return [names.index(value) for value in values]


def pixels_of(image, header):
    """An image as it is stored: its shape checked, fluxes brought into the type's range.

    Raises
    ------
    InputError
        For another shape, or values that the type does not hold.
    """
    image, shape = np.asarray(image), (len(header.bands), *header.shape)
    if image.shape != shape:
        raise InputError(f"image must have the shape (band, y, x) = {shape}, got {image.shape}")
    dtype = np.dtype(header.dtype)
    if image.dtype == dtype:
        return np.ascontiguousarray(image)
    if dtype == np.uint8 or image.dtype.kind not in "iuf":
        raise InputError(f"image must be of type {dtype}, got {image.dtype}")
    limit = np.finfo(dtype).max
    # NaN, which marks masked pixels, passes
    return np.clip(image, -limit, limit).astype(dtype)
