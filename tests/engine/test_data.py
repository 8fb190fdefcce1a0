import numpy as np
import pytest

from astro_objdet.engine.data import FieldViews, legacy_stretch, sqrt_stretch
from astro_objdet.images import SqrtFluxStretch

h5py = pytest.importorskip("h5py")


@pytest.fixture
def fields(tmp_path):
    """Two noiseless fields of 160 px with one bright pixel on each truth's centre."""
    path = tmp_path / "fields.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        images = np.zeros((2, 3, 160, 160), np.float16)
        for number in range(2):
            truth = np.column_stack(
                [rng.integers(20, 140, (4, 2)), np.full(4, 12), np.full(4, 0.2), [30, 25, 22, 9]]
            ).astype(float)
            for x, y in truth[:, :2].astype(int):
                images[number, :, y, x] = 2000
            file[f"truth/{number}"] = truth
        file["images"] = images
    return path


def test_a_view_depends_on_seed_and_index_alone(fields):
    one, two = FieldViews(fields, 20, seed=3, size=96), FieldViews(fields, 20, seed=3, size=96)
    image, target = one[7]
    _ = two[3]
    other, other_target = two[7]
    assert np.array_equal(image, other)
    assert np.array_equal(target["boxes"], other_target["boxes"])
    different, _ = FieldViews(fields, 20, seed=4, size=96)[7]
    assert not np.array_equal(image, different)


def test_boxes_follow_their_objects_through_turns_and_windows(fields):
    views = FieldViews(fields, 40, seed=1, size=96)
    seen = 0
    for index in range(40):
        image, target = views[index]
        assert image.shape == (3, 96, 96)
        assert 0 <= image.min() <= image.max() <= 1
        for x1, y1, x2, y2 in target["boxes"].numpy():
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            assert (x2 - x1, y2 - y1) == pytest.approx((24, 24), abs=1e-3)
            # the centre of a pixel is at +0.5 in edge coordinates
            assert image[:, int(y), int(x)].min() > 0.6
            seen += 1
    assert seen > 20


def test_poor_groups_are_not_labelled(fields):
    rich = FieldViews(fields, 40, seed=1, size=96)
    all_of_them = FieldViews(fields, 40, seed=1, size=96, richness_cut=0)
    n_rich = sum(len(rich[k][1]["boxes"]) for k in range(40))
    n_all = sum(len(all_of_them[k][1]["boxes"]) for k in range(40))
    assert 0 < n_rich < n_all


def test_training_stretch_is_the_recipe_stretch():
    flux = np.random.default_rng(1).normal(0, 2, (3, 20, 20)).astype(np.float32)
    expected = SqrtFluxStretch(-0.2, 10.0)(flux[::-1].copy())
    np.testing.assert_allclose(sqrt_stretch(flux), expected, atol=1e-6)


def test_legacy_picture_has_their_sky_level():
    """The Legacy Surveys' pictures show blank sky at about 32 of 255."""
    blank = legacy_stretch(np.zeros((3, 4, 4), np.float32))
    assert np.unique(np.round(blank * 255)) == pytest.approx(32, abs=2)
