from dataclasses import asdict

import numpy as np
import pytest

from astro_objdet.detectors.deepcee import BUNDLED
from astro_objdet.detectors.recipe import TrainingSettings
from astro_objdet.engine.data import ArchiveViews
from astro_objdet.errors import InputError
from astro_objdet.skies.archive import Archive, ArchiveWriter
from astro_objdet.skies.conditions import SURVEYS
from astro_objdet.skies.implants import Implanter
from astro_objdet.skies.rendering import Roles, render_archive

SIDE = 320
BINNED = SURVEYS["sdss"].binned(3)


def recipe(implants, **more):
    settings = TrainingSettings(view=SIDE, augmentation="survey", implants=implants)
    return BUNDLED.replace(training=settings, **more)


def write(path, noiseless=True, known=True):
    """Two blank fields with a cluster each."""
    told = {"plan": {"survey": asdict(BINNED), "faintest": 22.0}, "roles": asdict(Roles())}
    with ArchiveWriter(
        path,
        bands=("g", "r", "i"),
        pixel_scale=BINNED.pixel_scale,
        shape=(SIDE, SIDE),
        kind="raw",
        dtype="float16",
        unit="nmgy / arcsec2",
        labels=("cluster",),
        provenance={"noiseless": noiseless, **(told if known else {})},
    ) as writer:
        for number in range(2):
            box = {"x1": 110, "y1": 110, "x2": 210, "y2": 210, "redshift": 0.25, "richness": 30.0}
            image = np.zeros((3, SIDE, SIDE), "float16")
            writer.append(image, [box | {"role": "target"}], field=f"f{number}", split="train")
    return path


@pytest.fixture
def implanter(tmp_path):
    return Implanter(Archive(write(tmp_path / "a.h5")), 3.0)


def blank():
    return np.zeros((3, SIDE, SIDE), np.float32)


def test_boxes_are_centred_on_galaxies_of_their_redshift(implanter):
    seen = []
    for seed in range(30):
        image = blank()
        boxes, roles, known = implanter(image, np.empty((0, 4)), np.random.default_rng(seed))
        assert len(boxes) == len(roles) == len(known["richness"]) == len(known["redshift"])
        for box, z in zip(boxes, known["redshift"], strict=True):
            x, y = (int(v) for v in (box[:2] + box[2:]) / 2)
            around = image[:, max(y - 12, 0) : y + 13, max(x - 12, 0) : x + 13]
            centre = image[:, y - 1 : y + 2, x - 1 : x + 2].mean(axis=(1, 2))
            assert centre[2] > 3 * np.median(around[2])
            seen.append((z, 2.5 * np.log10(centre[1] / centre[0]), box[2] - box[0]))
    z, g_r, side = np.array(seen).T
    assert len(z) > 40
    # the 4000 Angstrom break moves through g; farther ones are smaller
    assert np.corrcoef(z, g_r)[0, 1] > 0.9
    assert np.corrcoef(np.log(z), np.log(side))[0, 1] < -0.95


def test_roles_are_those_of_the_archive(implanter):
    rng = np.random.default_rng(0)
    parts = [implanter(blank(), np.empty((0, 4)), rng) for _ in range(60)]
    roles = np.concatenate([roles for _, roles, _ in parts])
    known = {n: np.concatenate([k[n] for *_, k in parts]) for n in ("richness", "redshift")}
    assert (roles == Roles()(known["richness"], known["redshift"])).all()
    assert {*roles} >= {"target", "ignored", "decoy"}
    assert 0.05 <= known["redshift"].min() < 0.08
    assert 0.38 < known["redshift"].max() <= 0.41


def test_none_falls_on_another_or_on_what_is_masked(implanter):
    taken = np.array([[0.0, 0.0, 200.0, 200.0]])
    implanter.mean = 8.0
    for seed in range(10):
        image = blank()
        image[:, 200:] = np.nan
        boxes, *_ = implanter(image, taken, np.random.default_rng(seed))
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        assert (np.hypot(*(middle - 100).T) > 100).all()
        assert (middle[:, 1] < 192).all()
        for k, (here, box) in enumerate(zip(middle, boxes, strict=True)):
            others = np.delete(middle, k, axis=0)
            assert (np.hypot(*(others - here).T) > (box[2] - box[0]) / 2).all()
        assert np.isnan(image[:, 200:]).all()


def test_views_of_noiseless_sky_have_fresh_ones(tmp_path):
    path = write(tmp_path / "a.h5")
    with_them, without = (ArchiveViews(path, recipe(n), length=20, seed=1) for n in (3.0, 0.0))
    again = ArchiveViews(path, recipe(3.0), length=20, seed=1)
    more = 0
    for index in range(20):
        image, target = with_them[index]
        same, same_target = again[index]
        assert np.array_equal(image, same)
        assert np.array_equal(target["boxes"], same_target["boxes"])
        more += len(target["boxes"]) - len(without[index][1]["boxes"])
        assert (target["labels"].diff() >= 0).all()  # targets come before decoys
        if "known" in target:
            assert len(target["known"]) == len(target["properties"])
            assert target["properties"].isfinite().all()
    assert more > 15
    assert not np.array_equal(with_them[0][1]["boxes"], with_them[2][1]["boxes"])


@pytest.mark.parametrize("told", [{"noiseless": False}, {"known": False}])
def test_other_archives_are_taken_as_they_are(tmp_path, told):
    path = write(tmp_path / "a.h5", **told)
    one, other = (ArchiveViews(path, recipe(n), length=4, seed=1)[2] for n in (9.0, 0.0))
    assert np.array_equal(one[0], other[0])


def test_recipes_without_decoys_and_estimates(tmp_path):
    views = ArchiveViews(
        write(tmp_path / "a.h5"), recipe(6.0, decoys=(), estimates=()), length=8, seed=1
    )
    labels = [label for k in range(8) for label in views[k][1]["labels"].tolist()]
    assert {*labels} == {1}
    assert all("known" not in views[k][1] for k in range(8))


def test_rendered_archives_say_what_is_needed(tmp_path):
    path = tmp_path / "a.h5"
    with pytest.warns(UserWarning, match="nothing that was rendered is a target"):
        render_archive(
            path, "sdss", 0.001, seed=1, recipe=BUNDLED, size=96, noise=False, parts=("train",)
        )
    implanter = Implanter(Archive(path, need_targets=False), 2.0)
    assert implanter.survey == BINNED
    assert implanter.roles.__dict__ == asdict(Roles()) | {"redshift": [0.08, 0.38]}
    assert 20 < implanter.faintest < 24


@pytest.mark.parametrize("value", [-1.0, float("nan"), True, 1e3])
def test_mean_number_is_checked(value):
    with pytest.raises(InputError, match="implants must be a number from 0 to 100"):
        TrainingSettings(implants=value)
