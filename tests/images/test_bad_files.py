"""Every bad file ends in an InputError that names it."""

import bz2
import gzip
from importlib.resources import files as package_files

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from astro_objdet.errors import InputError
from astro_objdet.images import read_bands
from astro_objdet.images.picture import parse_header


@pytest.fixture
def good(tmp_path, field_array, tan_wcs):
    path = tmp_path / "good_r.fits"
    fits.PrimaryHDU(field_array[0], header=tan_wcs.to_header()).writeto(path)
    return path


def spoiled(change):
    """A writer that changes cards of a good file; None deletes one."""

    def write(path, good):
        with fits.open(good) as hdus:
            for key, value in change.items():
                if value is None:
                    del hdus[0].header[key]
                else:
                    hdus[0].header[key] = value
            hdus.writeto(path)

    return write


def raw(make):
    """A writer that changes the bytes of a good file."""
    return lambda path, good: path.write_bytes(make(good.read_bytes()))


def card(text):
    return text.encode().ljust(80)


def with_card(key, text):
    """Replace one card by raw text, which no library would write."""

    def make(data):
        start = data.index(key.ljust(8).encode())
        return data[:start] + card(text) + data[start + 80 :]

    return raw(make)


NO_CD = {"CDELT1": 0.0, "CDELT2": 0.0}
CASES = {
    "empty": (raw(lambda d: b""), "the file is empty"),
    "html": (raw(lambda d: b"<!DOCTYPE html><html>404</html>"), "HTML or XML page, not FITS"),
    "text": (
        raw(lambda d: b"no image at all\n" * 300),
        "is not FITS: it does not start with SIMPLE",
    ),
    "simple F": (with_card("SIMPLE", "SIMPLE  =                    F"), "SIMPLE is not T"),
    "truncated data": (
        raw(lambda d: d[:20000]),
        "the data are truncated: the file has 20000 bytes",
    ),
    "truncated header": (raw(lambda d: d[:1000]), "bad_r.fits"),
    "gz cut": (raw(lambda d: gzip.compress(d)[:-500]), "compressed data are damaged or truncated"),
    "gz damaged": (
        raw(lambda d: b"\x1f\x8b" + d[:5000]),
        "compressed data are damaged or truncated",
    ),
    "bz2 cut": (raw(lambda d: bz2.compress(d)[:-500]), "compressed data are damaged or truncated"),
    "bz2 damaged": (raw(lambda d: b"BZh9" + d[:5000]), "compressed data are damaged or truncated"),
    "gz of nothing": (raw(lambda d: gzip.compress(b"")), "empty once decompressed"),
    "xz damaged": (
        raw(lambda d: b"\xfd7zXZ\x00" + d[:99]),
        "compressed data are damaged or truncated",
    ),
    "zip": (raw(lambda d: b"PK\x03\x04" + d[:5000]), "is a zip archive; unpack it first"),
    "lzw": (raw(lambda d: b"\x1f\x9d" + d[:5000]), "LZW|damaged"),
    "no image": (lambda path, good: fits.PrimaryHDU().writeto(path), "holds no image"),
    "no wcs": (
        lambda path, good: fits.PrimaryHDU(np.ones((9, 9))).writeto(path),
        r"\[0\]: no celestial WCS: the header has none; pixel_only=True",
    ),
    "one axis": (lambda path, good: fits.PrimaryHDU(np.ones(99)).writeto(path), "holds no image"),
    "zero CDELT": (spoiled(NO_CD), r"\[0\]: the CDELT of the WCS is zero or singular"),
    "zero CD": (
        spoiled({"CD1_1": 0.0, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.0}),
        r"\[0\]: the CD matrix of the WCS is zero or singular",
    ),
    "singular CD": (
        spoiled({"CD1_1": 1e-4, "CD1_2": 1e-4, "CD2_1": 1e-4, "CD2_2": 1e-4}),
        "the CD matrix of the WCS is zero or singular",
    ),
    "NaN CD": (with_card("CDELT1", "CD1_1   =                  NaN"), r"\[0\]: the CD"),
    "text CD": (spoiled({"CD1_1": "NaN"}), "the CD matrix of the WCS is not finite"),
    "word CD": (spoiled({"CD1_1": "none"}), "is not made of numbers"),
    "singular PC": (
        spoiled({"PC1_1": 1.0, "PC1_2": 1.0, "PC2_1": 1.0, "PC2_2": 1.0}),
        "singular|cannot be used",
    ),
    "solar": (
        spoiled({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"}),
        r"\[0\]: the WCS does not lie on the sky: its axes are HPLN-TAN, HPLT-TAN",
    ),
    "spectral": (
        spoiled({"CTYPE1": "WAVE", "CUNIT1": "m", "CTYPE2": "LINEAR", "CUNIT2": ""}),
        r"\[0\]: no celestial WCS: its axes are WAVE, LINEAR",
    ),
    "unpaired": (spoiled({"CTYPE1": "RA---TAN", "CTYPE2": "WAVE"}), r"\[0\]: .*WCS"),
    "unit": (spoiled({"CUNIT1": "m/S"}), r"\[0\]: the WCS cannot be used"),
    "all NaN": (
        lambda path, good: fits.PrimaryHDU(
            np.full((96, 128), np.nan), header=fits.getheader(good)
        ).writeto(path),
        r"\[0\]: all pixels are masked or not finite",
    ),
    "cube": (
        lambda path, good: fits.PrimaryHDU(
            np.ones((5, 96, 128)), header=fits.getheader(good)
        ).writeto(path),
        r"\[0\]: holds 5 planes of 128 x 96 px without band names \(0, 1, 2, 3, 4\)",
    ),
    "4-D": (
        lambda path, good: fits.PrimaryHDU(np.ones((2, 2, 9, 9))).writeto(path),
        r"\[0\]: image must be 2-D or \(band, y, x\), got shape \(2, 2, 9, 9\)",
    ),
    "huge": (
        with_card("NAXIS1", "NAXIS1  =               900000"),
        "the data are truncated",
    ),
    "negative axis": (with_card("NAXIS1", "NAXIS1  =                  -12"), "bad_r.fits"),
    "odd bitpix": (with_card("BITPIX", "BITPIX  =                   17"), "bad_r.fits"),
    "text axis": (with_card("NAXIS2", "NAXIS2  = 'many'"), "bad_r.fits"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_file(case, tmp_path, good):
    write, message = CASES[case]
    path = tmp_path / "bad_r.fits"
    write(path, good)
    with pytest.raises(InputError, match=message) as caught:
        read_bands(path)
    assert str(path) in str(caught.value)
    assert caught.value.path == path


@pytest.mark.parametrize("case", ["no wcs", "zero CD", "zero CDELT", "solar", "spectral", "unit"])
def test_pixel_only_goes_on(case, tmp_path, good):
    path = tmp_path / "bad_r.fits"
    CASES[case][0](path, good)
    stack = read_bands(path, pixel_only=True)
    assert stack.wcs is None
    assert stack.pixel_scale is None
    assert "no WCS" in repr(stack)
    with pytest.raises(InputError, match="without WCS has no footprint"):
        stack.footprint()


def test_pixel_only_keeps_a_good_wcs(good):
    assert read_bands(good, pixel_only=True).wcs is not None


def test_missing_and_folders(tmp_path):
    with pytest.raises(InputError, match="nothing.fits: no such file"):
        read_bands(tmp_path / "nothing.fits")
    with pytest.raises(InputError, match="is a folder, not an image"):
        read_bands(tmp_path)


def test_a_file_that_shrinks_while_in_use(good):
    stack = read_bands(good)
    good.write_bytes(good.read_bytes()[:20000])
    with pytest.raises(InputError, match=r"good_r.fits\[0\]: the pixels cannot be read"):
        stack.read_all()


def test_reading_after_close(good):
    with read_bands(good) as stack:
        pass
    with pytest.raises(InputError, match=r"good_r.fits\[0\]: the pixels cannot be read"):
        stack.read_all()


def test_truncated_compressed_image(tmp_path, field_array, tan_wcs):
    path = tmp_path / "bad_r.fits.fz"
    hdu = fits.CompImageHDU(field_array[0], header=tan_wcs.to_header())
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    path.write_bytes(path.read_bytes()[:14000])
    with pytest.raises(InputError, match="bad_r.fits.fz"):
        read_bands(path)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_headers_give_no_other_error(seed, tmp_path, good):
    """Bytes of the header overwritten at random: a stack or an InputError, never anything else."""
    rng = np.random.default_rng(seed)
    data = bytearray(good.read_bytes())
    for position in rng.integers(80, 2000, 12):
        data[position] = rng.integers(32, 127)
    path = tmp_path / "bad_r.fits"
    path.write_bytes(bytes(data))
    try:
        read_bands(path, pixel_only=bool(seed % 2))
    except InputError as err:
        assert err.path == path


# Files that other packages bring for their own tests; what astropy makes of them varies from
# an ok over warnings to VerifyError, TypeError and IndexError.
_FITS = {
    "astropy": [
        "io/fits/hdu/compressed/tests/data",
        "io/fits/tests/data",
        "nddata/tests/data",
        "wcs/tests/data",
    ],
    "reproject": ["tests/data"],
    "regions": ["io/fits/tests/data"],
}


def packaged(*suffixes):
    found = []
    for package, folders in _FITS.items():
        for folder in folders:
            root = package_files(package).joinpath(folder)
            if root.is_dir():
                found += [p for p in sorted(root.rglob("*")) if p.name.endswith(suffixes)]
    return found


IMAGES = packaged(".fits", ".fits.gz", ".fits.fz", ".fits.Z", ".fit", ".fits.bz2")
HEADERS = packaged(".hdr")


@pytest.mark.parametrize("pixel_only", [False, True])
@pytest.mark.parametrize("path", IMAGES, ids=lambda p: p.name)
def test_files_of_other_packages(path, pixel_only):
    try:
        stack = read_bands(path, pixel_only=pixel_only)
    except InputError as err:
        assert err.path == path
        assert str(path) in str(err)
    else:
        data, mask = stack.read_all()
        assert data.shape == mask.shape == stack.shape
        assert np.isfinite(data).all()
        assert pixel_only or stack.footprint().shape == (4,)


@pytest.mark.parametrize("path", HEADERS, ids=lambda p: p.name)
def test_headers_of_other_packages(path, tmp_path):
    with pytest.raises(InputError, match="is a header without pixels"):
        read_bands(path)
    header = parse_header(path.read_bytes(), path)
    shape = header.get("NAXIS2") or 40, header.get("NAXIS1") or 50
    picture = tmp_path / "picture.png"
    Image.fromarray(np.full((*shape, 3), 100, np.uint8)).save(picture)
    (tmp_path / "picture.hdr").write_bytes(path.read_bytes())
    try:
        stack = read_bands(picture)
    except InputError as err:
        assert err.path == picture
    else:
        assert stack.shape == (3, *shape)


def test_there_are_files_of_other_packages():
    assert len(IMAGES) > 30
    assert len(HEADERS) > 20
