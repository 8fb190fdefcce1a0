"""Boxes on the sky against astropy and regions, which know nothing of ours."""

import time

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Angle
from astropy.io import fits
from astropy.wcs import WCS
from sky_wcs import SIP, TPV, tan_wcs

from astro_objdet.catalogs import Detections
from astro_objdet.catalogs.skyboxes import pixel_boxes, sky_boxes

BOXES = np.array(
    [
        [100, 100, 200, 180],
        [0, 0, 64, 96.5],
        [1500.25, 300.75, 1530.5, 500],
        [1900, 1800, 2000, 2000],
        [987.5, 1000, 1013.5, 1001],
    ],
    dtype=float,
)
PLACES = {
    "plain": tan_wcs(150, 2),
    "across RA 0": tan_wcs(0, -30),
    "north pole": tan_wcs(40, 90),
    "beside the south pole": tan_wcs(123, -89.99),
    "rotated": tan_wcs(150, 2, rotation=33),
    "flipped": tan_wcs(150, 2, parity=-1),
    "flipped and rotated": tan_wcs(359.999, 60, rotation=200, parity=-1),
    "oblong pixels": tan_wcs(10, 10, scale=(0.4, 0.7)),
    "SIP": WCS(fits.Header.fromstring(SIP, sep="\n")),
    "TPV": WCS(fits.Header.fromstring(TPV, sep="\n")),
}
UNDISTORTED = [name for name in PLACES if name not in ("SIP", "TPV")]


@pytest.fixture(params=PLACES)
def wcs(request):
    return PLACES[request.param]


def test_centre_is_where_astropy_has_it(wcs):
    found = Detections.from_boxes(BOXES, np.ones(5), ["a"] * 5, wcs)
    middle = (BOXES[:, :2] + BOXES[:, 2:]) / 2 - 0.5
    expected = wcs.pixel_to_world(*middle.T)
    assert found.skycoord.separation(expected).max() < 1e-6 * u.arcsec


def test_a_box_around_one_pixel_is_centred_on_it(wcs):
    found = Detections.from_boxes([[7, 11, 8, 12]], [1], ["a"], wcs)
    expected = wcs.pixel_to_world(7, 11)
    assert found.skycoord[0].separation(expected) < 1e-6 * u.arcsec
    assert found["x_min"][0] == 6.5 * u.pix
    assert found["y_max"][0] == 11.5 * u.pix


def test_size_is_the_great_circle_between_edges(wcs):
    sky = sky_boxes(wcs, BOXES)
    x1, y1, x2, y2 = (BOXES - 0.5).T
    middle = (y1 + y2) / 2
    expected = wcs.pixel_to_world(x1, middle).separation(wcs.pixel_to_world(x2, middle))
    np.testing.assert_allclose(sky["width"], expected.arcsec, rtol=1e-7)
    middle = (x1 + x2) / 2
    expected = wcs.pixel_to_world(middle, y1).separation(wcs.pixel_to_world(middle, y2))
    np.testing.assert_allclose(sky["height"], expected.arcsec, rtol=1e-7)


def test_angle_is_the_way_to_the_upper_edge(wcs):
    sky = sky_boxes(wcs, BOXES)
    x, y = ((BOXES[:, :2] + BOXES[:, 2:]) / 2 - 0.5).T
    up = wcs.pixel_to_world(x, y).position_angle(wcs.pixel_to_world(x, BOXES[:, 3] - 0.5))
    off = Angle(sky["angle"] * u.deg - up).wrap_at(180 * u.deg)
    assert np.abs(off).max() < 1e-6 * u.deg
    assert np.all((sky["angle"] >= 0) & (sky["angle"] < 360))


@pytest.mark.parametrize("name", UNDISTORTED)
def test_regions_find_the_same_pixels(name):
    """Compares corners, so that a turned box does not pass for an upright one."""
    wcs = PLACES[name]
    found = Detections.from_boxes(BOXES, np.ones(5), ["a"] * 5, wcs)
    for box, region in zip(BOXES, found.to_regions(), strict=True):
        corners = np.array(region.to_pixel(wcs).corners)
        x1, y1, x2, y2 = box - 0.5
        for corner in ((x1, y1), (x2, y1), (x2, y2), (x1, y2)):
            assert np.hypot(*(corners - corner).T).min() < 0.01


def test_pixels_to_sky_and_back(wcs):
    back = pixel_boxes(wcs, **sky_boxes(wcs, BOXES))
    np.testing.assert_allclose(back, BOXES, rtol=0, atol=1e-2)
    # Edges move a little in a distorted image, centres do not.
    middle, expected = (b[:, :2] + b[:, 2:] for b in (back, BOXES))
    np.testing.assert_allclose(middle / 2, expected / 2, rtol=0, atol=1e-3)


def test_a_turned_box_gets_the_upright_one_around_it():
    wcs = tan_wcs(150, 2)
    sky = sky_boxes(wcs, [[900, 900, 1000, 940]])
    x1, y1, x2, y2 = pixel_boxes(wcs, **(sky | {"angle": sky["angle"] + 30}))[0]
    cos, sin = np.cos(np.pi / 6), 0.5
    assert x2 - x1 == pytest.approx(100 * cos + 40 * sin, abs=0.01)
    assert y2 - y1 == pytest.approx(100 * sin + 40 * cos, abs=0.01)


def test_other_frames_give_icrs():
    header = tan_wcs(266.4, -28.9).to_header()
    header["CTYPE1"], header["CTYPE2"] = "GLON-TAN", "GLAT-TAN"
    header["CRVAL1"], header["CRVAL2"] = 0.1, 0.05
    for name in ("RADESYS", "LONPOLE", "LATPOLE"):
        header.remove(name, ignore_missing=True)
    wcs = WCS(header)
    found = Detections.from_boxes(BOXES, np.ones(5), ["a"] * 5, wcs)
    x, y = ((BOXES[:, :2] + BOXES[:, 2:]) / 2 - 0.5).T
    expected = wcs.pixel_to_world(x, y)
    assert expected.frame.name == "galactic"
    assert found.skycoord.separation(expected.icrs).max() < 1e-6 * u.arcsec
    again = Detections.from_regions(found.to_regions(), wcs=wcs)
    np.testing.assert_allclose(again.boxes, BOXES, atol=5e-3)


def test_outside_of_the_projection_is_nan():
    header = {"CTYPE1": "RA---AIT", "CTYPE2": "DEC--AIT", "CRPIX1": 100, "CRPIX2": 50}
    wcs = WCS(fits.Header(header | {"CDELT1": -2, "CDELT2": 2, "NAXIS1": 200}))
    sky = sky_boxes(wcs, [[0, 0, 3, 3], [90, 40, 100, 50]])
    assert np.isnan(sky["ra"][0])
    assert np.isfinite([sky[name][1] for name in sky]).all()


def test_no_boxes():
    assert all(len(column) == 0 for column in sky_boxes(tan_wcs(0, 0), []).values())
    none = np.empty(0)
    assert pixel_boxes(tan_wcs(0, 0), none, none, none, none, none).shape == (0, 4)


def test_hundred_thousand_boxes_take_a_moment():
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 1900, (100_000, 2))
    boxes = np.hstack([corner, corner + rng.uniform(5, 100, (100_000, 2))])
    spent = []
    for _ in range(3):  # The best of three: other programs share the processor.
        start = time.process_time()
        sky_boxes(PLACES["SIP"], boxes)
        spent.append(time.process_time() - start)
    assert min(spent) < 1
