"""Every accepted input kind, turned into a list of bands as they lie."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io.fits import Header
from astropy.nddata import InverseVariance, NDData
from astropy.wcs.wcsapi import BaseHighLevelWCS, BaseLowLevelWCS

from astro_objdet.errors import InputError
from astro_objdet.images.fitsfile import FitsFile, read_bytes
from astro_objdet.images.grid import celestial_wcs
from astro_objdet.images.hdus import (
    band_from_name,
    choose_hdus,
    header_band,
    header_bands,
)
from astro_objdet.images.picture import (
    HEADER_SUFFIXES,
    PICTURE_SUFFIXES,
    decode_picture,
    parse_header,
)
from astro_objdet.images.planes import ArrayPixels, Plane, bad_inverse_variance, bad_uncertainty
from astro_objdet.images.units import header_unit, parse_unit

__all__ = ["Band", "parse_image"]

RGB = ("red", "green", "blue")
_EIGHT_BIT = np.dtype(np.uint8)


@dataclass
class Band:
    """One band before naming, masks, grids and units of the whole stack are settled."""

    plane: object
    name: str | None = None
    #: Where the name comes from, best first: key, card (BAND, BANDS), file, header (FILTER).
    named_by: str | None = None
    wcs: object = None
    wcs_problem: str | None = None
    header: object = field(default_factory=dict)
    unit: object = None
    psf: object = None
    path: object = None
    hdu: object = None
    file: object = None

    def error(self, message):
        """Return an `InputError` that names this band's file and HDU, or its name."""
        if self.path is None and self.name is not None:
            message = f"band {self.name}: {message}"
        return InputError(message, self.path, self.hdu)

    def set_wcs(self, source, hdus=None):
        """Read the WCS; what is wrong with it is kept, for it may not be needed."""
        try:
            self.wcs = celestial_wcs(source, self.plane.shape, hdus)
        except InputError as err:
            self.wcs_problem = str(err)

    @property
    def dtype(self):
        """Type of the stored pixels."""
        return self.plane.pixels.dtype

    @property
    def looks_stretched(self):
        """True for 8-bit pixels without a flux unit."""
        return self.dtype == _EIGHT_BIT and self.unit is None


def parse_image(image, hdu=None):
    """Return the bands of any accepted input.

    Parameters
    ----------
    image : CCDData, NDData, ndarray, (array, WCS), path, mapping or sequence of these
    hdu : int, str, tuple or list, optional
        Which HDUs of the files.

    Returns
    -------
    list of Band
        Without names where the input gives none.

    Raises
    ------
    InputError
    """
    if isinstance(image, (str, os.PathLike)):
        return _from_path(Path(image), hdu)
    if isinstance(image, NDData):
        return _from_nddata(image)
    if isinstance(image, Mapping):
        return _from_mapping(image, hdu)
    if _is_array(image):
        return _from_array(image, None, {})
    if _is_pair(image):
        return _from_array(image[0], image[1], {})
    if isinstance(image, Sequence) and not isinstance(image, (bytes, bytearray)):
        if not image:
            raise InputError("image is an empty sequence; expected at least one band")
        return [band for part in image for band in parse_image(part, hdu)]
    raise InputError(
        "image must be a path, CCDData, NDData, array, (array, WCS), or a mapping or sequence of "
        f"them; got {type(image).__name__}"
    )


def _is_array(image):
    return hasattr(image, "shape") and hasattr(image, "dtype") and hasattr(image, "__getitem__")


def _is_pair(image):
    wcs_types = (BaseLowLevelWCS, BaseHighLevelWCS, Header)
    return (
        isinstance(image, tuple)
        and len(image) == 2
        and (_is_array(image[0]) or isinstance(image[0], NDData))
        and isinstance(image[1], wcs_types)
    )


def _from_mapping(image, hdu):
    if not image:
        raise InputError("image is an empty mapping; expected at least one band")
    bands = []
    for name, value in image.items():
        parts = parse_image(value, hdu)
        if len(parts) > 1:
            # A file with several bands under one key: take the one of that name.
            parts = [p for p in parts if p.name == str(name)] or parts
        if len(parts) != 1:
            raise InputError(f"band {name!r} must be one image, got {len(parts)} planes")
        parts[0].name, parts[0].named_by = str(name), "key"
        bands += parts
    return bands


def _check_numbers(dtype, path=None, hdu=None):
    if np.dtype(dtype).kind not in "iuf":
        raise InputError(f"pixels must be real numbers, got dtype {dtype}", path, hdu)


def _planes(shape, what="image"):
    """Index of each 2-D plane of an array of shape (y, x), (band, y, x) or with axes of 1."""
    shape = tuple(shape)
    long_axes = [n for n in shape[:-2] if n > 1]
    if len(shape) < 2 or len(long_axes) > 1:
        raise InputError(f"{what} must be 2-D or (band, y, x), got shape {shape}")
    if min(shape) == 0:
        raise InputError(f"{what} has no pixels: shape {shape}")
    return [tuple(int(i) for i in index) for index in np.ndindex(*shape[:-2])]


def _name_planes(bands, header, stem_band=None):
    """Name the bands of one image from its header or file name."""
    names = header_bands(header, len(bands)) if len(bands) > 1 else None
    if names is None and len(bands) == 3 and all(b.looks_stretched for b in bands):
        names = RGB
    if names is not None:
        for band, name in zip(bands, names, strict=True):
            band.name, band.named_by = name, "header" if names is RGB else "card"
    elif len(bands) == 1:
        if isinstance(header.get("BAND"), str) and header_band(header):
            bands[0].name, bands[0].named_by = header_band(header), "card"
        elif stem_band:
            bands[0].name, bands[0].named_by = stem_band, "file"
        elif header_band(header):
            bands[0].name, bands[0].named_by = header_band(header), "header"
    return bands


def _from_array(array, wcs, header, unit=None):
    if isinstance(array, NDData):
        return _from_nddata(array, wcs)
    mask = None
    if isinstance(array, np.ma.MaskedArray):
        mask, array = np.ma.getmaskarray(array), array.data
    if isinstance(array, u.Quantity):
        unit, array = parse_unit(array.unit), array.value
    _check_numbers(array.dtype)
    bands = []
    for index in _planes(array.shape):
        band = Band(Plane(ArrayPixels(array, index)), header=header, unit=unit)
        if mask is not None:
            band.plane.mark_bad(ArrayPixels(mask, index), np.asarray)
        if wcs is not None:
            band.set_wcs(wcs)
        elif header and "CTYPE1" in header:
            band.set_wcs(Header(header))
        else:
            band.wcs_problem = "the array has no WCS"
        bands.append(band)
    return _name_planes(bands, header)


def _from_nddata(image, wcs=None):
    header = image.meta if isinstance(image.meta, Mapping) else {}
    data = image.data
    unit = parse_unit(image.unit) if image.unit is not None else header_unit(header)
    bands = _from_array(data, image.wcs if wcs is None else wcs, header, unit)
    shape = tuple(data.shape)
    for index, band in zip(_planes(shape), bands, strict=True):
        if image.mask is not None:
            band.plane.mark_bad(_matching(image.mask, shape, index, "mask"), _nonzero)
        if image.uncertainty is not None and image.uncertainty.array is not None:
            is_ivar = isinstance(image.uncertainty, InverseVariance)
            test = bad_inverse_variance if is_ivar else bad_uncertainty
            pixels = _matching(image.uncertainty.array, shape, index, "uncertainty")
            band.plane.mark_bad(pixels, test, "uncertainty")
        band.psf = getattr(image, "psf", None)
    return bands


def _matching(values, shape, index, what):
    """Pixels of a mask or uncertainty that has the image's shape, or that of one plane."""
    values = np.asarray(values)
    if values.ndim < 2:
        values = np.broadcast_to(values, shape)
    if values.ndim < len(shape):
        index = ()
    elif values.shape[: len(index)] != shape[: len(index)]:
        raise InputError(f"{what} must have the shape of the image, {shape}, got {values.shape}")
    return ArrayPixels(values, index)


def _nonzero(values):
    return np.asarray(values) != 0


def _from_path(path, hdu):
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return _from_picture(path)
    if suffix in (".hdr", ".wcs", ".header"):
        parse_header(read_bytes(path), path)
        raise InputError("is a header without pixels; give the picture or FITS image itself", path)
    file = FitsFile(path)
    chosen = choose_hdus(file, hdu)
    stem_band = band_from_name(path) if len(chosen) == 1 else None
    return [band for item in chosen for band in _from_hdu(file, item, stem_band)]


def _from_hdu(file, item, stem_band):
    unit = header_unit(item.header)
    try:
        planes = _planes(item.shape)
        bands = []
        for index in planes:
            pixels = file.pixels(item.index, index)
            band = Band(Plane(pixels, pixels.blank), header=item.header, unit=unit)
            band.path, band.hdu, band.file = file.path, item.index, file
            for other, is_bad in item.bad:
                other_planes = _planes(file.shapes[other])
                other_index = index if len(other_planes) == len(planes) else other_planes[0]
                band.plane.mark_bad(file.pixels(other, other_index), is_bad)
            band.set_wcs(item.header, file.hdus)
            bands.append(band)
    except InputError as err:
        if err.path is None:
            raise InputError(str(err), file.path, item.index) from None
        raise
    return _name_planes(bands, item.header, stem_band)


def _from_picture(path):
    pixels, mask = decode_picture(read_bytes(path), path)
    beside = [path.with_suffix(s) for s in HEADER_SUFFIXES]
    found = next((p for p in beside if p.is_file()), None)
    header, hdus = {}, None
    if found is not None:
        if ".fits" in found.name or found.suffix == ".fit":
            file = FitsFile(found)
            hdus = file.hdus
            header = next((h for h in file.headers if "CTYPE1" in h), file.headers[0])
        else:
            header = parse_header(read_bytes(found), found)
        size = tuple(header.get(k) for k in ("NAXIS2", "NAXIS1"))
        if None not in size and header.get("NAXIS", 0) != 0 and size != pixels.shape[-2:]:
            raise InputError(
                f"describes an image of {size[1]} x {size[0]} pixels, but {path.name} has "
                f"{pixels.shape[-1]} x {pixels.shape[-2]}",
                found,
            )
    bands = []
    for index in _planes(pixels.shape):
        band = Band(Plane(ArrayPixels(pixels, index)), header=header, path=path)
        if mask is not None:
            band.plane.mark_bad(ArrayPixels(mask), _nonzero)
        if found is None:
            names = ", ".join(p.name for p in beside[:2])
            band.wcs_problem = f"a picture needs a FITS header beside it ({names})"
        else:
            band.set_wcs(header, hdus)
        bands.append(band)
    return _name_planes(bands, header, band_from_name(path) if len(bands) == 1 else None)
