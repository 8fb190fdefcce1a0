"""Region files: read by `regions`, agreeing with the catalogue, never empty by mistake."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from regions import (
    CircleSkyRegion,
    PixCoord,
    RectanglePixelRegion,
    RectangleSkyRegion,
    Regions,
)
from sky_wcs import tan_wcs

from astro_objdet.catalogs import Detections
from astro_objdet.errors import InputError

LABELS = [
    "cluster",
    "semi; colon # and {braces} tag={x}",
    "two\nlines\rand\ttab",
    "'single' and \"double\"",
    '"',
    " 100%  %41 blanks ",
    "",
    "text={x} 0.5",
    "Noël ☉",
]
HEADER = "# Region file format: DS9 version 4.1\n"


@pytest.fixture(params=[(0.0005, 89.2, 0, 1), (150, -2, 33, -1)])
def wcs(request):
    ra, dec, rotation, parity = request.param
    return tan_wcs(ra, dec, rotation, parity)


@pytest.fixture
def found(wcs):
    rng = np.random.default_rng(5)
    corner = rng.uniform(0, 1800, (len(LABELS), 2))
    boxes = np.hstack([corner, corner + rng.uniform(10, 200, corner.shape)])
    return Detections.from_boxes(boxes, rng.uniform(0, 1, len(LABELS)), LABELS, wcs)


def assert_same_boxes(regions, found):
    assert len(regions) == len(found)
    centres = SkyCoord([region.center for region in regions])
    assert centres.separation(found.skycoord).max() < 0.01 * u.mas
    for region, row in zip(regions, found, strict=True):
        assert abs(region.width - row["width"]) < 1e-5 * u.arcsec
        assert abs(region.height - row["height"]) < 1e-5 * u.arcsec
        assert abs(region.angle - row["angle"]) < 1e-5 * u.deg


def test_file_agrees_with_the_catalogue(found, tmp_path):
    found.write(tmp_path / "a.reg")
    assert_same_boxes(Regions.read(tmp_path / "a.reg", format="ds9"), found)


def test_labels_and_scores_survive(found, tmp_path):
    found.write(tmp_path / "a.reg")
    back = Detections.read(tmp_path / "a.reg")
    assert back["label"].tolist() == LABELS
    assert back["score"].tolist() == found["score"].tolist()
    assert back["id"].tolist() == found["id"].tolist()
    assert np.isnan(back.boxes).all()


def test_each_detection_is_one_line_that_ds9_can_read(found, tmp_path):
    found.write(tmp_path / "a.reg")
    lines = (tmp_path / "a.reg").read_text(encoding="utf-8").splitlines()
    assert lines[2] == "icrs"
    assert len(lines) == 3 + len(found)
    for line in lines[3:]:
        assert line.startswith("box(")
        assert ";" not in line
        assert line.count("#") == 1
        assert line.count("{") == line.count("}") == line.count("={")


def test_regions_own_writer_keeps_labels_too(found, tmp_path):
    found.to_regions().write(tmp_path / "a.reg", format="ds9")
    back = Detections.read(tmp_path / "a.reg")
    assert back["label"].tolist() == LABELS
    assert back["score"].tolist() == found["score"].tolist()
    assert back.skycoord.separation(found.skycoord).max() < 0.1 * u.mas


def test_with_wcs_the_pixels_come_back(found, wcs, tmp_path):
    found.write(tmp_path / "a.reg")
    back = Detections.read(tmp_path / "a.reg", wcs=wcs)
    np.testing.assert_allclose(back.boxes, found.boxes, atol=0.01)


def test_meta_of_regions(found):
    region = found.to_regions()[0]
    score = float(found["score"][0])
    assert region.meta["text"] == f"cluster {score:.2f}"
    assert region.meta["label"] == "cluster"
    assert region.meta["tag"] == ["cluster", f"score={score!r}"]
    assert type(region) is RectangleSkyRegion


def test_to_regions_and_back(found, wcs):
    assert_same_boxes(found.to_regions(), found)
    back = Detections.from_regions(found.to_regions(), wcs, meta={"a": 1})
    assert back["label"].tolist() == LABELS
    assert back.meta == {"a": 1}
    np.testing.assert_allclose(back.boxes, found.boxes, atol=0.01)


def test_pixel_regions(found, wcs):
    regions = found.to_regions(pixel=True)
    assert all(type(region) is RectanglePixelRegion for region in regions)
    for region, box in zip(regions, found.boxes, strict=True):
        # In the pixel grid of regions the first pixel spans −0.5 to 0.5 too.
        bounds = region.bounding_box
        assert bounds.ixmin == np.floor(box[0])
        assert bounds.ixmax == np.ceil(box[2])
    back = Detections.from_regions(regions, wcs)
    np.testing.assert_allclose(back.boxes, found.boxes, rtol=1e-12)
    assert back.skycoord.separation(found.skycoord).max() < 1e-6 * u.arcsec


def test_file_in_pixels_without_wcs(found, tmp_path):
    blind = Detections.from_boxes(found.boxes, found["score"], LABELS)
    blind.write(tmp_path / "a.reg")
    assert "\nimage\n" in (tmp_path / "a.reg").read_text(encoding="utf-8")
    back = Detections.read(tmp_path / "a.reg")
    np.testing.assert_allclose(back.boxes, found.boxes, atol=2e-6)
    assert np.isnan(back["ra"]).all()
    with pytest.raises(InputError, match="9 of 9 detections have no position on the sky"):
        blind.to_regions()


def test_nothing_found_is_a_valid_file(found, tmp_path):
    found[:0].write(tmp_path / "a.reg")
    back = Detections.read(tmp_path / "a.reg")
    assert len(back) == 0
    assert back.colnames == found.colnames


def test_one_detection(tmp_path, wcs):
    """`regions` itself would move the only label into DS9's global line."""
    Detections.from_boxes([[1, 2, 3, 4]], [0.5], ["a"], wcs).write(tmp_path / "a.reg")
    assert "text" not in (tmp_path / "a.reg").read_text().splitlines()[1]
    assert Detections.read(tmp_path / "a.reg")["label"].tolist() == ["a"]


def test_as_edited_in_ds9(tmp_path):
    """DS9 writes sexagesimal FK5 and drops tags from regions made by hand."""
    (tmp_path / "a.reg").write_text(
        f"{HEADER}global color=green dashlist=8 3 select=1\nfk5\n"
        'box(10:00:00.0,+2:00:00.0,30",20",15) # text={cluster 0.93}\n'
        'box(10:00:01.0,+2:00:00.0,30",20",0) # text={new one}\n'
        'box(10:00:02.0,+2:00:00.0,30",20",0)\n'
    )
    back = Detections.read(tmp_path / "a.reg")
    assert back["label"].tolist() == ["cluster", "new one", ""]
    np.testing.assert_array_equal(back["score"], [0.93, np.nan, np.nan])
    expected = SkyCoord("10h00m00s +2d00m00s", frame="fk5").icrs
    assert back.skycoord[0].separation(expected) < 1e-6 * u.arcsec
    assert abs(back["angle"][0] - 15 * u.deg) < 0.01 * u.deg
    back.write(tmp_path / "b.reg")
    again = Detections.read(tmp_path / "b.reg")
    assert again["label"].tolist() == back["label"].tolist()
    np.testing.assert_array_equal(again["score"], back["score"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("# just a comment\n", "no region in it"),
        ("<html><body>404 Not Found</body></html>", "not a DS9 region file|read in full"),
        (HEADER + "physical\nbox(1,2,3,4,0)\n", "read in full: .*physical.* not supported"),
        (HEADER + "box(1,2,3,4,0)\n", "read in full: A coordinate frame was not found"),
        (HEADER + 'icrs\nbox(1,2,3",4",0)\npanda(1,2,0,360,4,0,1,1)\n', "read in full: .*panda"),
        (HEADER + "icrs\nbox(1p,2p,3,4,0)\n", "read in full: Cannot parse"),
        (HEADER + "icrs\nbox(1,2\n", "is not a DS9 region file"),
        (HEADER + 'icrs\ncircle(1,2,3")\n', "region 0 must be a box, got CircleSkyRegion"),
    ],
)
def test_strict_reading(tmp_path, text, message):
    (tmp_path / "a.reg").write_text(text)
    with pytest.raises(InputError, match=rf"a\.reg: .*({message})"):
        Detections.read(tmp_path / "a.reg")


def test_other_regions_are_refused():
    sky = SkyCoord(1, 2, unit="deg")
    box = RectangleSkyRegion(sky, 1 * u.arcsec, 1 * u.arcsec)
    pixel = RectanglePixelRegion(PixCoord(1, 2), 3, 4)
    with pytest.raises(InputError, match="region 1 must be a box, got CircleSkyRegion"):
        Detections.from_regions([box, CircleSkyRegion(sky, 1 * u.arcsec)])
    with pytest.raises(InputError, match="all on the sky or all in pixels; 0 and 1"):
        Detections.from_regions([box, pixel])
    assert len(Detections.from_regions([])) == 0
