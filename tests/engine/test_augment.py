import numpy as np
import pytest

from astro_objdet.engine.augment import observe, picture, turn, window


def marked(ny=40, nx=50):
    """An image with one bright pixel, and a box whose corner pixels tell its sides."""
    image = np.zeros((1, ny, nx), np.float32)
    image[0, 12, 20] = 1
    return image, np.array([[15.0, 10.0, 26.0, 15.0, 1.0]], dtype=np.float32)


def test_turns_keep_boxes_on_their_pixels():
    seen = set()
    for seed in range(60):
        image, box = marked()
        turned, (moved,) = turn(image, [box], np.random.default_rng(seed))
        (y,), (x,) = np.nonzero(turned[0])
        x1, y1, x2, y2, label = moved[0]
        assert (x + 0.5, y + 0.5) == ((x1 + x2) / 2, (y1 + y2) / 2)
        assert label == 1
        assert sorted((x2 - x1, y2 - y1)) == [5, 11]
        seen.add((turned.shape, x, y))
    assert len(seen) == 8


def test_the_paper_flips_left_to_right_only():
    places = set()
    for seed in range(20):
        image, box = marked()
        turned, _ = turn(image, [box], np.random.default_rng(seed), quarter=False)
        places.add(tuple(int(k[0]) for k in np.nonzero(turned[0])))
    assert places == {(12, 20), (12, 29)}


def test_a_window_may_reach_beyond_the_image():
    beyond = 0
    none = np.empty((0, 5), np.float32)
    for seed in range(40):
        image, box = marked(160, 160)
        view, (kept, ignored) = window(image, [box, none], np.random.default_rng(seed), 96)
        assert view.shape == (1, 96, 96)
        assert len(kept) + len(ignored) <= 1
        beyond += np.isnan(view).any()
        if len(kept):
            x1, y1, x2, y2, _ = kept[0]
            assert view[0, int((y1 + y2) / 2), int((x1 + x2) / 2)] == 1
            assert min(x1 + x2, y1 + y2) / 2 > 6
    assert 3 < beyond < 20
    assert window(image, [box, none], np.random.default_rng(0), 0)[0] is image


def test_what_is_cut_by_a_window_is_ignored():
    """A cluster in view whose centre is not is neither taught nor background."""
    cut = 0
    for seed in range(60):
        image = np.zeros((1, 160, 160), np.float32)
        box = np.array([[60.0, 60.0, 120.0, 120.0, 1.0]], np.float32)
        far = np.array([[-40.0, -40.0, -1.0, -1.0, 1.0]], np.float32)
        _, (kept, ignored) = window(image, [box, far], np.random.default_rng(seed), 64)
        assert len(kept) + len(ignored) <= 1
        if len(ignored):
            x1, y1, x2, y2, _ = ignored[0]
            cut += 1
            assert min(x2, y2) > 0
            assert max(x1, y1) < 64
            centre = (x1 + x2) / 2, (y1 + y2) / 2
            assert min(centre) <= 6 or max(centre) >= 58
    assert cut > 10


def test_observing_adds_noise_of_the_survey():
    noise = (0.128, 0.080, 0.051)
    blank = np.zeros((3, 64, 64), np.float32)
    view = observe(blank, noise, np.random.default_rng(0), depth=1.0)
    assert view.std(axis=(1, 2)) == pytest.approx(noise, rel=0.05)
    deep = [observe(blank, noise, np.random.default_rng(s)).std() for s in range(20)]
    assert max(deep) > 3 * min(deep)
    masked = np.full((3, 4, 4), np.nan, np.float32)
    assert np.isnan(observe(masked, noise, np.random.default_rng(0))).all()


def test_a_picture_has_the_viewers_sky():
    """arcsinh between -1 and 100: blank sky is at 36 of 255."""
    skies = set()
    for seed in range(12):
        view = picture(np.zeros((3, 4, 4), np.float32), np.random.default_rng(seed))
        skies.update(np.unique(np.round(view * 255)).astype(int).tolist())
    assert 36 in skies
    assert len(skies) == 2
    bright = picture(np.full((3, 4, 4), 1e4, np.float32), np.random.default_rng(0))
    assert bright.max() == 1
