"""Pictures: what is on them, where, and that odd fields still make one."""

import io

import numpy as np
import pytest
from astropy.table import Table
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from sky_wcs import tan_wcs

from astro_objdet.catalogs import Detections
from astro_objdet.errors import InputError, OutputExistsError
from astro_objdet.images import LuptonStretch, read_bands
from astro_objdet.plots import overlay
from astro_objdet.plots.picture import display_rgb

BOXES = np.array([[20, 30, 60, 80], [50, 40, 90, 70], [100.5, 60, 130, 95]], float)


def make_stack(wcs=None, shape=(120, 160), bands="irg", bad=()):
    rng = np.random.default_rng(2)
    data = rng.normal(0, 1, (len(bands), *shape)).astype(np.float32)
    y, x = np.ogrid[: shape[0], : shape[1]]
    for cx, cy, peak in ((40, 50, 60), (70, 55, 200), (110, 75, 30)):
        blob = peak * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 30)
        data += blob * np.linspace(1.3, 0.7, len(bands))[:, None, None]
    for section in bad:
        data[(slice(None), *section)] = np.nan
    data = data[0] if len(bands) == 1 else data
    source = data if wcs is None else (data, wcs)
    return read_bands(source, bands=tuple(bands), unit="nmgy", pixel_only=wcs is None)


def make_detections(wcs=None, boxes=BOXES, labels=None):
    labels = labels or ["cluster"] * len(boxes)
    return Detections.from_boxes(boxes, np.linspace(0.95, 0.6, len(boxes)), labels, wcs)


WCS = tan_wcs(150, 2, rotation=20, shape=(120, 160))


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_boxes_stand_where_the_pixels_are():
    figure = overlay(make_stack(WCS), make_detections(WCS))
    (ax,) = figure.axes
    assert isinstance(ax, WCSAxes)
    # The first pixel spans −0.5 to 0.5, as astropy counts.
    assert ax.get_xlim() == (-0.5, 159.5)
    assert ax.images[0].get_extent() == [-0.5, 159.5, -0.5, 119.5]
    halo, lines = (c for c in ax.collections if isinstance(c, LineCollection))
    drawn = {tuple(segment[0]) for segment in lines.get_segments()}
    assert drawn == {tuple(box[:2] - 0.5) for box in BOXES}
    assert len(halo.get_segments()) == 3


def test_what_is_written_on_it():
    figure = overlay(make_stack(WCS), make_detections(WCS), title="Field 7")
    shown = texts(figure)
    assert {"0.95", "0.60", "N", "E"} <= set(shown)
    assert "0.2 arcmin" in shown
    ax = figure.axes[0]
    assert ax.get_title("left") == "Field 7"
    assert ax.get_title("right") == "3 detections   ·   RGB = i, r, g"
    assert "Right ascension" in ax.coords[0].get_axislabel()


def test_scale_bar_has_the_length_it_says():
    figure = overlay(make_stack(WCS), make_detections(WCS))
    bar = figure.axes[0].lines[0]
    (x0, x1), (y0, y1) = bar.get_data()
    ends = WCS.pixel_to_world([x0, x1], [y0, y1])
    assert ends[0].separation(ends[1]).arcmin == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize(("rotation", "parity"), [(0, 1), (20, 1), (130, 1), (250, -1)])
def test_compass_points_north_and_east(rotation, parity):
    wcs = tan_wcs(0, 60, rotation, parity, shape=(120, 160))
    ax = overlay(make_stack(wcs), make_detections(wcs)).axes[0]
    arrows = [a for a in ax.texts if getattr(a, "arrow_patch", None) is not None]
    for arrow, angle in zip(arrows, (0, 90), strict=True):
        start = wcs.pixel_to_world(*arrow.xyann)
        end = wcs.pixel_to_world(*arrow.xy)
        off = start.position_angle(end).deg - angle
        assert abs((off + 180) % 360 - 180) < 0.1


def test_labels_do_not_cover_each_other_or_leave_the_picture():
    rng = np.random.default_rng(4)
    corner = rng.uniform(0, 100, (60, 2))
    boxes = np.hstack([corner, corner + rng.uniform(5, 30, (60, 2))])
    labels = ["clump", "odd $one_"] * 30
    figure = overlay(make_stack(WCS), make_detections(WCS, boxes, labels))
    ax = figure.axes[0]
    frame = ax.get_window_extent()
    extents = [t.get_window_extent() for t in ax.texts if t.get_text()]
    assert len(extents) > 20
    assert "clump 0.95" in texts(figure)
    for i, one in enumerate(extents):
        assert frame.x0 <= one.x0 + 1e-6
        assert one.x1 <= frame.x1 + 1e-6
        for other in extents[i + 1 :]:
            overlap = one.intersection(one, other)
            assert overlap is None or overlap.width * overlap.height < 1e-6


def test_boxes_known_only_on_the_sky_are_placed():
    found = Detections.from_regions(make_detections(WCS).to_regions())
    assert np.isnan(found.boxes).all()
    ax = overlay(make_stack(WCS), found).axes[0]
    drawn = sorted(segment[0][0] for segment in ax.collections[-1].get_segments())
    np.testing.assert_allclose(drawn, BOXES[:, 0] - 0.5, atol=0.01)


def test_truth_is_circled_where_it_is():
    found = make_detections(WCS)
    far = found.skycoord[0].directional_offset_by(found["angle"][0], found["ra"][0])
    tables = [
        found,
        found.skycoord,
        Table({"RA": found["ra"].value, "Dec": found["dec"].value}),
    ]
    for truth in tables:
        ax = overlay(make_stack(WCS), found, truth=truth).axes[0]
        x, y = ax.lines[-1].get_data()
        np.testing.assert_allclose(x, (BOXES[:, 0] + BOXES[:, 2]) / 2 - 0.5, atol=1e-6)
        assert ax.get_legend().get_texts()[0].get_text() == "truth"
    ax = overlay(make_stack(WCS), found, truth=far).axes[0]
    assert len(ax.lines[-1].get_xdata()) == 0
    blind = make_detections()
    ax = overlay(make_stack(), blind, truth=blind).axes[0]
    assert len(ax.lines[-1].get_xdata()) == 3
    with pytest.raises(InputError, match="without a WCS"):
        overlay(make_stack(), blind, truth=found.skycoord)
    with pytest.raises(InputError, match="must have columns ra and dec, got a"):
        overlay(make_stack(WCS), found, truth=Table({"a": [1.0]}))


@pytest.mark.parametrize(
    ("ra", "dec"), [(0, 0), (359.999, -89.999), (12, 89.9999)], ids=["wrap", "south", "pole"]
)
def test_awkward_places(ra, dec):
    wcs = tan_wcs(ra, dec, shape=(120, 160))
    figure = overlay(make_stack(wcs), make_detections(wcs), truth=make_detections(wcs))
    figure.savefig(io.BytesIO())
    assert "0.95" in texts(figure)


@pytest.mark.parametrize("wcs", [None, WCS], ids=["pixels", "sky"])
@pytest.mark.parametrize("bands", ["irg", "i", "ig", "zirg"])
def test_without_wcs_detections_or_all_bands(tmp_path, wcs, bands):
    nothing = Detections.from_boxes([], [], [], wcs)
    stack = make_stack(wcs, bands=bands)
    figure = overlay(stack, nothing, tmp_path / "a.png")
    assert ("20 px" if wcs is None else "0.2 arcmin") in texts(figure)
    assert figure.axes[0].get_title("right").startswith("0 detections")
    assert imread(tmp_path / "a.png").shape[1] == 1200


@pytest.mark.parametrize("shape", [(30, 600), (600, 30), (400, 900), (900, 400)])
def test_longest_side_is_what_was_asked_for(tmp_path, shape):
    wcs = tan_wcs(10, 10, shape=shape)
    stack = make_stack(wcs, shape)
    for size in (800, 1200):
        path = tmp_path / f"{size}.png"
        overlay(stack, make_detections(wcs)[:0], path, max_size=size)
        assert max(imread(path).shape[:2]) == pytest.approx(size, abs=1)


def test_own_axes_are_used():
    figure = Figure()
    ax = figure.add_subplot(projection=WCS)
    assert overlay(make_stack(WCS), make_detections(WCS), ax=ax, title="a") is figure
    assert len(figure.axes) == 1
    assert ax.get_title("left") == "a"


def test_files_are_whole_and_not_overwritten(tmp_path):
    stack, found = make_stack(WCS), make_detections(WCS)
    path = tmp_path / "a.png"
    overlay(stack, found, path)
    first = path.read_bytes()
    with pytest.raises(OutputExistsError, match=r"a\.png: exists"):
        overlay(stack, found, path)
    overlay(stack, found, path, overwrite=True)
    assert path.read_bytes() == first
    with pytest.raises(InputError, match=r"a\.xyz: cannot be a picture: .*xyz"):
        overlay(stack, found, tmp_path / "a.xyz")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="max_size must be a finite number above 0"):
        overlay(stack, found, max_size=0)


class TestPicture:
    def test_averages_blocks_of_good_pixels(self):
        """Against a plain mean, over sides that no block size divides."""
        bad = [(slice(0, 11), slice(0, 9)), (5, 100), (slice(100, 104), slice(30, 33))]
        stack = make_stack(None, (143, 160), bad=bad)
        data, mask = stack.read_all()
        data = np.where(mask, np.nan, data)
        picture = display_rgb(stack, 40, stretch=lambda data, mask: data / 300 + 0.5)
        assert picture.shape == (36, 40, 3)
        for row, column in ((5, 10), (1, 25), (35, 39), (25, 7)):
            block = data[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            expected = np.nanmean(block, axis=(1, 2)) / 300 + 0.5
            np.testing.assert_allclose(picture[row, column], expected, rtol=1e-5)
        # A block without good pixels is grey.
        assert np.ptp(picture[0, 0]) == 0

    @pytest.mark.parametrize("stretch", [None, LuptonStretch()])
    def test_range_and_sides(self, stretch):
        picture = display_rgb(make_stack(WCS), 1200, stretch)
        assert picture.shape == (120, 160, 3)
        assert picture.dtype == np.float32
        assert picture.min() >= 0
        assert picture.max() <= 1
        # Row 0 is the bottom: the brightest object is at y = 55.
        assert picture[55, 70].mean() > 0.8

    def test_sky_is_dark_and_cores_keep_their_colour(self):
        picture = display_rgb(make_stack(WCS))
        assert np.median(picture) < 0.25
        assert picture[75, 110].max() > 0.5
        data = np.random.default_rng(0).normal(0, 1, (3, 80, 80)).astype(np.float32)
        data[0, 20:25, 20:25] += 5000
        data[2, 60:65, 60:65] += 5000
        data[:, 40:45, 40:45] += 5000
        stack = read_bands(data, bands=("i", "r", "g"), unit="nmgy", pixel_only=True)
        red, blue, white = (display_rgb(stack)[i, i] for i in (22, 62, 42))
        assert red[0] > 5 * red[2]
        assert blue[2] > 5 * blue[0]
        assert np.ptp(white) < 0.1

    @pytest.mark.parametrize("value", [0.0, 7.0, -3.0])
    def test_constant_image(self, value):
        data = np.full((3, 20, 30), value, np.float32)
        stack = read_bands(data, bands=("i", "r", "g"), unit="nmgy", pixel_only=True)
        assert np.isfinite(display_rgb(stack)).all()

    def test_a_stretched_picture_is_shown_as_it_is(self):
        data = np.random.default_rng(0).integers(0, 255, (3, 20, 30)).astype(np.uint8)
        stack = read_bands(data, bands=("z", "r", "g"), pixel_only=True, stretched=True)
        np.testing.assert_allclose(display_rgb(stack), np.moveaxis(data, 0, -1) / 255, atol=1e-6)


def test_real_cluster(sample_data, tmp_path):
    path = sample_data / "des" / "SPT-CLJ0157-5821_zrg_8bit.fits"
    with read_bands(path) as stack:
        found = make_detections(stack.wcs, [[230.0, 230, 282, 282]])
        figure = overlay(stack, found, tmp_path / "a.png")
    assert "0.95" in texts(figure)
    assert imread(tmp_path / "a.png").shape[1] == 1200
