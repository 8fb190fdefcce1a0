import numpy as np
import pytest

from astro_objdet.errors import InputError
from astro_objdet.images.resample import ResampledAxis, resample_section, snap_factor


def whole(data, mask, fy, fx):
    y, x = ResampledAxis(data.shape[1], fy), ResampledAxis(data.shape[2], fx)
    return resample_section(data, mask, y, x, (0, y.n_out, 0, x.n_out)), y, x


def field(shape=(2, 61, 83), bad=0.0, seed=3):
    rng = np.random.default_rng(seed)
    return rng.normal(1, 1, shape).astype(np.float32), rng.random(shape) < bad


@pytest.mark.parametrize("bad", [0, 0.002, 0.3])
@pytest.mark.parametrize("factors", [(2, 2), (3, 2), (2.3, 2.3), (1.4, 5.6), (0.7, 0.66), (2, 0.5)])
def test_sections_equal_the_whole_bit_for_bit(factors, bad):
    data, mask = field(bad=bad)
    (full, full_mask), y_axis, x_axis = whole(data, mask, *map(float, factors))
    rng = np.random.default_rng(0)
    for _ in range(20):
        y0, y1 = sorted(rng.choice(y_axis.n_out + 1, 2, replace=False))
        x0, x1 = sorted(rng.choice(x_axis.n_out + 1, 2, replace=False))
        sy0, sy1 = y_axis.span(y0, y1)
        sx0, sx1 = x_axis.span(x0, x1)
        part, part_mask = resample_section(
            data[:, sy0:sy1, sx0:sx1],
            mask[:, sy0:sy1, sx0:sx1],
            y_axis,
            x_axis,
            (y0, y1, x0, x1),
            (sy0, sx0),
        )
        assert part.tobytes() == full[:, y0:y1, x0:x1].tobytes()
        assert np.array_equal(part_mask, full_mask[:, y0:y1, x0:x1])


def test_integer_factor_is_the_block_mean():
    data, mask = field((1, 60, 80))
    (out, bad), *_ = whole(data, mask, 4.0, 2.0)
    blocks = data.astype(float).reshape(1, 15, 4, 40, 2).mean(axis=(2, 4))
    assert out.dtype == np.float32
    assert not bad.any()
    np.testing.assert_allclose(out, blocks, atol=1e-6)


def test_area_mean_against_a_supersampled_image():
    # Oracle: every pixel split in 7, the mean taken over whole small pixels.
    data, mask = field((1, 30, 40))
    (out, _), *_ = whole(data, mask, 10 / 7, 10 / 7)
    small = np.repeat(np.repeat(data[0].astype(float), 7, axis=0), 7, axis=1)
    expected = small.reshape(21, 10, 28, 10).mean(axis=(1, 3))
    np.testing.assert_allclose(out[0], expected, atol=1e-6)


@pytest.mark.parametrize("factor", [0.31, 0.8, 1.0, 1.7, 2.0, 4.25])
def test_surface_brightness_is_kept(factor):
    data = np.full((1, 50, 50), 3.25, np.float32)
    (out, bad), *_ = whole(data, np.zeros(data.shape, bool), factor, factor)
    np.testing.assert_allclose(out, np.where(bad, 0, 3.25), rtol=1e-6)


def test_interpolation_keeps_a_plane_in_place():
    y, x = np.mgrid[:40, :50] + 0.5
    data = (2 * x + 3 * y)[None].astype(np.float32)
    (out, _), *_ = whole(data, np.zeros(data.shape, bool), 0.5, 0.5)
    yo, xo = (np.mgrid[:80, :100] + 0.5) * 0.5
    np.testing.assert_allclose(out[0, 1:-1, 1:-1], (2 * xo + 3 * yo)[1:-1, 1:-1], rtol=1e-5)


def test_bad_pixels_do_not_leak():
    data, mask = field((1, 20, 20))
    mask[0, 4, 4] = True
    data[mask] = 1e9
    (out, bad), *_ = whole(data, mask, 2.0, 2.0)
    block = np.array([data[0, 4, 5], data[0, 5, 4], data[0, 5, 5]])
    assert out[0, 2, 2] == pytest.approx(block.mean(), rel=1e-6)
    assert not bad.any()


def test_less_than_half_good_is_masked_and_zero():
    data, mask = field((1, 20, 20))
    mask[0, 4:6, 4] = True
    mask[0, 8:10, 8:10] = True
    mask[0, 8, 8] = False
    (out, bad), *_ = whole(data, mask, 2.0, 2.0)
    assert not bad[0, 2, 2]
    assert bad[0, 4, 4]
    assert out[0, 4, 4] == 0


def test_partly_covered_edge_pixels():
    data = np.ones((1, 9, 11), np.float32)
    (out, bad), y, x = whole(data, np.zeros(data.shape, bool), 4.0, 4.0)
    assert (y.n_out, x.n_out) == (3, 3)
    assert bad[0, 2].all()
    assert not bad[0, :2].any()
    assert (out[~bad] == 1).all()


def test_snap_factor():
    assert snap_factor(2.0008) == 2
    assert snap_factor(0.995) == 1
    assert snap_factor(1.5) == 1.5
    assert snap_factor(0.5) == 0.5
    with pytest.raises(InputError, match="factor must be a finite number above 0"):
        snap_factor(float("nan"))
