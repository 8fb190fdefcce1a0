"""From parsed bands to the parts of a stack: names, grids, masks, calibration."""

import re
from collections.abc import Mapping
from pathlib import Path

import astropy.units as u
import numpy as np

from astro_objdet.errors import InputError
from astro_objdet.images.grid import pixel_geometry, same_grid, sky_centre, sky_overlap
from astro_objdet.images.inputs import parse_image
from astro_objdet.images.planes import ArrayPixels
from astro_objdet.images.reprojection import ReprojectedPlane
from astro_objdet.images.units import (
    STACK_UNIT,
    header_psf,
    header_zero_point,
    image_psf,
    parse_unit,
    pixel_factor,
    zero_point_factor,
)

__all__ = ["assemble"]


def assemble(image, *, bands, hdu, mask, unit, zero_point, psf_fwhm, pixel_only, stretched):
    """Return the arguments of a `BandStack`; see `read_bands` for the parameters."""
    parts = parse_image(image, hdu)
    parts = _named(parts, bands)
    names = [part.name for part in parts]
    _apply_mask(parts, mask)
    stretched = _is_stretched(parts, stretched, unit, zero_point)
    wcs = _one_wcs(parts, pixel_only)
    if stretched:
        _scale_pictures(parts)
        stack_unit = None
    else:
        stack_unit = _calibrate(parts, unit, zero_point)
    psf = _psf_widths(parts, psf_fwhm)
    reference = parts[0]
    planes = [reference.plane]
    for part in parts[1:]:
        planes.append(_on_grid(part, reference, wcs, conserve_flux=not stretched))
    _refuse_empty(parts, planes)
    return {
        "bands": names,
        "planes": planes,
        "wcs": wcs,
        "unit": stack_unit,
        "psf_fwhm": psf,
        "stretched": stretched,
        "origins": [(part.path, part.hdu) for part in parts],
        "files": list({id(p.file): p.file for p in parts if p.file is not None}.values()),
    }


def _named(parts, bands):
    """Give each band its name, or pick the wanted ones where they have names."""
    names = [part.name for part in parts]
    if bands is not None:
        bands = _split(bands, names) if isinstance(bands, str) else [str(b) for b in bands]
        if len(set(bands)) != len(bands) or not bands:
            raise InputError(f"bands must be different names, got {bands}")
        # What a file name, key or BAND card says is taken as true; a FILTER card is often wrong.
        trusted = all(p.named_by in ("key", "card", "file") for p in parts)
        if trusted and set(bands) <= set(names) and len(set(names)) == len(names):
            return [parts[names.index(b)] for b in bands]
        if len(bands) != len(parts):
            found = ", ".join(n or "(no name)" for n in names)
            raise parts[0].error(
                f"{len(bands)} bands given ({', '.join(bands)}) for {len(parts)} planes: {found}"
            )
        for part, name in zip(parts, bands, strict=True):
            part.name = name
        return parts
    if len(parts) == 1 and names[0] is None:
        parts[0].name = "band1"
    elif None in names:
        _refuse_unnamed(parts)
    elif len(set(names)) != len(names):
        raise parts[0].error(f"several planes are called the same: {', '.join(names)}; give bands")
    return parts


def _split(text, names):
    """Band names in one string: 'g', 'g,r,i', or 'gri' for three planes."""
    tokens = [t for t in re.split(r"[,;\s]+", text) if t]
    if len(tokens) == 1 and text not in names and len(text) == len(names) > 1:
        return list(text)
    return tokens


def _refuse_unnamed(parts):
    part = next(p for p in parts if p.name is None)
    header = part.header
    listing = f"{len(parts)} planes of {parts[0].plane.shape[1]} x {parts[0].plane.shape[0]} px"
    axis = header.get("CTYPE3")
    if isinstance(axis, str) and axis.strip():
        listing += f" along {axis.strip()}"
    choices = ", ".join(str(i) if p.name is None else p.name for i, p in enumerate(parts[:8]))
    more = ", ..." if len(parts) > 8 else ""
    raise part.error(
        f"holds {listing} without band names ({choices}{more}); name them with bands, "
        "one per plane, or a BANDS card"
    )


def _per_band(name, value, parts, convert):
    """Return one converted value per band (None where a mapping leaves it out)."""
    if isinstance(value, Mapping):
        unknown = sorted(set(map(str, value)) - {p.name for p in parts})
        if unknown:
            raise InputError(
                f"{name} names bands that are not there: {', '.join(unknown)}; "
                f"there are {', '.join(p.name for p in parts)}"
            )
        return [None if p.name not in value else convert(value[p.name]) for p in parts]
    if np.ndim(value) == 0:
        return [convert(value)] * len(parts)
    if len(value) != len(parts):
        raise InputError(
            f"{name} must be one value or one per band ({len(parts)}), got {len(value)}"
        )
    return [convert(v) for v in value]


def _apply_mask(parts, mask):
    if mask is None:
        return
    if isinstance(mask, (str, Path)):
        masks = [part.plane.pixels for part in parse_image(mask)]
        if len(masks) == 1:
            masks *= len(parts)
    elif isinstance(mask, Mapping):
        masks = _per_band("mask", mask, parts, lambda m: ArrayPixels(np.asarray(m)))
    else:
        mask = np.asarray(mask)
        if mask.dtype.kind not in "biu":
            raise InputError(f"mask must be of booleans or integers, got dtype {mask.dtype}")
        masks = [ArrayPixels(mask, (i,) if mask.ndim == 3 else ()) for i in range(len(parts))]
        if mask.ndim == 3 and len(mask) != len(parts):
            raise InputError(f"mask has {len(mask)} planes for {len(parts)} bands")
    if len(masks) != len(parts):
        raise InputError(f"mask has {len(masks)} planes for {len(parts)} bands")
    for part, pixels in zip(parts, masks, strict=True):
        if pixels is not None:
            part.plane.mark_bad(pixels, lambda values: np.asarray(values) != 0)


def _is_stretched(parts, stretched, unit, zero_point):
    if stretched is None:
        return unit is None and zero_point is None and all(p.looks_stretched for p in parts)
    if stretched and (unit is not None or zero_point is not None):
        raise InputError("a stretched picture has no unit and no zero_point")
    return bool(stretched)


def _scale_pictures(parts):
    """Bring integer pictures to 0-1; floating point ones are taken to be there."""
    for part in parts:
        if part.dtype.kind in "iu":
            part.plane.scale = 1 / np.iinfo(part.dtype).max


def _one_wcs(parts, pixel_only):
    """Return the WCS of the first band, or None for pixels only."""
    if all(part.wcs is not None for part in parts):
        return parts[0].wcs
    if not pixel_only:
        part = next(p for p in parts if p.wcs is None)
        hint = "pixel_only=True (--pixel-only) goes on without sky positions"
        raise part.error(f"{part.wcs_problem}; {hint}")
    for part in parts[1:]:
        if part.plane.shape != parts[0].plane.shape:
            raise part.error(
                f"bands without WCS must have one shape, got {parts[0].plane.shape} "
                f"and {part.plane.shape}"
            )
    return parts[0].wcs


def _area(part):
    return None if part.wcs is None else pixel_geometry(part.wcs, part.plane.shape)[2]


def _calibrate(parts, unit, zero_point):
    """Set the factor to nanomaggies of each band; return the stack's unit."""
    units = [None] * len(parts)
    if unit is not None:
        units = _per_band("unit", unit, parts, parse_unit)
    points = [None] * len(parts)
    if zero_point is not None:
        points = _per_band("zero_point", zero_point, parts, zero_point_factor)
    factors = []
    for part, given, point in zip(parts, units, points, strict=True):
        if given is not None and point is not None:
            raise InputError(f"band {part.name}: give unit or zero_point, not both")
        if point is not None:
            factors.append(point)
            continue
        factor = pixel_factor(part.unit if unit is None else given, _area(part))
        if given is not None and factor is None:
            raise part.error(f"unit {given} has no flux density per pixel or solid angle")
        factors.append(_header_factor(part) if factor is None else factor)
    if None in factors:
        # Bands of different scale cannot be compared, so none is converted.
        return None
    for part, factor in zip(parts, factors, strict=True):
        part.plane.scale = factor
    return STACK_UNIT


def _header_factor(part):
    """Nanomaggies per count by the zero point of the header, or None."""
    zero_point = header_zero_point(part.header)
    if zero_point is None or str(part.header.get("BUNIT", "")).rstrip().endswith(("/s", "s-1")):
        return None
    if zero_point == 0:
        # Some surveys (KiDS) give maggies, others write 0 for unknown: only the former have a sky
        # noise below 15 mag.
        ny, nx = part.plane.shape
        y0, x0 = max(ny // 2 - 64, 0), max(nx // 2 - 64, 0)
        pixels = part.plane.pixels.read(y0, min(y0 + 128, ny), x0, min(x0 + 128, nx))
        if not np.nanmedian(abs(pixels - np.nanmedian(pixels))) < 1e-6:
            return None
    return zero_point_factor(zero_point)


def _psf_widths(parts, psf_fwhm):
    def arcsec(value):
        value = value if isinstance(value, u.Quantity) else value * u.arcsec
        try:
            width = value.to(u.arcsec)
        except u.UnitConversionError:
            raise InputError(f"psf_fwhm must be an angle, got {value.unit}") from None
        if not (np.isfinite(width.value) and width.value > 0):
            raise InputError(f"psf_fwhm must be finite and above 0, got {value}")
        return width

    given = [None] * len(parts)
    if psf_fwhm is not None:
        given = _per_band("psf_fwhm", psf_fwhm, parts, arcsec)
    widths = {}
    for part, width in zip(parts, given, strict=True):
        area = _area(part)
        scale = None if area is None else area**0.5
        if width is None and part.psf is not None:
            width = image_psf(part.psf, scale)
        if width is None:
            width = header_psf(part.header, scale)
        if width is not None:
            widths[part.name] = width
    return widths


def _on_grid(part, reference, wcs, conserve_flux):
    """Return the plane of a band on the grid of the first one."""
    shape = reference.plane.shape
    if part.wcs is None or wcs is None:
        return part.plane
    if part.wcs is wcs and part.plane.shape == shape:
        return part.plane
    if same_grid(wcs, shape, part.wcs, part.plane.shape):
        return part.plane
    if not sky_overlap(wcs, shape, part.wcs, part.plane.shape):
        raise part.error(
            f"bands cover different areas of the sky: {part.name} is centred at "
            f"{sky_centre(part.wcs, part.plane.shape)}, "
            f"{reference.name} at {sky_centre(wcs, shape)}"
        )
    return ReprojectedPlane(part.plane, part.wcs, wcs, shape, conserve_flux)


def _refuse_empty(parts, planes):
    """Raise if a band has no good pixel; stops at the first one, reads block by block."""
    for part, plane in zip(parts, planes, strict=True):
        ny, nx = plane.shape
        for y0, y1 in _row_blocks(ny, nx):
            data, mask = np.empty((y1 - y0, nx), np.float32), np.empty((y1 - y0, nx), bool)
            plane.read_into(data, mask, y0, y1, 0, nx)
            if not mask.all():
                break
        else:
            raise part.error("all pixels are masked or not finite")


def _row_blocks(ny, nx):
    """Rows (start, stop) from the middle outwards: that is where images have data.

    A few rows first, which is enough for most images.
    """
    few, step = (max(1, min(ny, pixels // nx)) for pixels in (2**16, 2**21))
    middle = (ny - few) // 2
    yield middle, middle + few
    for y0 in sorted(range(0, ny, step), key=lambda y: abs(y + step / 2 - ny / 2)):
        yield y0, min(y0 + step, ny)
