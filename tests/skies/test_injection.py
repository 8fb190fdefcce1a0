"""Sources injected into images: into made ones, and into real ones of SDSS and CFHTLS."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.wcs import WCS

pytest.importorskip("galsim", reason="drawing needs the extra simulate")

from astro_objdet.errors import InputError  # noqa: E402
from astro_objdet.images import read_bands  # noqa: E402
from astro_objdet.skies.conditions import SURVEYS, Survey  # noqa: E402
from astro_objdet.skies.drawing import Sources, draw_sources  # noqa: E402
from astro_objdet.skies.injection import inject  # noqa: E402

CFHTLS = Survey("cfhtls", 0.186, (0.88, 0.82, 0.75), (0.02, 0.03, 0.04), electrons=(2e4, 3e4, 3e4))


def rng():
    return np.random.default_rng(11)


def sources(x=0.0, y=0.0, flux=(100, 200, 300), radius=0.0, q=1.0, angle=0.0, index=0.0):
    values = (x, y, flux, radius, q, angle, index)
    return Sources(*(np.array([value], dtype=float) for value in values))


def bands_of(wcs, shape=(96, 128), names="gri", unit=u.nmgy):
    data = np.random.default_rng(1).normal(0, 0.02, (len(names), *shape)).astype(np.float32)
    return {
        name: CCDData(plane, unit=unit, wcs=wcs, meta={"FILTER": name})
        for name, plane in zip(names, data, strict=True)
    }


def centre_of(plane):
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return (plane * x).sum() / plane.sum(), (plane * y).sum() / plane.sum()


def moments_angle(plane):
    """Angle of the major axis from +x, in [0, pi)."""
    x0, y0 = centre_of(plane)
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
    xx, yy, xy = ((plane * m).sum() for m in ((x - x0) ** 2, (y - y0) ** 2, (x - x0) * (y - y0)))
    return 0.5 * np.arctan2(2 * xy, xx - yy) % np.pi


def added(result, image):
    return {b: result.images[b].data - image[b].data for b in image}


def test_in_pixels_it_is_what_draw_sources_draws(tan_wcs):
    image = bands_of(tan_wcs)
    galaxy = sources(60.2, 40.7, radius=1.0, q=0.5, angle=0.7, index=1.0)
    result = inject(image, galaxy, "sdss", rng=rng(), photon_noise=False)
    drawn = draw_sources(galaxy, (96, 128), SURVEYS["sdss"]) * 0.396**2
    for plane, expected in zip(added(result, image).values(), drawn, strict=True):
        np.testing.assert_allclose(plane, expected, atol=1e-3)


def test_the_input_stays_as_it_is(tan_wcs):
    image = bands_of(tan_wcs)
    before = {band: ccd.data.copy() for band, ccd in image.items()}
    inject(image, sources(60, 40), "sdss", rng=rng())
    for band, ccd in image.items():
        assert np.array_equal(ccd.data, before[band])


def test_mask_nan_header_unit_and_type_are_kept(tan_wcs):
    image = bands_of(tan_wcs, unit=u.uJy)
    image["r"].mask = np.zeros((96, 128), bool)
    image["r"].mask[3:5] = True
    image["r"].uncertainty = StdDevUncertainty(np.ones((96, 128)))
    image["i"].data[10, 20] = np.nan
    image["g"].data = image["g"].data.astype(">f8")
    result = inject(image, sources(20, 10), "sdss", rng=rng(), photon_noise=False)
    for band, ccd in result.images.items():
        assert ccd.unit == u.uJy
        assert ccd.meta["FILTER"] == band
        assert ccd.wcs.wcs.compare(tan_wcs.wcs)
        assert ccd.data.dtype == image[band].data.dtype
    assert np.array_equal(result.images["r"].mask, image["r"].mask)
    assert result.images["r"].uncertainty is not None
    assert np.array_equal(np.isnan(result.images["i"].data), np.isnan(image["i"].data))
    # 100 nanomaggies are 363.1 microjansky
    gained = (result.images["g"].data - image["g"].data).sum()
    assert gained == pytest.approx(363.1, rel=0.005)


def test_whole_numbers_become_floats(tan_wcs):
    data = np.random.default_rng(0).integers(0, 50, (96, 128))
    image = {"r": CCDData(data, unit="adu", wcs=tan_wcs)}
    result = inject(image, sources(60, 40), "sdss", rng=rng(), zero_point=25.0)
    gained = result.images["r"].data - data
    assert result.images["r"].data.dtype == np.float32
    assert gained.sum() == pytest.approx(200 * 10**1.0, rel=0.02)


@pytest.mark.parametrize("rotation", [0.0, 37.0, 190.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_position_and_angle_follow_the_wcs(make_wcs, rotation, mirrored):
    wcs = make_wcs(rotation=rotation)
    if mirrored:
        wcs.wcs.cd = wcs.wcs.cd * [[-1, 1], [-1, 1]]
        wcs.wcs.set()
    image = bands_of(wcs, names="r")
    centre = wcs.pixel_to_world(64, 48)
    # 6 arcsec east and 3 north of the centre, its major axis to the north east
    place = centre.spherical_offsets_by(6 * u.arcsec, 3 * u.arcsec)
    galaxy = sources(-6, 3, radius=1.5, q=0.3, angle=np.pi * 0.75, index=1.0)
    result = inject(image, galaxy, "sdss", centre, rng=rng(), photon_noise=False)
    plane = added(result, image)["r"]
    x, y = wcs.world_to_pixel(place)
    assert centre_of(plane) == pytest.approx((float(x), float(y)), abs=0.02)
    further = place.directional_offset_by(45 * u.deg, 4 * u.arcsec)
    x2, y2 = wcs.world_to_pixel(further)
    expected = np.arctan2(y2 - y, x2 - x) % np.pi
    off = (moments_angle(plane) - expected + np.pi / 2) % np.pi - np.pi / 2
    assert abs(off) < 0.02
    row = result.truth[0]
    assert SkyCoord(row["ra"], row["dec"]).separation(place).to_value(u.arcsec) < 0.001
    assert (row["x"].value, row["y"].value) == pytest.approx((float(x), float(y)), abs=1e-3)


def test_bands_may_lie_on_grids_of_their_own(make_wcs):
    image = {
        "g": bands_of(make_wcs(scale=0.5, rotation=20.0), names="g")["g"],
        "i": bands_of(make_wcs(shape=(150, 150), scale=0.25), (150, 150), names="i")["i"],
    }
    places = SkyCoord([150.0005, 149.999], [2.0, 2.001], unit="deg")
    result = inject(image, sources(), "sdss", places, rng=rng(), photon_noise=False)
    assert len(result.truth) == 2
    assert result.truth["position"].tolist() == [0, 1]
    for band, flux in (("g", 200), ("i", 600)):
        plane = added(result, image)[band]
        assert plane.shape == image[band].shape
        assert plane.sum() == pytest.approx(flux, rel=0.02)
        for place in places:
            x, y = (int(np.rint(v)) for v in image[band].wcs.world_to_pixel(place))
            near = plane[y - 1 : y + 2, x - 1 : x + 2]
            assert near.max() > 0.3 * plane.max()
    with pytest.raises(InputError, match="different grids need positions"):
        inject(image, sources(30, 30), "sdss", rng=rng())


def test_across_ra_zero_and_at_the_pole(make_wcs):
    for ra, dec in ((0.0, 10.0), (0.0, 89.999)):
        wcs = make_wcs(ra=ra, dec=dec)
        image = bands_of(wcs, names="r")
        pair = Sources.join([sources(-8, 0), sources(8, 0)])
        result = inject(image, pair, "sdss", [(ra, dec)], rng=rng(), photon_noise=False)
        x = np.sort(result.truth["x"].value)
        assert x == pytest.approx([63.5 - 8 / 0.396, 63.5 + 8 / 0.396], abs=0.01)


def test_callables_draw_each_position_anew(tan_wcs):
    image = bands_of(tan_wcs)
    places = [(150.0, 2.0), (150.001, 2.001)]

    def clump(generator):
        n = generator.integers(3, 6)
        one = np.ones(n)
        offset = generator.normal(0, 2, (2, n))
        return Sources(*offset, np.full((n, 3), 5.0), 0.5 * one, one, 0 * one, one)

    one, two = (inject(image, clump, "sdss", places, rng=rng()) for _ in range(2))
    assert set(one.truth["position"]) == {0, 1}
    assert one.images["r"].data.tobytes() == two.images["r"].data.tobytes()
    assert len(set(one.truth["x"].value)) == len(one.truth) >= 6


def test_light_comes_in_electrons(tan_wcs):
    image = {"r": CCDData(np.full((96, 128), 1e-6), unit=u.nmgy, wcs=tan_wcs)}
    survey = SURVEYS["sdss"]
    star = sources(64, 48, flux=(1, 2, 3))
    gains = [
        inject(image, star, survey, rng=np.random.default_rng(k)).images["r"].data - 1e-6
        for k in range(60)
    ]
    electrons = gains[0] * survey.electrons[1]
    np.testing.assert_allclose(electrons, np.rint(electrons), atol=1e-6)
    totals = np.array([g.sum() for g in gains]) * survey.electrons[1]
    assert totals.std() == pytest.approx(np.sqrt(2 * survey.electrons[1]), rel=0.3)


def test_psf_comes_from_the_image_or_the_caller(tan_wcs):
    image = bands_of(tan_wcs, names="r")
    image["r"].meta["PSF_FWHM"] = 2.5
    star = sources(64, 48)
    told = inject(image, star, "sdss", rng=rng(), photon_noise=False)
    given = inject(image, star, "sdss", rng=rng(), photon_noise=False, psf_fwhm=1.0 * u.arcsec)
    narrow, wide = (added(r, image)["r"].max() for r in (given, told))
    assert narrow > 3 * wide


def test_stack_comes_back_in_nanomaggies(small_stack):
    result = inject(small_stack, sources(60, 40), "sdss", rng=rng())
    assert list(result.images) == ["i", "r", "g"]
    before, _ = small_stack.read_all()
    for plane, (band, ccd) in zip(before, result.images.items(), strict=True):
        assert ccd.unit == u.nmgy
        expected = {"g": 100, "r": 200, "i": 300}[band]
        assert (ccd.data - plane).sum() == pytest.approx(expected, rel=0.02)
    again = read_bands(result.images)
    assert again.bands == ("i", "r", "g")


def test_bad_input_is_refused(tan_wcs, field_array):
    image = bands_of(tan_wcs)
    star = sources(10, 10)
    uncalibrated = {"r": CCDData(field_array[0], unit="adu", wcs=tan_wcs)}
    with pytest.raises(InputError, match="band r has no flux scale: give unit or zero_point"):
        inject(uncalibrated, star, "sdss", rng=rng())
    with pytest.raises(InputError, match="survey must be one of 'des', 'hsc', 'lsst', 'sdss'"):
        inject(image, star, "vst", rng=rng())
    with pytest.raises(InputError, match="band must be one of 'g', 'i', 'r'; got 'z'"):
        inject(bands_of(tan_wcs, names="rz"), star, "sdss", rng=rng())
    with pytest.raises(InputError, match=r"finite pairs of ra and dec in deg, got shape \(3,\)"):
        inject(image, star, "sdss", [1, 2, 3], rng=rng())
    with pytest.raises(InputError, match="positions must hold at least one"):
        inject(image, star, "sdss", SkyCoord([], [], unit="deg"), rng=rng())
    with pytest.raises(InputError, match="ra and dec in deg: Latitude"):
        inject(image, star, "sdss", [(10, 100)], rng=rng())
    with pytest.raises(InputError, match="one for each of 2 positions"):
        inject(image, [star] * 3, "sdss", [(150, 2), (150, 2)], rng=rng())
    with pytest.raises(InputError, match="out of reach of the image's WCS"):
        inject(image, star, "sdss", [(330.0, -2.0)], rng=rng())
    plain = read_bands(field_array, bands=("g", "r", "i"), unit="nmgy", pixel_only=True)
    with pytest.raises(InputError, match="band g has no WCS"):
        inject(plain, star, "sdss", [(150, 2)], rng=rng())
    assert "ra" not in inject(plain, star, "sdss", rng=rng()).truth.colnames


def real(folder, name):
    """Real bands as a user reads them, and the survey they are of."""
    if name == "sdss":
        files = {b: folder / "sdss" / f"reprojected_sdss_{b}.fits.bz2" for b in "gri"}
        survey = SURVEYS["sdss"]
    else:
        files = {b: folder / "cfhtls" / f"CFHTLS-test_{b}.fits" for b in "gri"}
        survey = CFHTLS
    image = {}
    for band, path in files.items():
        with fits.open(path) as hdus:
            header = hdus[0].header
            unit = u.nmgy if name == "sdss" else u.adu
            image[band] = CCDData(hdus[0].data, unit=unit, wcs=WCS(header), meta=header)
    return image, survey


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
@pytest.mark.parametrize("name", ["sdss", "cfhtls"])
def test_flux_is_recovered_from_real_images(sample_data, name):
    """Stars of 40 times the noise, fitted with the PSF: what comes back is what went in."""
    image, survey = real(sample_data, name)
    stack = read_bands({"r": image["r"]})
    scale, noise = stack.pixel_scale.value, stack.noise()[0]
    fwhm = survey.psf_fwhm[1] if name == "sdss" else 0.879  # IQIMAGE of its header
    x, y = np.mgrid[40:400:36, 40:400:36].reshape(2, -1) + np.random.default_rng(4).random((2, 100))
    places = image["r"].wcs.pixel_to_world(x, y)
    flux = 40 * noise * 1.84 * fwhm / scale
    result = inject(image, sources(flux=(flux,) * 3), survey, places, rng=rng())
    np.testing.assert_allclose(result.truth["x"].value, x, atol=0.01)
    before, after = (read_bands({"r": i["r"]}).read_all()[0][0] for i in (image, result.images))
    assert (after - before).sum() == pytest.approx(100 * flux, rel=0.01)
    drawn = survey.binned(scale / survey.pixel_scale)
    if name == "cfhtls":
        drawn = replace(drawn, psf_fwhm=(fwhm,) * 3, binning=1)
    pulls, found = [], []
    for x0, y0 in zip(x, y, strict=True):
        ix, iy = round(x0), round(y0)
        cut = np.s_[iy - 12 : iy + 13, ix - 12 : ix + 13]
        star = sources(12 + x0 - ix, 12 + y0 - iy, flux=(100, 100, 100))
        psf = draw_sources(star, (25, 25), drawn)[1] * scale**2 / 100
        got, old = ((plane[cut] * psf).sum() / (psf**2).sum() for plane in (after - before, before))
        photons = np.sqrt(flux * (psf**3).sum() / survey.electrons[1]) / (psf**2).sum()
        pulls.append((got - flux) / photons)
        found.append((got + old - flux) / (noise / np.sqrt((psf**2).sum())))
    assert np.median(pulls) == pytest.approx(0, abs=0.4)
    assert np.std(pulls) == pytest.approx(1, abs=0.3)
    # on the sky as it is, objects and all: a fair share within three times its noise
    assert np.mean(np.abs(found) < 3) > 0.4
