import numpy as np
import pytest
from astropy.nddata import CCDData

from astro_objdet.errors import InputError, UncalibratedWarning
from astro_objdet.images import (
    IdentityStretch,
    SqrtFluxStretch,
    TileGrid,
    make_tiles,
    read_bands,
)
from astro_objdet.images.grid import pixel_geometry


def linear(data, mask=None):
    """A stretch that hands the surface brightness on."""
    return data.copy()


@pytest.mark.parametrize(
    ("shape", "size", "overlap"),
    [
        ((100, 130), 64, 16),
        ((64, 64), 64, 0),
        ((65, 300), 64, 63),
        ((500, 40), 64, 10),
        ((7, 5), 64, 0),
    ],
)
def test_every_pixel_is_owned_once(shape, size, overlap):
    tiles = make_tiles(shape, size, overlap)
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    owners = sum(tile.owns(x, y).astype(int) for tile in tiles)
    assert (owners == 1).all()
    for i, tile in enumerate(tiles):
        assert tile.index == i
        assert max(tile.shape) <= size
        inside = (x > tile.x0) & (x < tile.x1) & (y > tile.y0) & (y < tile.y1)
        assert not (tile.owns(x, y) & ~inside).any()


def test_centres_outside_of_the_image_are_owned():
    tiles = make_tiles((200, 200), 64, 16)
    for x, y in ((-3, 50), (203, 203), (100, -0.1)):
        assert sum(bool(tile.owns(x, y)) for tile in tiles) == 1


def test_windows_lie_inside_and_overlap_enough():
    tiles = make_tiles((64, 301), 64, 20)
    assert all(t.x0 >= 0 and t.x1 <= 301 and t.shape == (64, 64) for t in tiles)
    shared = [a.x1 - b.x0 for a, b in zip(tiles[:-1], tiles[1:], strict=True)]
    assert min(shared) >= 20
    for a, b in zip(tiles[:-1], tiles[1:], strict=True):
        assert a.core_x1 == b.core_x0
        assert min(a.x1 - a.core_x1, b.core_x0 - b.x0) >= min(shared) // 2


def test_a_small_image_is_one_padded_tile():
    (tile,) = make_tiles((50, 70), 100, 10, multiple=32)
    assert (tile.x0, tile.y0, tile.x1, tile.y1) == (0, 0, 96, 64)
    (tile,) = make_tiles((98, 70), 100, 10, multiple=32)
    assert tile.shape == (100, 96)


@pytest.mark.parametrize("overlap", [64, -1, 100])
def test_overlap_must_be_below_the_size(overlap):
    with pytest.raises(InputError, match="overlap must lie from 0 to below the tile size 64"):
        make_tiles((100, 100), 64, overlap)


@pytest.mark.parametrize("scale", [0.792, 0.6, 0.3, None])
def test_tiles_equal_the_whole_grid_bit_for_bit(small_stack, scale):
    whole = TileGrid(small_stack, scale, 1000, 0, linear)
    full = whole.read(whole.tiles[0])
    grid = TileGrid(small_stack, scale, 32, 8, linear)
    assert grid.shape == whole.shape
    assert len(grid) > 1
    for tile in grid.tiles:
        part = grid.read(tile)
        h, w = min(tile.y1, grid.shape[0]), min(tile.x1, grid.shape[1])
        expected = full[:, tile.y0 : h, tile.x0 : w]
        assert part[:, : h - tile.y0, : w - tile.x0].tobytes() == expected.tobytes()


def test_values_are_surface_brightness(tan_wcs):
    stack = read_bands((np.full((96, 128), 0.5), tan_wcs), unit="nmgy")
    for scale in (None, 0.396, 0.792, 0.5):
        grid = TileGrid(stack, scale, 256, 0, linear, multiple=1)
        out = grid.read(grid.tiles[0])
        inside = out[:, :-1, :-1]
        np.testing.assert_allclose(inside, 0.5 / 0.396**2, rtol=1e-4)


def test_boxes_go_back_to_image_pixels(small_stack):
    grid = TileGrid(small_stack, 0.792, 64, 8, linear)
    assert grid.factor == (2, 2)
    assert grid.shape == (48, 64)
    boxes = grid.to_image_pixels([[0, 0, 64, 48], [1.5, 2, 3, 4]])
    np.testing.assert_allclose(boxes, [[0, 0, 128, 96], [3, 4, 6, 8]])
    assert grid.to_image_pixels(np.zeros((0, 4))).shape == (0, 4)


def test_a_source_stays_where_it_is(small_stack):
    for scale in (0.792, 0.3, 0.55):
        grid = TileGrid(small_stack, scale, 1000, 0, linear, multiple=1)
        image = grid.read(grid.tiles[0])[1]
        image = np.where(image > 0.05 * image.max(), image, 0)
        y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
        cx, cy = (x * image).sum() / image.sum(), (y * image).sum() / image.sum()
        box = grid.to_image_pixels([[cx, cy, cx, cy]])[0]
        assert box[:2] == pytest.approx([40.5, 30.5], abs=0.1)


def test_masked_pixels_and_padding_have_the_value_of_zero_flux(field_array, tan_wcs):
    mask = np.zeros((96, 128), bool)
    mask[10:20, 10:20] = True
    stack = read_bands((field_array, tan_wcs), bands="irg", unit="nmgy", mask=mask)
    grid = TileGrid(stack, None, 256, 0, SqrtFluxStretch(-1, 10))
    out = grid.read(grid.tiles[0])
    zero = SqrtFluxStretch(-1, 10)(np.zeros((3, 1, 1)))[0, 0, 0]
    assert out.shape == (3, 96, 128)
    assert (out[:, 10:20, 10:20] == zero).all()
    stack = read_bands((field_array[:, :90, :100], tan_wcs), bands="irg", unit="nmgy")
    out = TileGrid(stack, None, 256, 0, SqrtFluxStretch(-1, 10))
    padded = out.read(out.tiles[0])
    assert padded.shape == (3, 96, 128)
    assert (padded[:, 90:] == zero).all()
    assert (padded[:, :, 100:] == zero).all()


def test_what_one_band_lacks_is_masked_in_all(field_array, tan_wcs):
    bands = field_array.copy()
    bands[2, :, :40] = np.nan
    grid = TileGrid(
        read_bands((bands, tan_wcs), bands="irg", unit="nmgy"),
        None,
        256,
        0,
        SqrtFluxStretch(-1, 10),
    )
    out = grid.read(grid.tiles[0])
    zero = SqrtFluxStretch(-1, 10)(np.zeros((3, 1, 1)))[0, 0, 0]
    assert (out[:, :, :40] == zero).all()
    assert (out[:, :, 40:100] != zero).any()


def test_uncalibrated_noise_is_matched(tan_wcs):
    rng = np.random.default_rng(1)
    counts = 1000 + rng.normal(0, [[[5]], [[50]]], (2, 96, 128))
    stack = read_bands(CCDData(counts, unit="adu", wcs=tan_wcs), bands=("r", "g"))
    assert stack.unit is None
    with pytest.warns(UncalibratedWarning, match="no known flux scale") as record:
        grid = TileGrid(stack, None, 256, 0, linear, reference_noise=(0.2, 0.1))
    assert len(record) == 1
    assert record[0].filename == __file__
    out = grid.read(grid.tiles[0])
    np.testing.assert_allclose(out.std(axis=(1, 2)), [0.2, 0.1], rtol=0.05)
    np.testing.assert_allclose(out.mean(axis=(1, 2)), 0, atol=0.02)


def test_uncalibrated_noise_is_matched_at_the_scale_of_the_grid(tan_wcs):
    noise = np.random.default_rng(1).normal(0, 3, (1, 96, 128))
    stack = read_bands((noise, tan_wcs), bands=["r"])
    with pytest.warns(UncalibratedWarning, match="no known flux scale"):
        grid = TileGrid(stack, 0.792, 256, 0, linear, reference_noise=0.3, multiple=1)
    assert grid.read(grid.tiles[0]).std() == pytest.approx(0.3, rel=0.1)


def test_uncalibrated_constant_band_does_not_divide_by_zero(tan_wcs):
    stack = read_bands((np.full((96, 128), 7.0), tan_wcs))
    with pytest.warns(UncalibratedWarning, match="no known flux scale"):
        grid = TileGrid(stack, None, 256, 0, linear)
    assert (grid.read(grid.tiles[0]) == 0).all()


def test_reference_noise_needs_one_value_per_band(tan_wcs):
    stack = read_bands((np.ones((96, 128)), tan_wcs))
    with pytest.raises(InputError, match="reference_noise must be one number or one per band"):
        TileGrid(stack, None, 256, 0, linear, reference_noise=(1, 2))


def test_stretched_pictures_skip_the_stretch(tan_wcs):
    picture = np.full((3, 96, 128), 51, np.uint8)
    stack = read_bands((picture, tan_wcs), bands=("i", "r", "g"))
    grid = TileGrid(stack, None, 256, 0, SqrtFluxStretch(0, 1e-3))
    np.testing.assert_allclose(grid.read(grid.tiles[0]), 0.2, rtol=1e-6)


def test_without_wcs_pixels_stay(field_array):
    stack = read_bands(field_array, bands="irg", unit="nmgy", pixel_only=True)
    grid = TileGrid(stack, 0.5, 256, 0, linear, multiple=1)
    assert grid.factor == (1, 1)
    np.testing.assert_allclose(grid.read(grid.tiles[0]), field_array / 0.25, rtol=1e-6)


def test_pixels_that_are_not_square(make_wcs):
    wcs = make_wcs()
    wcs.wcs.cd = wcs.wcs.cd * [[1, 2], [1, 2]]
    stack = read_bands((np.ones((96, 128)), wcs), unit="nmgy")
    grid = TileGrid(stack, 0.792, 256, 0, IdentityStretch())
    assert grid.factor == (2, 1)
    assert grid.shape == (96, 64)


def test_pixel_scale_must_be_positive(small_stack):
    with pytest.raises(InputError, match="pixel_scale must be a finite number above 0"):
        TileGrid(small_stack, 0, 64, 8, linear)


@pytest.mark.parametrize("dec", [90.0, -90.0, 89.99999, 0.0])
@pytest.mark.parametrize("rotation", [0.0, 37.0])
def test_pixel_geometry_at_the_pole(make_wcs, dec, rotation):
    wcs = make_wcs(shape=(101, 101), scale=0.4, dec=dec, rotation=rotation)
    scale_x, scale_y, area = pixel_geometry(wcs, (101, 101))
    assert (scale_x, scale_y) == pytest.approx((0.4, 0.4), rel=1e-6)
    assert area == pytest.approx(0.16, rel=1e-6)


def test_holes_in_a_picture_look_like_its_sky(tan_wcs):
    picture = np.random.default_rng(2).integers(30, 50, (3, 96, 128)).astype(np.uint8)
    picture[2] += 20
    hole = np.zeros((96, 128), bool)
    hole[10:20, 10:20] = True
    stack = read_bands((picture, tan_wcs), bands="irg", mask=hole, stretched=True)
    grid = TileGrid(stack, None, 256, 0, IdentityStretch())
    (tile,) = grid.tiles
    pixels = grid.read(tile)
    assert pixels[:, 15, 15] * 255 == pytest.approx([40, 40, 60], abs=2)
    assert pixels[0, 50, 50] == np.float32(picture[0, 50, 50] / 255)
