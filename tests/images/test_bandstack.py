import hashlib
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, NDDataRef
from astropy.wcs import WCS

from astro_objdet.errors import InputError
from astro_objdet.images import BandStack, read_bands


@pytest.fixture
def files(tmp_path, field_array, tan_wcs):
    paths = []
    for band, data in zip("irg", field_array, strict=True):
        paths.append(tmp_path / f"f_{band}.fits")
        fits.PrimaryHDU(data, header=tan_wcs.to_header()).writeto(paths[-1])
    return paths


def test_select(small_stack, field_array):
    stack = small_stack.select(("g", "i"))
    assert stack.bands == ("g", "i")
    assert np.array_equal(stack.read_all()[0], field_array[[2, 0]])
    assert stack.unit == small_stack.unit
    assert small_stack.select("r").shape == (1, 96, 128)
    with pytest.raises(InputError, match="missing bands z, y; the image has i, r, g"):
        small_stack.select(("z", "g", "y"))
    with pytest.raises(InputError, match="missing band z; the image has i, r, g"):
        read_bands(small_stack, bands=("i", "z"))


def test_sections_must_lie_inside(small_stack):
    for window in ((-1, 5, 0, 5), (0, 97, 0, 5), (5, 5, 0, 5), (0, 5, 120, 129)):
        with pytest.raises(InputError, match="must lie inside the image of shape"):
            small_stack.read(*window)


def test_noise(small_stack):
    np.testing.assert_allclose(small_stack.noise(), 0.02, rtol=0.05)
    assert small_stack.noise().shape == (3,)
    assert small_stack.noise() is not small_stack.noise()


def test_footprint_is_the_outer_edge(small_stack):
    corners = small_stack.footprint()
    expected = small_stack.wcs.pixel_to_world([-0.5, 127.5, 127.5, -0.5], [-0.5, -0.5, 95.5, 95.5])
    assert corners.separation(expected).max() < 1e-6 * u.arcsec
    assert corners.frame.name == "icrs"
    assert corners[0].separation(corners[1]).arcsec == pytest.approx(128 * 0.396, rel=1e-6)


def test_sources(files):
    sources = read_bands(files).sources
    assert [s["band"] for s in sources] == ["i", "r", "g"]
    assert [s["path"] for s in sources] == [str(p) for p in files]
    assert [s["hdu"] for s in sources] == [0, 0, 0]
    assert sources[1]["sha256"] == hashlib.sha256(files[1].read_bytes()).hexdigest()
    array = read_bands(np.ones((9, 9)), pixel_only=True).sources
    assert array == [{"band": "band1", "path": None, "hdu": None, "sha256": None}]


def test_planes_must_fit_together(small_stack):
    planes = small_stack._planes
    with pytest.raises(InputError, match="bands must be named, each differently"):
        BandStack(("a", "a", "b"), planes)
    with pytest.raises(InputError, match="got 2 band names for 3 planes"):
        BandStack(("a", "b"), planes)


@pytest.mark.parametrize("packed", [False, True])
def test_threads_read_the_same(tmp_path, field_array, tan_wcs, packed):
    paths = []
    for band, data in zip("irg", field_array, strict=True):
        paths.append(tmp_path / f"t_{band}.fits")
        kind = fits.CompImageHDU if packed else fits.ImageHDU
        hdu = kind(data, header=tan_wcs.to_header())
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(paths[-1])
    stack = read_bands(paths)
    whole = stack.read_all()[0]
    rng = np.random.default_rng(0)
    windows = [
        (*sorted(rng.choice(97, 2, replace=False)), *sorted(rng.choice(129, 2, replace=False)))
        for _ in range(200)
    ]
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda w: stack.read(*w)[0], windows))
    for (y0, y1, x0, x1), part in zip(windows, parts, strict=True):
        assert np.array_equal(part, whole[:, y0:y1, x0:x1])


def gaussian(wcs, shape, sky, fwhm=3.0, flux=100.0):
    """A star of known flux, drawn on the pixels of a WCS by angular distance."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance = wcs.pixel_to_world(x, y).separation(sky).arcsec
    sigma = fwhm / 2.3548
    area = abs(np.linalg.det(wcs.pixel_scale_matrix)) * 3600**2
    return flux * area / (2 * np.pi * sigma**2) * np.exp(-(distance**2) / (2 * sigma**2))


@pytest.mark.parametrize(
    ("scale", "rotation", "ra"), [(0.396, 30, 150), (0.25, 0, 150), (0.7, -75, 150), (0.3, 10, 0.0)]
)
def test_other_grids_are_reprojected(make_wcs, scale, rotation, ra):
    shape, other_shape = (120, 140), (400, 420)
    wcs = make_wcs(shape, ra=ra)
    other = make_wcs(other_shape, scale=scale, rotation=rotation, ra=ra)
    star = SkyCoord(ra * u.deg, 2 * u.deg).directional_offset_by(70 * u.deg, 8 * u.arcsec)
    image = {
        "r": (gaussian(wcs, shape, star) * u.nmgy, wcs),
        "g": (gaussian(other, other_shape, star) * u.nmgy, other),
    }
    stack = read_bands(image)
    data, mask = stack.read_all()
    assert stack.shape == (2, *shape)
    assert not mask.any()
    assert data[1].sum() == pytest.approx(100, rel=0.01)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for values in data:
        cx, cy = (values * x).sum() / values.sum(), (values * y).sum() / values.sum()
        assert wcs.pixel_to_world(cx, cy).separation(star).arcsec < 0.01
    assert abs(data[1] - data[0]).max() < 0.08 * data[0].max()
    part, _ = stack.read(30, 77, 41, 99)
    assert part.tobytes() == data[:, 30:77, 41:99].tobytes()


def test_masks_are_reprojected_and_do_not_spread(make_wcs):
    shape = (100, 100)
    wcs, other = make_wcs(shape), make_wcs(shape, rotation=20)
    bad = np.zeros(shape, bool)
    bad[40:50, 40:50] = True
    second = np.where(bad, np.nan, 3.0)
    stack = read_bands({"r": (np.ones(shape), wcs), "g": (second, other)})
    data, mask = stack.read_all()
    np.testing.assert_allclose(data[1][~mask[1]], 3, rtol=1e-5)
    inside = mask[1][20:80, 20:80].sum()
    assert 85 < inside < 115
    assert mask[1][0, 0]
    assert not mask[0].any()


def test_a_grid_shifted_by_whole_pixels(make_wcs):
    wcs = make_wcs((60, 60))
    data = np.random.default_rng(1).normal(size=(60, 60)).astype(np.float32)
    shifted = wcs[5:55, 10:60]
    stack = read_bands({"r": (data, wcs), "g": (data[5:55, 10:60], shifted)})
    values, mask = stack.read_all()
    np.testing.assert_allclose(values[1][~mask[1]], data[~mask[1]], atol=1e-4)
    assert mask[1].sum() == pytest.approx(60 * 60 - 50 * 50, abs=130)


def test_nearly_equal_grids_are_not_reprojected(make_wcs, field_array):
    wcs, other = make_wcs(), make_wcs(ra=150 + 0.001 * 0.396 / 3600)
    stack = read_bands({"r": (field_array[0], wcs), "g": (field_array[1], other)})
    assert np.array_equal(stack.read_all()[0][1], field_array[1])


def test_bands_of_different_sky(make_wcs, field_array, tmp_path):
    path = tmp_path / "far_g.fits"
    fits.PrimaryHDU(field_array[1], header=make_wcs(ra=10).to_header()).writeto(path)
    near = CCDData(field_array[0], unit="adu", wcs=make_wcs())
    message = r"far_g.fits\[0\]: bands cover different areas of the sky: g is centred at RA 10.0"
    with pytest.raises(InputError, match=message):
        read_bands({"r": near, "g": path})


def test_sip_and_tpv_files(tmp_path, make_wcs, field_array):
    base = make_wcs().to_header()
    sip = base.copy()
    sip.update(
        CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", A_ORDER=2, B_ORDER=2, A_2_0=1e-5, B_0_2=1e-5
    )
    tpv = base.copy()
    tpv.update(CTYPE1="RA---TPV", CTYPE2="DEC--TPV", PV1_1=1.0, PV1_4=1e-3, PV2_1=1.0)
    for name, header in (("sip", sip), ("tpv", tpv)):
        path = tmp_path / f"{name}_r.fits"
        fits.PrimaryHDU(field_array[0], header=header).writeto(path)
        stack = read_bands(path)
        x, y = np.array([0, 127, 64.3]), np.array([0, 95, 7.7])
        back = stack.wcs.world_to_pixel(stack.wcs.pixel_to_world(x, y))
        np.testing.assert_allclose(back, (x, y), atol=1e-3)


def test_axes_in_the_other_order(field_array, make_wcs):
    swapped = make_wcs().sub([2, 1])
    stack = read_bands((field_array[0].T, swapped))
    assert stack.shape == (1, 128, 96)
    expected = make_wcs().pixel_to_world(40, 30)
    assert stack.wcs.pixel_to_world(30, 40).separation(expected).arcsec < 1e-6


def test_sliced_nddata_keeps_its_place(field_array, tan_wcs):
    image = NDDataRef(field_array[0], wcs=tan_wcs)[20:60, 30:90]
    stack = read_bands(image)
    assert stack.shape == (1, 40, 60)
    assert stack.wcs.pixel_to_world(10, 10).separation(tan_wcs.pixel_to_world(40, 30)).arcsec < 1e-6


def test_a_three_axis_wcs(field_array, tan_wcs):
    header = tan_wcs.to_header()
    header.update(WCSAXES=3, CTYPE3="WAVE", CUNIT3="m", CRVAL3=5e-7, CDELT3=1e-8, CRPIX3=1.0)
    stack = read_bands((field_array, WCS(header)), bands="irg")
    assert stack.wcs.naxis == 2
    assert stack.pixel_scale.to_value(u.arcsec) == pytest.approx(0.396, rel=1e-6)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_memory_stays_far_below_the_size_of_the_field(tmp_path, make_wcs):
    """Three bands of 8000 x 8000 float32 (768 MB) as sparse files, read tile by tile."""
    n = 8000
    header = make_wcs((n, n)).to_header()
    for band in "irg":
        hdu = fits.PrimaryHDU(np.zeros((1, n), np.float32), header=header)
        hdu.header["BUNIT"] = "nmgy"
        hdu.writeto(tmp_path / f"big_{band}.fits")
        with fits.open(tmp_path / f"big_{band}.fits", mode="update") as hdus:
            start = hdus[0].fileinfo()["datLoc"]
        text = (tmp_path / f"big_{band}.fits").read_bytes()[:start]
        text = text.replace(b"NAXIS2  =                    1", b"NAXIS2  =                 8000")
        (tmp_path / f"big_{band}.fits").write_bytes(text)
        os.truncate(tmp_path / f"big_{band}.fits", start + 4 * n * n)
    code = """
        import resource, sys
        from astro_objdet.images import SqrtFluxStretch, TileGrid, read_bands
        stack = read_bands(sys.argv[1:])
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        before = peak()
        stack.noise()
        grid = TileGrid(stack, 0.792, 1000, 100, SqrtFluxStretch(0, 10))
        for tile in grid.tiles[:6]:
            grid.read(tile)
        print(peak() - before)
    """
    paths = [str(tmp_path / f"big_{b}.fits") for b in "irg"]
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *paths],
        check=True,
        capture_output=True,
        text=True,
    )
    assert float(out.stdout) < 250
