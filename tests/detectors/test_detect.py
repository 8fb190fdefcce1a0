"""`Detector.detect` with the bundled weights, on the packaged demo field."""

from importlib.resources import files
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, NDData
from astropy.table import QTable

from astro_objdet import Detections, Detector, read_bands
from astro_objdet.catalogs.calibration import Calibration
from astro_objdet.errors import BandWarning, InputError, ModelError, UncalibratedWarning

EXAMPLES = Path(str(files("astro_objdet") / "examples"))
PATHS = {band: EXAMPLES / f"demo_{band}.fits.fz" for band in "gri"}


def richest():
    truth = QTable.read(EXAMPLES / "demo_truth.ecsv")
    return truth[np.argmax(truth["richness"])]


@pytest.fixture(scope="module")
def detector():
    return Detector.from_pretrained("deepcee", device="cpu")


@pytest.fixture(scope="module")
def bands():
    """660 px of the demo field around its richest cluster, one `CCDData` per band."""
    x, y = (int(richest()[name].value) - 330 for name in "xy")
    section = (slice(max(y, 0), max(y, 0) + 660), slice(min(x, 940), min(x, 940) + 660))
    cut = {}
    for band, path in PATHS.items():
        with fits.open(path) as hdus:
            stack = read_bands(path)
            data = hdus[1].data[section].astype(np.float32)
        wcs = stack.wcs[section]
        stack.close()
        cut[band] = CCDData(data, unit=u.nmgy, wcs=wcs)
    return cut


@pytest.fixture(scope="module")
def cluster():
    return SkyCoord(richest()["ra"], richest()["dec"])


@pytest.fixture(scope="module")
def expected(detector, bands):
    return detector.detect(bands)


def same(found, expected):
    assert len(found) == len(expected)
    for name in ("ra", "dec", "score", "x_min", "y_max"):
        np.testing.assert_allclose(
            np.asarray(found[name]), np.asarray(expected[name]), rtol=0, atol=2e-3
        )


def test_the_cluster_is_found(expected, cluster):
    assert isinstance(expected, Detections)
    found = expected[expected.skycoord.separation(cluster) < 15 * u.arcsec]
    assert len(found) == 1
    assert found["label"][0] == "cluster"
    assert found["score"][0] > 0.5
    assert np.all(np.diff(expected["score"]) <= 0)


def test_mapping_order_does_not_matter(detector, bands, expected):
    same(detector.detect({band: bands[band] for band in "irg"}), expected)


def test_cube_of_ccddata(detector, bands, expected):
    cube = CCDData(np.stack([bands[b].data for b in "gri"]), unit=u.nmgy, wcs=bands["g"].wcs)
    same(detector.detect(cube, bands=("g", "r", "i")), expected)


def test_sequence_of_nddata(detector, bands, expected):
    planes = [NDData(bands[b].data, unit=u.nmgy, wcs=bands[b].wcs) for b in "irg"]
    same(detector.detect(planes, bands=("i", "r", "g")), expected)


def test_array_and_wcs(detector, bands, expected):
    cube = np.stack([bands[b].data for b in "irg"])
    found = detector.detect((cube, bands["i"].wcs), bands=("i", "r", "g"), unit=u.nmgy)
    same(found, expected)


def test_counts_with_a_zero_point(detector, bands, expected):
    gain = 10 ** ((25.0 - 22.5) / 2.5)
    cube = np.stack([bands[b].data * gain for b in "irg"])
    found = detector.detect(
        (cube, bands["i"].wcs), bands=("i", "r", "g"), unit=u.adu, zero_point=25.0
    )
    assert len(found) == len(expected)
    np.testing.assert_allclose(found["score"], expected["score"], atol=2e-3)


def test_janskys(detector, bands, expected):
    planes = {
        b: CCDData(
            (ccd.data * u.nmgy).to_value(u.Jy, u.zero_point_flux(3631 * u.Jy)),
            unit=u.Jy,
            wcs=ccd.wcs,
        )
        for b, ccd in bands.items()
    }
    found = detector.detect(planes)
    np.testing.assert_allclose(found["score"], expected["score"], atol=2e-3)


def test_files(detector, bands, expected, tmp_path):
    for b, ccd in bands.items():
        ccd.write(tmp_path / f"cut_{b}.fits")
    same(detector.detect([tmp_path / f"cut_{b}.fits" for b in "gri"]), expected)
    stack = read_bands([tmp_path / f"cut_{b}.fits" for b in "gri"])
    same(detector.detect(stack), expected)
    multi = fits.HDUList([fits.PrimaryHDU()])
    for b, ccd in bands.items():
        hdu = fits.ImageHDU(ccd.data, ccd.wcs.to_header(), name=f"SCI_{b}")
        hdu.header["BUNIT"], hdu.header["BAND"] = "nanomaggy", b
        multi.append(hdu)
    multi.writeto(tmp_path / "multi.fits")
    same(detector.detect(tmp_path / "multi.fits", hdu=[1, 2, 3]), expected)


def test_the_packaged_files(detector, cluster):
    found = detector.detect(list(PATHS.values()))
    assert found.skycoord.separation(cluster).min() < 15 * u.arcsec
    assert [source["band"] for source in found.meta["inputs"]] == ["i", "r", "g"]
    assert all(len(source["sha256"]) == 64 for source in found.meta["inputs"])


def test_an_eight_bit_picture(detector, bands, cluster):
    flux = np.stack([bands[b].data for b in "irg"]) / 0.396**2
    picture = np.round(255 * np.sqrt(np.clip((flux + 0.2) / 10.2, 0, 1))).astype(np.uint8)
    found = detector.detect((picture, bands["i"].wcs), bands=("i", "r", "g"), stretch="identity")
    near = found.skycoord.separation(cluster) < 15 * u.arcsec
    assert found[near]["score"].max() > 0.5
    assert found.meta["stretch"] == {"name": "identity"}


def test_one_band_warns(detector, bands):
    with pytest.warns(BandWarning, match="the one band r stands in for all three"):
        found = detector.detect(bands["r"], bands=("r",), threshold=0.1)
    assert found.meta["bands"] == ["r"]


def test_other_bands_warn_and_too_few_are_refused(detector, bands):
    renamed = {"z": bands["i"], "r": bands["r"], "g": bands["g"]}
    with pytest.warns(BandWarning, match=r"z, r, g stand in"):
        found = detector.detect(renamed)
    assert found.meta["bands"] == ["z", "r", "g"]
    with pytest.raises(InputError, match="made for i, r, g .*the image has g, r;"):
        detector.detect({b: bands[b] for b in "gr"})


def test_uncalibrated_pixels_warn_and_still_work(detector, bands, cluster):
    cube = np.stack([bands[b].data * 371.0 + 50 for b in "irg"])
    with pytest.warns(UncalibratedWarning, match="no known flux scale"):
        found = detector.detect((cube, bands["i"].wcs), bands=("i", "r", "g"))
    near = found.skycoord.separation(cluster) < 15 * u.arcsec
    assert found[near]["score"].max() > 0.5


def test_pixel_only(detector, bands, expected):
    cube = np.stack([bands[b].data for b in "irg"])[:, ::2, ::2]
    with pytest.warns(UncalibratedWarning, match="no known flux scale"):
        found = detector.detect(cube, bands=("i", "r", "g"), pixel_only=True, threshold=0.1)
    assert np.isnan(found["ra"]).all()
    assert "footprint_deg" not in found.meta


def test_masked_cluster_is_not_found(detector, bands, expected):
    x, y = (np.asarray(expected[name][0]) for name in ("x_min", "y_min"))
    mask = np.zeros(bands["i"].shape, dtype=bool)
    mask[max(0, int(y)) :, max(0, int(x)) :] = True
    masked = {b: CCDData(c.data, unit=c.unit, wcs=c.wcs, mask=mask) for b, c in bands.items()}
    found = detector.detect(masked)
    assert len(found) < len(expected) or found["score"].max() < expected["score"].max()


def test_another_pixel_scale_gives_the_same_sky(detector, bands, expected):
    """An image at twice the pixel scale is resampled by its WCS (design rule 4)."""
    half = {}
    for b, ccd in bands.items():
        ny, nx = ccd.shape
        data = ccd.data.reshape(ny // 2, 2, nx // 2, 2).sum(axis=(1, 3))
        wcs = ccd.wcs.deepcopy()
        wcs.wcs.crpix = (wcs.wcs.crpix - 0.5) / 2 + 0.5
        wcs.wcs.cdelt = wcs.wcs.cdelt * 2
        half[b] = CCDData(data, unit=ccd.unit, wcs=wcs)
    found = detector.detect(half)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found["score"], expected["score"], atol=0.02)
    # interpolated pixels move a box by some hundredths of its width
    assert np.all(found.skycoord.separation(expected.skycoord) < 0.03 * expected["width"])


def test_batches_and_workers_agree(detector, bands):
    small = Detector(
        detector.recipe.replace(tile=192, overlap=64), detector.model, card=detector.card
    )
    alone = small.detect(bands, threshold=0.2, workers=0)
    assert len(alone) > 0
    again = small.detect(bands, threshold=0.2, workers=3)
    for name in alone.colnames:
        np.testing.assert_array_equal(np.asarray(alone[name]), np.asarray(again[name]))
    for batch_size in (2, 5):
        batched = small.detect(bands, threshold=0.2, batch_size=batch_size)
        np.testing.assert_allclose(batched["score"], alone["score"], rtol=0, atol=1e-4)
        for name in ("x_min", "y_min", "x_max", "y_max"):
            np.testing.assert_allclose(batched[name].value, alone[name].value, rtol=0, atol=0.01)


def test_provenance_survives_a_file(expected, detector, tmp_path):
    meta = expected.meta
    assert meta["weights"]["sha256"] == detector.sha256
    assert meta["detector"] == "deepcee"
    assert meta["threshold"] == detector.recipe.score_threshold
    assert len(meta["footprint_deg"]) == 4
    assert meta["pixel_scale_arcsec"] == pytest.approx(0.396, abs=1e-4)
    assert "torch" in meta["versions"]
    expected.write(tmp_path / "found.ecsv")
    assert Detections.read(tmp_path / "found.ecsv").meta == meta


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.2}, "threshold must be a number from 0 to 1, got 1.2"),
        ({"batch_size": 0}, "batch_size must be an integer from 1, got 0"),
        ({"workers": -1}, "workers must be an integer from 0, got -1"),
        ({"stretch": "log"}, "stretch must be one of .*; got 'log'"),
    ],
)
def test_bad_parameters(detector, bands, options, message):
    with pytest.raises(InputError, match=message):
        detector.detect(bands, **options)


CALIBRATION = {
    "scores": [0.1, 0.5, 0.9],
    "probabilities": [0.01, 0.2, 0.8],
    "lowest_score": 0.07,
    "n": 500,
    "true": 60,
    "quality": {"brier_score": 0.2, "brier_probability": 0.1},
    "recipe": "deepcee-lite0",
    "threshold": 0.07,
    "sky": "rendered",
    "radius": "100 kpc",
}


def calibrated(detector, **changes):
    card = {**detector.card, "calibration": {**CALIBRATION, **changes}}
    return type(detector)(detector.recipe, detector.model, card=card, sha256="5" * 64)


def test_probability_of_calibrated_weights(detector, bands, tmp_path):
    found = calibrated(detector).detect(bands, threshold=0.07)
    assert len(found) > 0
    assert found.colnames[-1] == "probability"
    assert found["probability"].dtype == np.float64
    assert "probability of being true" in found["probability"].info.description
    np.testing.assert_allclose(
        found["probability"], np.interp(found["score"], [0.1, 0.5, 0.9], [0.01, 0.2, 0.8])
    )
    recorded = found.meta["calibration"]
    assert recorded["departures"] == []
    assert (recorded["n"], recorded["true"], recorded["sky"]) == (500, 60, "rendered")
    assert "scores" not in recorded
    for suffix in ("ecsv", "fits"):
        found.write(tmp_path / f"found.{suffix}")
        again = Detections.read(tmp_path / f"found.{suffix}")
        np.testing.assert_array_equal(again["probability"], found["probability"])
        assert again.meta == found.meta


def test_probability_of_nothing_found(detector, bands):
    found = calibrated(detector).detect(bands, threshold=1.0)
    assert len(found) == 0
    assert found.colnames[-1] == "probability"
    assert found["probability"].dtype == np.float64
    assert found["probability"].info.description


def test_weights_without_calibration_give_no_probability(detector, bands):
    card = {name: value for name, value in detector.card.items() if name != "calibration"}
    found = type(detector)(detector.recipe, detector.model, card=card).detect(bands)
    assert "probability" not in found.colnames
    assert "calibration" not in found.meta


def test_what_the_calibration_does_not_hold_for_is_recorded(detector, bands):
    other = calibrated(detector)
    found = other.detect(bands, threshold=0.06)
    assert found.meta["calibration"]["departures"] == [
        "scores below 0.07 have the probability at 0.07"
    ]
    assert np.all(found["probability"] >= 0.01)
    cube = np.stack([bands[b].data for b in "irg"])
    with (
        pytest.warns(UncalibratedWarning, match="no known flux scale"),
        pytest.warns(BandWarning, match="z, r, g stand in"),
    ):
        found = other.detect((cube, bands["i"].wcs), bands=("z", "r", "g"), stretch="lupton")
    assert found.meta["calibration"]["departures"] == [
        "bands z, r, g, calibrated for i, r, g",
        "stretch lupton, calibrated for sqrt",
        "pixels without a flux scale",
    ]


def test_probability_follows_what_refine_leaves(detector, bands):
    class Halved(type(detector)):
        def refine(self, detections, stack):
            detections["score"] = detections["score"] / 2
            detections["host"] = 1.0
            return detections[:1]

    whole = calibrated(detector)
    found = Halved(whole.recipe, whole.model, card=whole.card).detect(bands)
    assert found.colnames[-2:] == ["host", "probability"]
    assert found["probability"][0] == pytest.approx(
        Calibration.from_dict(CALIBRATION).probability(found["score"][0])
    )


def test_a_calibration_of_another_recipe_or_a_damaged_one(detector):
    with pytest.raises(ModelError, match="made with the recipe 'rings', the detector has 'deepce"):
        calibrated(detector, recipe="rings")
    with pytest.raises(ModelError, match="calibration cannot be used: knots .* ascending"):
        calibrated(detector, scores=[0.5, 0.1, 0.9])
