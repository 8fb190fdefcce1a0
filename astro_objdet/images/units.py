"""Flux calibration: from what a file or array says to nanomaggies per pixel, and PSF widths."""

import math
import re

import astropy.units as u
import numpy as np

from astro_objdet.errors import InputError

__all__ = ["STACK_UNIT", "header_psf", "header_zero_point", "parse_unit", "pixel_factor"]

#: Unit of a calibrated stack, 3.631e-6 Jy.
STACK_UNIT = u.nmgy
_NANOMAGGY = 3.631e-6 * u.Jy
_LINEAR_BASES = ("adu", "ct", "electron", "DN", "photon")
_ALIASES = {
    "nanomaggies": "nmgy",
    "nmaggy": "nmgy",
    "nmgy": "nmgy",
    "maggies": "mgy",
    "counts": "ct",
    "cts": "ct",
    "counts/s": "ct/s",
    "counts/sec": "ct/s",
    "adu/sec": "adu/s",
    "electrons": "electron",
    "electrons/s": "electron/s",
    "e-/s": "electron/s",
    "e-": "electron",
}
# Cards that give the AB magnitude of one count, in surveys' own words.
_ZERO_POINT_CARDS = (
    "MAGZERO", "MAGZPT", "MAGZP", "MAGZEROP", "MZP_AB", "PHOTZP", "ZEROPNT", "ZEROPOIN", "ZP",
    "ZPT", "SEXMGZPT", "ABMAGZP",
)  # fmt: skip
_PSF_CARDS = ("PSF_FWHM", "PSFFWHM", "SEEING", "IQIMAGE", "FWHM", "PSF_RAD", "CHIP.SEEING")
# Legacy Surveys cutouts carry no BUNIT; their documentation says nanomaggies.
_NANOMAGGY_SURVEYS = ("DECALS", "LEGACYSURVEY", "BASS", "MZLS")


def parse_unit(value, strict=True):
    """Return an astropy unit, or None for an empty, unknown or count-like one.

    Parameters
    ----------
    value : str, Unit or None
    strict : bool
        Raise for a string that is no unit, instead of taking it as counts.

    Raises
    ------
    InputError
        For magnitudes, which are not linear in flux, and unknown units if ``strict``.
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        text = _ALIASES.get(text.lower(), text)
        try:
            unit = u.Unit(text)
        except (ValueError, TypeError):
            if strict:
                raise InputError(f"unit must be an astropy unit, got {value!r}") from None
            return None
    else:
        try:
            unit = u.Unit(value)
        except (ValueError, TypeError):
            raise InputError(f"unit must be an astropy unit, got {value!r}") from None
    if isinstance(unit, u.function.FunctionUnitBase) or "mag" in (b.name for b in unit.bases):
        raise InputError(f"unit must be linear in flux, got {unit.to_string()!r}")
    if unit.is_equivalent(u.dimensionless_unscaled) or any(
        b.name in _LINEAR_BASES for b in unit.bases
    ):
        return None
    return unit


def pixel_factor(unit, area):
    """Return nanomaggies per pixel for a value of 1 in ``unit``, or None if it has no flux scale.

    Parameters
    ----------
    unit : Unit or None
        Flux density, or surface brightness (per solid angle).
    area : float or None
        Arcsec2 per pixel, needed for surface brightness.
    """
    if unit is None:
        return None
    unit = (
        unit * u.pix if u.pix in unit.bases and unit.powers[unit.bases.index(u.pix)] == -1 else unit
    )
    for per_pixel in (u.dimensionless_unscaled, u.arcsec**2):
        if per_pixel != u.dimensionless_unscaled and area is None:
            continue
        flux = unit * per_pixel
        scale = 1.0 if per_pixel == u.dimensionless_unscaled else area
        if flux.is_equivalent(u.mgy):
            return float((1 * flux).to_value(u.nmgy)) * scale
        if flux.is_equivalent(u.Jy):
            return float((1 * flux / _NANOMAGGY).to_value(u.one)) * scale
    return None


def header_unit(header):
    """Return the BUNIT of a header as a unit, or None where it is missing or counts."""
    value = header.get("BUNIT")
    if isinstance(value, str) and value.strip():
        return parse_unit(value, strict=False)
    survey = re.sub(r"[^A-Z]", "", str(header.get("SURVEY", "")).upper())
    if value is None and survey.startswith(_NANOMAGGY_SURVEYS) and "BRICK" in header:
        return u.nmgy
    return None


def _number(header, key):
    value = header.get(key)
    if isinstance(value, (bool, complex)) or value is None:
        return None
    try:
        value = float(value)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def header_zero_point(header):
    """Return the AB zero point a header states without ambiguity, or None.

    Several cards that disagree, or values no camera has, count as unknown. FLUXMAG0 of LSST
    and HSC images is the same thing in counts.
    """
    found = [_number(header, key) for key in _ZERO_POINT_CARDS]
    flux = _number(header, "FLUXMAG0")
    if flux is not None and flux > 0:
        found.append(2.5 * math.log10(flux))
    found = [v for v in found if v is not None]
    if not found or max(found) - min(found) > 1e-3:
        return None
    zero_point = found[0]
    return zero_point if zero_point == 0 or 10 <= zero_point <= 60 else None


def zero_point_factor(zero_point):
    """Nanomaggies per count: ``10**((22.5 - zero_point) / 2.5)``."""
    try:
        zero_point = float(getattr(zero_point, "value", zero_point))
    except (TypeError, ValueError):
        zero_point = math.nan
    if not math.isfinite(zero_point) or abs(zero_point) > 100:
        raise InputError("zero_point must be a finite AB magnitude")
    return 10 ** ((22.5 - zero_point) / 2.5)


def header_psf(header, pixel_scale):
    """Return the PSF FWHM of a header in arcsec as Quantity, or None.

    Parameters
    ----------
    header : mapping
    pixel_scale : float or None
        Arcsec per pixel, for cards whose comment says pixels.
    """
    comments = getattr(header, "comments", None)
    for key in _PSF_CARDS:
        value = _number(header, key)
        if value is None:
            continue
        comment = "" if comments is None else comments[key].lower()
        if "pix" in comment:
            value = value * pixel_scale if pixel_scale is not None else None
        elif key in ("FWHM", "CHIP.SEEING") and "arcsec" not in comment:
            # Without a unit these are as often pixels.
            value = None
        if value is not None and 0.02 < value < 30:
            return value * u.arcsec
    return None


def image_psf(psf, pixel_scale):
    """Return the FWHM of a PSF image in arcsec: the width of its area above half of the peak."""
    psf = np.nan_to_num(np.asarray(psf, dtype=float))
    if psf.ndim != 2 or pixel_scale is None or not psf.max(initial=0) > 0:
        return None
    above = np.count_nonzero(psf >= psf.max() / 2)
    return 2 * math.sqrt(above / math.pi) * pixel_scale * u.arcsec
