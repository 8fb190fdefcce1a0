import bz2
import gzip

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, NDData, StdDevUncertainty
from PIL import Image

from astro_objdet.errors import InputError
from astro_objdet.images import BandStack, read_bands
from astro_objdet.images.hdus import band_from_filter, band_from_name

NAMES = ("i", "r", "g")


def image_hdu(data, wcs, kind=fits.ImageHDU, name="", **cards):
    hdu = kind(data, header=wcs.to_header())
    if name:
        hdu.name = name
    hdu.header.update(cards)
    return hdu


def write(path, *hdus):
    fits.HDUList([fits.PrimaryHDU() if h is None else h for h in hdus]).writeto(path)
    return path


@pytest.fixture
def paths(tmp_path, field_array, tan_wcs):
    return [
        write(
            tmp_path / f"field_{b}.fits",
            image_hdu(d, tan_wcs, fits.PrimaryHDU, BUNIT="nmgy", FILTER="g"),
        )
        for b, d in zip(NAMES, field_array, strict=True)
    ]


def mef(path, data, wcs):
    hdus = [image_hdu(d, wcs, BAND=b, BUNIT="nmgy") for b, d in zip(NAMES, data, strict=True)]
    return write(path, None, *hdus)


KINDS = {
    "ccd 3-D": lambda d, w, p, t: (CCDData(d, unit="nmgy", wcs=w), NAMES),
    "ccd with BANDS": lambda d, w, p, t: (
        CCDData(d, unit="nmgy", wcs=w, meta={"BANDS": "i,r,g"}),
        None,
    ),
    "nddata": lambda d, w, p, t: (NDData(d, unit="nmgy", wcs=w), "irg"),
    "pair": lambda d, w, p, t: ((d * u.nmgy, w), NAMES),
    "pair with header": lambda d, w, p, t: ((d * u.nmgy, w.to_header()), NAMES),
    "mapping": lambda d, w, p, t: (
        {b: CCDData(x, unit="nmgy", wcs=w) for b, x in zip("irg", d, strict=True)},
        None,
    ),
    "mapping of paths": lambda d, w, p, t: (dict(zip("irg", p, strict=True)), None),
    "sequence": lambda d, w, p, t: ([CCDData(x, unit="nmgy", wcs=w) for x in d], NAMES),
    "sequence of pairs": lambda d, w, p, t: ([(x * u.nmgy, w) for x in d], NAMES),
    "paths": lambda d, w, p, t: (p, None),
    "paths in another order": lambda d, w, p, t: ([str(x) for x in reversed(p)], NAMES),
    "mef": lambda d, w, p, t: (mef(t / "mef.fits", d, w), None),
    "mef by numbers": lambda d, w, p, t: (mef(t / "mef.fits", d, w), NAMES),
    "cube": lambda d, w, p, t: (
        write(t / "cube.fits", image_hdu(d, w, fits.PrimaryHDU, BANDS="i,r,g", BUNIT="nmgy")),
        None,
    ),
    "cube named": lambda d, w, p, t: (
        write(t / "cube.fits", image_hdu(d, w, fits.PrimaryHDU, BUNIT="nanomaggies")),
        NAMES,
    ),
    "stack": lambda d, w, p, t: (read_bands((d * u.nmgy, w), bands=NAMES), None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_stack(kind, field_array, tan_wcs, paths, tmp_path):
    image, bands = KINDS[kind](field_array, tan_wcs, paths, tmp_path)
    with read_bands(image, bands=bands) as stack:
        assert isinstance(stack, BandStack)
        assert stack.bands == NAMES
        assert stack.shape == (3, 96, 128)
        assert stack.unit == u.nmgy
        data, mask = stack.read_all()
        assert data.dtype == np.float32
        np.testing.assert_allclose(data, field_array, rtol=1e-6)
        assert not mask.any()
        part, _ = stack.read(10, 50, 20, 90)
        assert np.array_equal(part, data[:, 10:50, 20:90])
        assert stack.pixel_scale.to_value(u.arcsec) == pytest.approx(0.396, rel=1e-6)
        assert "128 x 96 px, 3 bands (i, r, g); nmgy; 0.396 arcsec/px" in repr(stack)


@pytest.mark.parametrize("suffix", ["fits", "fits.gz", "fits.bz2", "fits.fz", "fits.xz"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint16", "int32"])
def test_every_compression_and_type(tmp_path, tan_wcs, suffix, dtype):
    data = np.random.default_rng(1).integers(0, 30000, (96, 128)).astype(dtype)
    path = tmp_path / f"x_r.{suffix}"
    if suffix == "fits.fz":
        hdu = fits.CompImageHDU(data, header=tan_wcs.to_header(), quantize_level=-0.001)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    elif suffix == "fits.xz":
        import lzma

        plain = write(tmp_path / "plain.fits", image_hdu(data, tan_wcs, fits.PrimaryHDU))
        path.write_bytes(lzma.compress(plain.read_bytes()))
    else:
        write(path, image_hdu(data, tan_wcs, fits.PrimaryHDU))
    stack = read_bands(path)
    assert stack.bands == ("r",)
    np.testing.assert_allclose(stack.read_all()[0][0], data, atol=0.01)
    for window in ((5, 60, 3, 20), (0, 96, 1, 128), (95, 96, 127, 128), (50, 96, 0, 128)):
        y0, y1, x0, x1 = window
        np.testing.assert_allclose(stack.read(*window)[0][0], data[y0:y1, x0:x1], atol=0.01)


def test_compression_is_told_by_content(tmp_path, paths):
    for pack in (gzip.compress, bz2.compress):
        path = tmp_path / "named_r.fits"
        path.write_bytes(pack(paths[1].read_bytes()))
        assert read_bands(path).shape == (1, 96, 128)


def test_scaled_integers_and_blank(tmp_path, tan_wcs):
    hdu = image_hdu(np.arange(96 * 128, dtype=np.int16).reshape(96, 128), tan_wcs, fits.PrimaryHDU)
    path = write(tmp_path / "scaled_r.fits", hdu)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header.update(BSCALE=0.5, BZERO=10.0, BLANK=7)
    data, mask = read_bands(path).read_all()
    assert np.argwhere(mask).tolist() == [[0, 0, 7]]
    assert data[0, 0, 7] == 0
    assert data[0, 0, 8] == 14
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header.update(BSCALE=1.0, BZERO=0.0)
    _, mask = read_bands(path).read_all()
    assert np.argwhere(mask).tolist() == [[0, 0, 7]]


def test_one_band_without_a_name(tan_wcs, field_array):
    assert read_bands((field_array[0], tan_wcs)).bands == ("band1",)
    assert read_bands((field_array[0], tan_wcs), bands="g").bands == ("g",)
    assert read_bands((field_array[:1], tan_wcs), bands=["g"]).shape == (1, 96, 128)


def test_hdu_by_name_number_and_list(tmp_path, field_array, tan_wcs):
    hdus = [
        image_hdu(d, tan_wcs, name=n) for d, n in zip(field_array, ("A", "SCI", "SCI"), strict=True)
    ]
    hdus[2].ver = 2
    path = write(tmp_path / "many.fits", None, *hdus)
    for hdu, index in (
        ("a", 0),
        (1, 0),
        (-1, 2),
        ("SCI", 1),
        (("SCI", 2), 2),
        ("SCI,2", 2),
        ("2", 1),
    ):
        stack = read_bands(path, hdu=hdu)
        assert np.array_equal(stack.read_all()[0][0], field_array[index])
    stack = read_bands(path, hdu=[3, "A"], bands=("r", "g"))
    assert np.array_equal(stack.read_all()[0], field_array[[2, 0]])
    with pytest.raises(InputError, match=r"many.fits: holds 3 images; .* 1: A 96 x 128; 2: SCI 96"):
        read_bands(path)
    with pytest.raises(InputError, match=r"many.fits\[XYZ\]: no such HDU; images are: 1: A"):
        read_bands(path, hdu="XYZ")
    with pytest.raises(InputError, match=r"many.fits\[9\]: no such HDU"):
        read_bands(path, hdu=9)
    with pytest.raises(InputError, match=r"many.fits\[0\]: is not an image"):
        read_bands(path, hdu=0)
    with pytest.raises(InputError, match="hdu must be a number, a name or a list"):
        read_bands(path, hdu=1.5)


def test_masks_of_every_kind(tan_wcs, field_array):
    bad = np.zeros(field_array.shape, bool)
    bad[0, 1, 2] = bad[1, 3, 4] = bad[2, 5, 6] = True
    ccd = CCDData(field_array, unit="nmgy", wcs=tan_wcs, mask=bad)
    masked = (np.ma.array(field_array, mask=bad), tan_wcs)
    plain = (field_array, tan_wcs)
    nan = (np.where(bad, np.nan, field_array), tan_wcs)
    inf = (np.where(bad, -np.inf, field_array), tan_wcs)
    ivar = NDData(field_array, wcs=tan_wcs, uncertainty=InverseVariance(np.where(bad, 0, 4.0)))
    sigma = NDData(
        field_array, wcs=tan_wcs, uncertainty=StdDevUncertainty(np.where(bad, np.nan, 0))
    )
    for image, mask in (
        (ccd, None),
        (masked, None),
        (nan, None),
        (inf, None),
        (ivar, None),
        (sigma, None),
        (plain, bad),
        (plain, bad.astype(np.uint8) * 4),
        (plain, dict(zip(NAMES, bad, strict=True))),
    ):
        data, found = read_bands(image, bands=NAMES, mask=mask).read_all()
        assert np.array_equal(found, bad)
        assert (data[bad] == 0).all()
        assert np.array_equal(data[~bad], field_array[~bad])
    two = np.zeros((96, 128), bool)
    two[7, 8] = True
    _, found = read_bands(ccd, bands=NAMES, mask=two).read_all()
    assert np.array_equal(found, bad | two)


def test_mask_of_the_wrong_shape(tan_wcs, field_array):
    image = (field_array, tan_wcs)
    with pytest.raises(InputError, match=r"mask must have the shape of the image, \(96, 128\)"):
        read_bands(image, bands=NAMES, mask=np.zeros((3, 4), bool))
    with pytest.raises(InputError, match="mask has 2 planes for 3 bands"):
        read_bands(image, bands=NAMES, mask=np.zeros((2, 96, 128), bool))
    with pytest.raises(InputError, match="mask must be of booleans or integers"):
        read_bands(image, bands=NAMES, mask=np.zeros((96, 128)))
    with pytest.raises(InputError, match="mask names bands that are not there: z"):
        read_bands(image, bands=NAMES, mask={"z": np.zeros((96, 128), bool)})


def test_mask_from_a_file(tmp_path, paths, tan_wcs):
    bad = np.zeros((96, 128), np.uint8)
    bad[5, 6] = 3
    path = write(tmp_path / "mask.fits", image_hdu(bad, tan_wcs, fits.PrimaryHDU))
    _, found = read_bands(paths, mask=path).read_all()
    assert np.argwhere(found).tolist() == [[i, 5, 6] for i in range(3)]


def test_ccddata_written_to_a_file_keeps_its_mask(tmp_path, field_array, tan_wcs):
    bad = np.zeros((96, 128), bool)
    bad[4, 5] = True
    sigma = StdDevUncertainty(np.ones((96, 128)))
    ccd = CCDData(field_array[0], unit="nmgy", wcs=tan_wcs, mask=bad, uncertainty=sigma)
    ccd.write(tmp_path / "ccd_r.fits")
    stack = read_bands(tmp_path / "ccd_r.fits")
    assert stack.unit == u.nmgy
    assert np.array_equal(stack.read_all()[1][0], bad)


def test_sci_err_dq_by_version(tmp_path, field_array, tan_wcs):
    hdus = [None]
    for ver in (1, 2):
        dq, err = np.zeros((2, 96, 128), np.int16)
        dq[ver, ver] = 1
        for name, values in (("SCI", field_array[ver]), ("ERR", err), ("DQ", dq)):
            hdus.append(image_hdu(values, tan_wcs, name=name))
            hdus[-1].ver = ver
    path = write(tmp_path / "hst.fits", *hdus)
    _, mask = read_bands(path, hdu=("SCI", 2)).read_all()
    assert np.argwhere(mask).tolist() == [[0, 2, 2]]


def test_lsst_masks_do_not_hide_detections(tmp_path, field_array, tan_wcs):
    bits = np.zeros((96, 128), np.int32)
    bits[30, 40] = 1 << 5
    bits[1, 1] = 1 << 8
    mask = image_hdu(bits, tan_wcs, name="MASK", MP_SAT=5, MP_BAD=8)
    mask.header["HIERARCH MP_DETECTED"] = 5
    mask.header["HIERARCH MP_NO_DATA"] = 1
    image = image_hdu(field_array[0], tan_wcs, name="IMAGE", FLUXMAG0=10 ** (27 / 2.5))
    variance = image_hdu(np.ones((96, 128), "f4"), tan_wcs, name="VARIANCE")
    stack = read_bands(
        write(tmp_path / "calexp-HSC-I.fits", None, image, mask, variance), bands="i"
    )
    assert np.argwhere(stack.read_all()[1]).tolist() == [[0, 1, 1]]
    assert stack.unit == u.nmgy


@pytest.mark.parametrize("suffix", ["hdr", "fits"])
def test_a_picture_with_its_header(tmp_path, tan_wcs, suffix):
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 255, (96, 128, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "sky.png")
    header = tan_wcs.to_header()
    if suffix == "hdr":
        (tmp_path / "sky.hdr").write_text(header.tostring(sep="\n"))
    else:
        write(tmp_path / "sky.fits", fits.PrimaryHDU(header=header))
    stack = read_bands(tmp_path / "sky.png")
    assert stack.stretched
    assert stack.bands == ("red", "green", "blue")
    np.testing.assert_allclose(
        stack.read_all()[0], np.moveaxis(pixels[::-1], -1, 0) / 255, rtol=1e-6
    )
    assert read_bands(tmp_path / "sky.png", bands=("i", "r", "g")).bands == NAMES


def test_picture_errors(tmp_path, tan_wcs):
    path = tmp_path / "sky.png"
    Image.fromarray(np.zeros((9, 12, 3), np.uint8) + 5).save(path)
    with pytest.raises(InputError, match="sky.png: a picture needs a FITS header beside it"):
        read_bands(path)
    assert read_bands(path, pixel_only=True).wcs is None
    header = tan_wcs.to_header()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, 128, 96
    (tmp_path / "sky.wcs").write_text(header.tostring(sep="\n"))
    with pytest.raises(
        InputError, match="sky.wcs: describes an image of 128 x 96 pixels, but sky.png"
    ):
        read_bands(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="sky.png: the picture cannot be decoded"):
        read_bands(path)


def test_transparent_picture_pixels_are_bad(tmp_path, tan_wcs):
    pixels = np.full((96, 128, 4), 200, np.uint8)
    pixels[0, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "sky.png")
    (tmp_path / "sky.hdr").write_text(tan_wcs.to_header().tostring(sep="\n"))
    _, mask = read_bands(tmp_path / "sky.png").read_all()
    assert mask[:, 95].all()
    assert not mask[:, :95].any()


def test_8_bit_fits_is_a_picture(tmp_path, tan_wcs):
    data = np.full((3, 96, 128), 255, np.uint8)
    path = write(tmp_path / "rgb.fits", image_hdu(data, tan_wcs, fits.PrimaryHDU))
    stack = read_bands(path)
    assert stack.stretched
    assert stack.bands == ("red", "green", "blue")
    assert (stack.read_all()[0] == 1).all()
    assert not read_bands(path, stretched=False).stretched


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (5, "image must be a path, CCDData, NDData, array, .* got int"),
        ([], "empty sequence"),
        ({}, "empty mapping"),
        (np.zeros(5), r"image must be 2-D or \(band, y, x\), got shape \(5,\)"),
        (np.zeros((2, 2, 4, 4)), r"got shape \(2, 2, 4, 4\)"),
        (np.zeros((0, 4)), "image has no pixels"),
        (np.zeros((4, 4), complex), "pixels must be real numbers, got dtype complex128"),
        (np.array([["a"]]), "pixels must be real numbers"),
        (np.zeros((3, 4, 4)), "holds 3 planes of 4 x 4 px without band names"),
        ({"g": np.zeros((2, 4, 4))}, "band 'g' must be one image, got 2 planes"),
        (np.full((4, 4), np.nan), "all pixels are masked or not finite"),
        ([np.ones((4, 4)), np.ones((4, 5))], "without band names"),
    ],
)
def test_bad_arrays(image, message):
    with pytest.raises(InputError, match=message):
        read_bands(image, pixel_only=True)


def test_band_names(field_array, tan_wcs, paths):
    image = (field_array, tan_wcs)
    with pytest.raises(InputError, match=r"2 bands given \(i, r\) for 3 planes"):
        read_bands(image, bands=("i", "r"))
    with pytest.raises(InputError, match="bands must be different names"):
        read_bands(image, bands=("i", "i", "g"))
    with pytest.raises(InputError, match="without WCS must have one shape"):
        read_bands([field_array[0], field_array[1, :5]], bands="ir", pixel_only=True)
    with pytest.raises(InputError, match="several planes are called the same: r, r"):
        read_bands([paths[1], paths[1]])
    assert read_bands(paths, bands="g").bands == ("g",)
    assert read_bands(paths, bands=("u", "v", "w")).bands == ("u", "v", "w")


@pytest.mark.parametrize(
    ("name", "band"),
    [
        ("reprojected_sdss_g.fits.bz2", "g"),
        ("frame-r-001737-5-0047.fits", "r"),
        ("legacysurvey-0591m305-image-z.fits.fz", "z"),
        ("a.i.fits", "i"),
        ("/data_g/field.fits", None),
        ("img.fits", None),
        ("hst_f814w_drz.fits", "F814W"),
    ],
)
def test_band_from_name(name, band):
    assert band_from_name(name) == band


@pytest.mark.parametrize(
    ("card", "band"),
    [
        ("g.MP9401", "g"),
        ("OCAM_r_SDSS", "r"),
        ("HSC-I", "i"),
        ("r DECam SDSS c0002 6415.0 1480.0", "r"),
        ("F814W", "F814W"),
        ("R", "R"),
        (" ", None),
    ],
)
def test_band_from_filter(card, band):
    assert band_from_filter(card) == band
