from dataclasses import replace

import numpy as np
import pytest
import torch

from astro_objdet.detectors.deepcee import BUNDLED
from astro_objdet.engine import data
from astro_objdet.engine.data import ArchiveImages, ArchiveViews
from astro_objdet.errors import InputError
from astro_objdet.skies.archive import ArchiveWriter

RECIPE = BUNDLED.replace(
    decoys=(),
    training=BUNDLED.training.__class__(view=96, augmentation="survey", batch_size=1, steps=1),
)


ROLES = ("target", "target", "ignored", "confusion")
#: The last is farther than the targets.
PROPERTIES = {
    "target": {"redshift": 0.2, "richness": 30.0},
    "ignored": {"redshift": 0.1},
    "confusion": {"redshift": 0.4, "richness": 5.0},
}


def write(path, kind="raw", count=3, noiseless=True, roles=ROLES):
    """Images of 160 px with a bright pixel on the centre of each box."""
    rng = np.random.default_rng(0)
    with ArchiveWriter(
        path,
        bands=("g", "r", "i"),
        pixel_scale=RECIPE.pixel_scale,
        shape=(160, 160),
        kind=kind,
        dtype="float16" if kind == "raw" else "uint8",
        unit="nmgy / arcsec2" if kind == "raw" else "",
        labels=("cluster",),
        provenance={"noiseless": noiseless},
    ) as writer:
        for number in range(count):
            x, y = rng.integers(20, 140, (2, 4))
            image = np.zeros((3, 160, 160), "float32" if kind == "raw" else "uint8")
            image[:, y, x] = 2000 if kind == "raw" else 255
            objects = [
                {"x1": a - 11.5, "y1": b - 11.5, "x2": a + 12.5, "y2": b + 12.5, "role": role}
                | PROPERTIES.get(role, {})
                for a, b, role in zip(x, y, roles, strict=True)
            ]
            split = "train" if number < count - 1 else "test"
            writer.append(image, objects, field=f"f{number}", split=split)
    return path


@pytest.fixture
def archive(tmp_path):
    return write(tmp_path / "a.h5")


def test_a_view_depends_on_seed_and_index_alone(archive):
    one, two = (ArchiveViews(archive, RECIPE, length=20, seed=3) for _ in range(2))
    image, target = one[7]
    _ = two[3]
    other, other_target = two[7]
    assert np.array_equal(image, other)
    assert np.array_equal(target["boxes"], other_target["boxes"])
    different, _ = ArchiveViews(archive, RECIPE, length=20, seed=4)[7]
    assert not np.array_equal(image, different)


def test_boxes_follow_their_objects_through_turns_and_windows(archive):
    views = ArchiveViews(archive, RECIPE, length=40, seed=1)
    seen = ignored = 0
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
        assert (target["labels"] == 1).all()
        ignored += len(target.get("ignored", ()))
    assert seen > 20
    assert ignored > 10


def test_what_is_known_of_objects_follows_them(archive):
    """Targets and ignored objects have ln of richness and redshift; what is too far has not."""
    views = ArchiveViews(archive, RECIPE, length=60, seed=1)
    rich = near = 0
    for index in range(60):
        image, target = views[index]
        for box, (richness, redshift) in zip(
            target.get("known", ()), target.get("properties", ()), strict=True
        ):
            x, y = (int(v) for v in (box[:2] + box[2:]) / 2)
            assert image[:, y, x].min() > 0.6
            if torch.isnan(richness):
                assert float(redshift) == pytest.approx(np.log(0.1))
                near += 1
            else:
                assert float(richness) == pytest.approx(np.log(30))
                assert float(redshift) == pytest.approx(np.log(0.2))
                rich += 1
    assert rich > 20
    assert near > 5
    bare = ArchiveViews(archive, RECIPE.replace(estimates=()), length=40, seed=1)
    assert not any("known" in bare[index][1] for index in range(10))


def test_pictures_tell_no_properties(archive, monkeypatch):
    views = ArchiveViews(archive, RECIPE, length=8, seed=1)
    assert any("known" in views[index][1] for index in range(8))
    monkeypatch.setattr(data, "PICTURES", 1.0)
    assert not any("known" in views[index][1] for index in range(8))
    assert any(len(views[index][1]["boxes"]) for index in range(8))


def test_what_properties_begin_at(archive):
    typical, spread = ArchiveViews(archive, RECIPE, length=1, seed=1).typical()
    assert typical[0] == pytest.approx(np.log(30))
    assert np.log(0.1) < typical[1] < np.log(0.2)
    assert (spread >= 0.1).all()


def test_estimates_must_be_columns_of_the_archive(archive):
    with pytest.raises(InputError, match="a.h5: has no column mass, which deepcee-lite0 learns"):
        ArchiveImages(archive, RECIPE.replace(estimates=("mass",)))


def test_every_image_comes_before_one_comes_again(archive):
    views = ArchiveViews(archive, RECIPE, length=8, seed=1)
    rows = [views.row(k) for k in range(8)]
    assert all(sorted(rows[k : k + 2]) == [0, 1] for k in range(0, 8, 2))


def test_plain_images_are_whole_and_always_the_same(archive):
    images = ArchiveImages(archive, RECIPE, split="test")
    assert len(images) == 1
    (image, target), (again, _) = images[0], images[0]
    assert image.shape == (3, 160, 160)
    assert np.array_equal(image, again)
    assert len(target["boxes"]) == 2
    blank = np.median(image, axis=(1, 2))
    # sky of sqrt((0 + 0.2) / 10.2), with SDSS's noise around it
    assert blank == pytest.approx(np.sqrt(0.2 / 10.2), abs=0.01)
    assert image[0].std() > image[2].std()  # i is noisier than g


def test_noise_that_is_there_is_not_added_again(tmp_path):
    path = write(tmp_path / "noisy.h5", noiseless=False)
    image, _ = ArchiveImages(path, RECIPE, split="test")[0]
    assert len(np.unique(image[0].numpy())) == 2


@pytest.mark.parametrize("augmentation", ["none", "flip", "turn", "survey"])
def test_views_of_noiseless_images_have_noise_whatever_varies(archive, augmentation):
    settings = replace(RECIPE.training, augmentation=augmentation, view=160, implants=0)
    views = ArchiveViews(archive, RECIPE.replace(training=settings), length=4, seed=3)
    assert all(len(np.unique(views[k][0][1].numpy())) > 50 for k in range(4))


def test_pictures_cannot_be_observed_anew(tmp_path):
    path = write(tmp_path / "pictures.h5", kind="stretched")
    with pytest.raises(InputError, match="needs raw images; train with another one: turn"):
        ArchiveViews(path, RECIPE, length=2, seed=1)
    settings = RECIPE.training.__class__(view=0, augmentation="flip")
    recipe = RECIPE.replace(training=settings, stretch={"name": "identity"})
    image, target = ArchiveViews(path, recipe, length=2, seed=1)[0]
    assert image.shape == (3, 160, 160)
    assert image.max() == 1
    x = (target["boxes"][:, 0] + target["boxes"][:, 2]) / 2
    y = (target["boxes"][:, 1] + target["boxes"][:, 3]) / 2
    assert (image[0, y.long(), x.long()] == 1).all()


def test_decoys_are_another_class_for_recipes_that_have_them(tmp_path):
    path = write(tmp_path / "a.h5", roles=("target", "decoy", "ignored", "decoy"))
    recipe = RECIPE.replace(decoys=("group",))
    _, target = ArchiveImages(path, recipe, split="test")[0]
    assert target["labels"].tolist() == [1, 2, 2]
    assert target["scored"].tolist() == [True, False, False]
    assert len(target["ignored"]) == 1
    _, target = ArchiveImages(path, RECIPE, split="test")[0]
    assert target["labels"].tolist() == [1]
