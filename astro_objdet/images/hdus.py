"""Which HDUs of a file are its bands, and what else belongs to them."""

import re
from dataclasses import dataclass, field

import numpy as np

from astro_objdet.errors import InputError
from astro_objdet.images.planes import bad_inverse_variance, bad_uncertainty

__all__ = ["BandHDU", "band_from_filter", "band_from_name", "choose_hdus"]

_ROLES = {
    "ivar": {"IVAR", "INVVAR", "INVAR", "WEIGHT", "WHT", "WGT", "WT"},
    "mask": {"MASK", "DQ", "DQI", "FLAGS", "BADPIX", "MSK"},
    "uncertainty": {"UNCERT", "ERR", "ERROR", "SIGMA", "STD", "STDDEV", "VAR", "VARIANCE", "RMS"},
    "table": {"D2IMARR", "WCSDVARR", "WCSCORR", "PSF", "PSFIMG", "ALLSKY"},
}
# Bits of an LSST or HSC mask plane that mean unusable; others flag detections.
_LSST_BAD = ("MP_BAD", "MP_NO_DATA", "MP_UNMASKEDNAN")
_FILTER_CARDS = ("BAND", "FILTER", "FILTER1", "FILT_ID", "FILTNAM", "FPA.FILTER", "FILTERS")
_FILE_BAND = re.compile(r"(?:^|[_\-.])([ugrizyY]|[Ff]\d{3,4}[WMNLXwmnlx]P?)(?=[_\-.]|$)")


@dataclass
class BandHDU:
    """One image HDU with the HDUs that tell which of its pixels are bad."""

    index: int
    header: object
    shape: tuple
    bands: tuple | None
    bad: list = field(default_factory=list)


def band_from_filter(value):
    """Return the band a FILTER-like value names: 'g.MP9401' and 'HSC-G' are 'g'.

    Values without one of u, g, r, i, z, y are returned as they are, and empty ones as None.
    """
    text = str(value).strip()
    tokens = [t for t in re.split(r"[^A-Za-z0-9]+", text) if t]
    if tokens and tokens[0].upper() == "HSC":
        tokens = [t.lower() for t in tokens]
    for token in tokens:
        if len(token) == 1 and token in "ugrizy":
            return token
    return text or None


def band_from_name(path):
    """Return the band a file name ends on (``_g``, ``-g-``, ``.g.``), or None."""
    found = _FILE_BAND.findall(re.split(r"[\\/]", str(path))[-1])
    if not found:
        return None
    return found[-1] if found[-1][0] not in "YFf" else found[-1].upper()


def header_band(header):
    """Return the band named by the header, or None."""
    for key in _FILTER_CARDS:
        value = header.get(key)
        if isinstance(value, str) and value.strip():
            return band_from_filter(value)
    return None


def header_bands(header, count):
    """Return the bands of a cube from a BANDS card like 'z,r,g', or None."""
    value = header.get("BANDS")
    if not isinstance(value, str):
        return None
    names = tuple(n for n in re.split(r"[,;\s]+", value.strip()) if n)
    if len(names) == 1 and len(names[0]) == count:
        names = tuple(names[0])
    return names if len(names) == count and len(set(names)) == count else None


def _role(header, name):
    kind = str(header.get("IMAGETYP", "")).strip().upper()
    name = name.upper()
    for role, names in _ROLES.items():
        if kind in names or name in names or name.rsplit("_", 1)[-1] in names:
            return role
    return "image"


def mask_test(header):
    """Return the function that tells bad pixels from the values of a mask HDU."""
    bits = 0
    for key in _LSST_BAD:
        if isinstance(header.get(key), int):
            bits |= 1 << header[key]
    if str(header.get("TELESCOP", "")).strip() == "JWST":
        bits = 1  # DO_NOT_USE
    if bits:
        return lambda values: (np.asarray(values).astype(np.int64) & bits) != 0
    return lambda values: values != 0


_BAD_TESTS = {
    "ivar": lambda header: bad_inverse_variance,
    "uncertainty": lambda header: bad_uncertainty,
    "mask": mask_test,
}


def _squeezed(shape):
    """Drop axes of length 1 before the last two."""
    lead = tuple(n for n in shape[:-2] if n > 1)
    return (*lead, *shape[-2:])


def _describe(file, index):
    hdu, header = file.hdus[index], file.headers[index]
    shape = file.shapes[index]
    parts = [f"{index}: {hdu.name or '(no name)'}"]
    if hdu.ver != 1:
        parts[0] += f",{hdu.ver}"
    parts.append(" x ".join(str(n) for n in shape))
    band = header_band(header)
    if band:
        parts.append(f"band {band}")
    return " ".join(parts)


def _listing(file, indices):
    return "; ".join(_describe(file, i) for i in indices)


def _images(file):
    """Indices of HDUs with at least two axes longer than nothing."""
    return [i for i, s in enumerate(file.shapes) if s is not None and len(s) >= 2]


def _find(file, hdu):
    """Return the index of the HDU a number, a name or (name, version) stands for."""
    images = _images(file)
    if isinstance(hdu, (bool, float)) or not isinstance(hdu, (int, str, tuple, np.integer)):
        raise InputError(f"hdu must be a number, a name or a list of them, got {hdu!r}", file.path)
    if isinstance(hdu, str) and "," in hdu:
        name, _, version = hdu.rpartition(",")
        hdu = (name, int(version)) if version.strip().isdigit() else hdu
    if isinstance(hdu, str) and hdu.lstrip("-").isdigit():
        hdu = int(hdu)
    try:
        index = file.hdus.index_of(hdu if not isinstance(hdu, np.integer) else int(hdu))
        index = range(len(file.hdus))[index]
    except (KeyError, IndexError, TypeError):
        listed = _listing(file, images) or "none"
        raise InputError(f"no such HDU; images are: {listed}", file.path, hdu) from None
    if index not in images:
        listed = _listing(file, images) or "none"
        raise InputError(f"is not an image; images are: {listed}", file.path, hdu)
    return index


def _companions(file, index, roles):
    """Pair an image with its ivar, mask and uncertainty HDUs."""
    name, version = file.hdus[index].name.upper(), file.hdus[index].ver
    shape, band = _squeezed(file.shapes[index]), header_band(file.headers[index])
    alone = sum(role == "image" for role in roles.values()) == 1
    bad = []
    for i, role in roles.items():
        if role not in _BAD_TESTS or _squeezed(file.shapes[i]) != shape:
            continue
        other, header = file.hdus[i], file.headers[i]
        same_band = band is not None and header_band(header) == band and header.get("BAND")
        stem, _, _ = other.name.upper().rpartition("_")
        by_version = other.ver == version and (name in ("SCI", "IMAGE") or name == stem)
        if alone or same_band or by_version or (stem and stem == name):
            bad.append((i, _BAD_TESTS[role](header)))
    return bad


def _bands_of(file, index):
    """Band names of one HDU from its header or name, or None."""
    shape, header = _squeezed(file.shapes[index]), file.headers[index]
    if len(shape) == 3:
        return header_bands(header, shape[0])
    name = file.hdus[index].name
    band = header_band(header)
    if band is None and name and len(name) == 1 and name.lower() in "ugrizy":
        band = name.lower()
    return None if band is None else (band,)


def choose_hdus(file, hdu=None):
    """Return the HDUs of a file that hold its bands.

    Parameters
    ----------
    file : FitsFile
    hdu : int, str, tuple or list, optional
        The choice. Without one, the only image, or all of them where each names its band.

    Returns
    -------
    list of BandHDU

    Raises
    ------
    InputError
        If there is no image, or several and nothing to choose by: the message lists them.
    """
    images = _images(file)
    roles = {i: _role(file.headers[i], file.hdus[i].name) for i in images}
    if hdu is not None:
        chosen = [_find(file, h) for h in (hdu if isinstance(hdu, list) else [hdu])]
        if not chosen:
            raise InputError("hdu must name at least one HDU, got an empty list", file.path)
    else:
        chosen = [i for i in images if roles[i] == "image"]
        if not chosen:
            kinds = ", ".join(type(h).__name__ for h in file.hdus)
            raise InputError(f"holds no image (its HDUs: {kinds})", file.path)
        if len(chosen) > 1:
            names = [_bands_of(file, i) for i in chosen]
            flat = [n for group in names if group for n in group]
            if None in names or len(set(flat)) != len(flat):
                raise InputError(
                    f"holds {len(chosen)} images; choose with hdu: {_listing(file, chosen)}",
                    file.path,
                )
    return [
        BandHDU(
            i,
            file.headers[i],
            file.shapes[i],
            _bands_of(file, i),
            _companions(file, i, roles) if roles[i] == "image" else [],
        )
        for i in chosen
    ]
