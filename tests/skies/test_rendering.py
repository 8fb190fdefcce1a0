"""Rendered surveys on disk: FITS files with truth, and archives."""

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits

from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.detectors.deepcee import BUNDLED, PAPER
from astro_objdet.errors import InputError, OutputExistsError
from astro_objdet.images import read_bands
from astro_objdet.skies.archive import Archive
from astro_objdet.skies.conditions import SURVEYS
from astro_objdet.skies.datasets.building import build
from astro_objdet.skies.plans import plan_fields
from astro_objdet.skies.rendering import Roles, render_archive, simulate
from astro_objdet.skies.splits import split_cells

RECIPE = BUNDLED.replace(pixel_scale=0.792)  # two by two pixels of SDSS
SMALL = {"size": 96, "binning": 2, "faintest": 20.0}


def test_fields_and_truth(tmp_path):
    done = simulate("sdss", 0.0012, out=tmp_path / "skies", seed=3, cluster_odds=(0, 1), **SMALL)
    assert done.fields == 3
    assert done.area == pytest.approx(3 * (96 * 0.792 / 3600) ** 2)
    truth = read_table(tmp_path / "skies" / "truth.ecsv")
    assert set(truth["field"]) <= {"sdss_00000", "sdss_00001", "sdss_00002"}
    assert done.clusters >= 3
    paths = [tmp_path / "skies" / f"sdss_00000_{band}.fits" for band in "gri"]
    stack = read_bands(paths)
    assert stack.bands == ("g", "r", "i")
    row = truth[truth["field"] == "sdss_00000"][0]
    x, y = stack.wcs.world_to_pixel(SkyCoord(row["ra"], row["dec"], unit="deg"))
    assert (float(x), float(y)) == pytest.approx((row["x"], row["y"]), abs=1e-4)
    told = json.loads((tmp_path / "skies" / "simulate.json").read_text())
    assert told["plan"]["seed"] == 3
    assert told["fields"] == 3


def test_counts_of_another_survey_have_its_zero_point(tmp_path):
    simulate("des", 1e-4, out=tmp_path, seed=1, size=64, faintest=19.0)
    header = fits.getheader(tmp_path / "des_00000_r.fits")
    assert (header["BUNIT"], header["MAGZERO"]) == ("adu", 30.0)


def test_workers_change_nothing(tmp_path):
    for name, workers in (("one", 1), ("two", 2)):
        simulate("sdss", 0.0008, out=tmp_path / name, seed=3, workers=workers, **SMALL)
    files = sorted(path.name for path in (tmp_path / "one").glob("*.fits"))
    assert len(files) == 6
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_rendered_sky_is_not_overwritten(tmp_path):
    simulate("sdss", 1e-4, out=tmp_path, seed=1, **SMALL)
    with pytest.raises(OutputExistsError, match="simulate.json"):
        simulate("sdss", 1e-4, out=tmp_path, seed=2, **SMALL)
    simulate("sdss", 1e-4, out=tmp_path, seed=2, overwrite=True, **SMALL)


def test_a_sky_that_is_replaced_leaves_nothing_behind(tmp_path):
    simulate("sdss", 0.0012, out=tmp_path, seed=1, **SMALL)
    (tmp_path / "mine_g.fits").write_text("mine")
    simulate("des", 1e-5, out=tmp_path, seed=2, size=64, faintest=19.0, overwrite=True)
    fields = {f"des_00000_{band}.fits" for band in "gri"}
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {*fields, "truth.ecsv", "simulate.json", "mine_g.fits"}
    assert json.loads((tmp_path / "simulate.json").read_text())["survey_name"] == "des"


def test_an_interrupted_sky_is_known_for_one(tmp_path):
    def stop(label, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate("sdss", 0.0012, out=tmp_path, seed=1, progress=stop, **SMALL)
    assert not (tmp_path / "truth.ecsv").exists()
    (tmp_path / "sdss_00002_g.fits").write_text("what a faster run left")
    with pytest.raises(OutputExistsError, match="simulate.json"):
        simulate("sdss", 1e-4, out=tmp_path, seed=1, **SMALL)
    (tmp_path / "simulate.json").rename(tmp_path / "kept.json")
    with pytest.raises(OutputExistsError, match="sdss_00000_g.fits"):
        simulate("sdss", 1e-4, out=tmp_path, seed=1, **SMALL)
    (tmp_path / "kept.json").rename(tmp_path / "simulate.json")
    simulate("sdss", 1e-4, out=tmp_path, seed=1, overwrite=True, **SMALL)
    assert len([*tmp_path.glob("*.fits")]) == 3


def test_archive(tmp_path):
    path = tmp_path / "a.h5"
    options = {"seed": 4, "size": 96, "cluster_odds": (0, 1, 1), "faintest": 20.0, "noise": False}
    render_archive(path, "sdss", 0.003, recipe=RECIPE, parts=("train", "valid"), **options)
    archive = Archive(path, recipe=RECIPE)
    assert archive.n_images == 7
    assert set(archive.splits) <= {"train", "valid"}
    assert archive.provenance["noiseless"]
    objects = archive.table
    target = objects[objects["role"] == "target"]
    assert (target["richness"] >= 20).all()
    assert ((target["redshift"] >= 0.08) & (target["redshift"] <= 0.38)).all()
    # the box is centred where the WCS puts the truth, pixel edges half a pixel on
    row = target[0]
    sky = SkyCoord(row["ra"], row["dec"], unit="deg")
    x, y = archive.wcs(int(row["image"])).world_to_pixel(sky)
    assert (row["x1"] + row["x2"]) / 2 == pytest.approx(float(x) + 0.5, abs=1e-3)
    assert (row["y1"] + row["y2"]) / 2 == pytest.approx(float(y) + 0.5, abs=1e-3)


def test_an_interrupted_archive_goes_on(tmp_path):
    options = {"recipe": RECIPE, "seed": 4, "size": 64, "cluster_odds": (0, 1), "faintest": 19.0}

    def stop(label, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_archive(tmp_path / "a.h5", "sdss", 0.0008, progress=stop, **options)
    with pytest.raises(OutputExistsError, match="a.h5"):
        render_archive(tmp_path / "a.h5", "sdss", 0.0008, **options)
    render_archive(tmp_path / "a.h5", "sdss", 0.0008, resume=True, **options)
    render_archive(tmp_path / "b.h5", "sdss", 0.0008, **options)
    with pytest.raises(InputError, match="was made with plan .* give the same options"):
        render_archive(tmp_path / "a.h5", "sdss", 0.0008, resume=True, **{**options, "seed": 5})
    one, two = Archive(tmp_path / "a.h5"), Archive(tmp_path / "b.h5")
    assert one.n_images == two.n_images == 5
    for k in range(5):
        np.testing.assert_array_equal(one.image(k), two.image(k))


def test_parts_of_the_sky_never_meet():
    """Fields of any two parts are further apart than a field is wide."""
    train, test = (
        plan_fields("sdss", 20, seed=s, size=1024, binning=2, parts=(part,))[0].places(100)[0]
        for s, part in ((1, "train"), (2, "test"))
    )
    one, two = SkyCoord(train, unit="deg"), SkyCoord(test, unit="deg")
    nearest = one.match_to_catalog_sky(two)[1]
    assert nearest.min() > 1024 * 0.792 * u.arcsec
    assert (np.abs(one.galactic.b.deg) > 25).all()


def test_parts_are_those_of_the_map_of_the_sky():
    """`split_cells` with the same numbers puts the fields where they are."""
    plan, _ = plan_fields("sdss", 1, seed=1, size=1024, binning=2, parts=("train", "valid", "test"))
    places, parts = plan.places(300)
    fractions = {"train": 0.8, "valid": 0.1, "test": 0.1}
    split = split_cells(
        *places.T, size=811 * u.arcsec, nside=16, fractions=fractions, seed=0, border="drop"
    )
    assert split.names.tolist() == parts.tolist()
    assert 20 < (parts == "test").sum() < 45


def test_places_do_not_overlap_and_do_not_depend_on_their_number():
    plan, _ = plan_fields("sdss", 20, seed=1, size=2048, parts=("test",))
    some, more = plan.places(50)[0], plan.places(400)[0]
    np.testing.assert_array_equal(some, more[:50])
    sky = SkyCoord(more, unit="deg")
    assert sky.match_to_catalog_sky(sky, nthneighbor=2)[1].min() > 1.4 * 2048 * 0.396 * u.arcsec


def test_roles():
    richness = np.array([30, 30, 17, 9, 20, 5, 9])
    redshift = np.array([0.2, 0.6, 0.2, 0.2, 0.08, 0.2, 0.6])
    expected = ["target", "ignored", "ignored", "decoy", "target", "confusion", "confusion"]
    assert Roles()(richness, redshift).tolist() == expected


def test_far_targets_are_richer():
    richness = np.array([20, 40, 44, 45, 30, 13])
    redshift = np.array([0.3, 0.37, 0.38, 0.38, 0.33, 0.38])
    expected = ["target", "ignored", "ignored", "target", "target", "ignored"]
    assert Roles(fading=(0.3, 10.0))(richness, redshift).tolist() == expected
    assert Roles()(richness, redshift).tolist() == ["target"] * 5 + ["ignored"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"survey": "sdds"}, "survey must be one of"),
        ({"area": 0}, "area must be a finite number above 0, got 0"),
        ({"seed": -1}, "seed must be a whole number from 0 up, got -1"),
        ({"parts": ("north",)}, "parts must be one of"),
        ({"cluster_odds": (0.0, 0.0)}, r"cluster_odds must be .* above 0, got \(0.0, 0.0\)"),
        ({"cluster_odds": (1.0, -0.5)}, "cluster_odds must be finite numbers from 0 up"),
        ({"cluster_odds": (1.0, np.nan)}, "cluster_odds must be finite numbers from 0 up"),
        ({"cluster_odds": ()}, "cluster_odds must be finite numbers from 0 up"),
        ({"workers": 1.5}, "workers must be a whole number from 1 up, got 1.5"),
        ({"size": 64.5}, "size must be a whole number from 1 up, got 64.5"),
        ({"faintest": np.nan}, "faintest must be a finite magnitude, got nan"),
        ({"bright_excess": -1}, "bright_excess must be a finite number from 0 up, got -1"),
        ({"seeing_spread": -0.1}, "seeing_spread must be"),
        ({"area": 60_000}, "area must be at most 4764 square degrees, what fields at random"),
        ({"area": 600, "parts": ("test",)}, "area must be at most 476 square degrees in test"),
    ],
)
def test_bad_parameters(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        simulate(**{"out": tmp_path, "seed": 1, **options})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"redshift": (0.38, 0.08)}, "the range of redshift must be .* got .0.38, 0.08."),
        ({"redshift": (np.nan, 0.3)}, "the range of redshift must be"),
        ({"ignored_richness": np.nan}, "ignored_richness must be a finite number from 0 up"),
        ({"fading": (0.3, -1)}, "fading must be a redshift and a rate"),
        ({"fading": (0.3,)}, "fading must be a redshift and a rate"),
        ({"richness": -1}, "richness must be a finite number from 0 up, got -1"),
    ],
)
def test_roles_that_no_object_can_have(limits, message):
    with pytest.raises(InputError, match=message):
        Roles(**limits)


@pytest.mark.parametrize("fading", [None, (0.3, 0.1)])
def test_archives_go_on_with_the_same_roles(tmp_path, fading):
    options = {"seed": 3, "size": 48, "cluster_odds": (0, 1), "faintest": 18.0, "parts": ("train",)}
    options |= {"area": 1e-9, "recipe": BUNDLED, "roles": Roles(fading=fading)}
    path = tmp_path / "a.h5"
    render_archive(path, **options)
    noted = Archive(path, need_targets=False).provenance["roles"]
    assert noted["fading"] == (fading and [*fading])
    render_archive(path, **options, resume=True)
    with pytest.raises(InputError):
        render_archive(path, **options | {"roles": Roles(fading=(0.2, 5.0))}, resume=True)


def test_an_archive_without_targets_is_told_of(tmp_path):
    options = {"seed": 3, "size": 48, "cluster_odds": (0, 1), "faintest": 18.0, "parts": ("train",)}
    with pytest.warns(UserWarning, match="nothing that was rendered is a target"):
        render_archive(
            tmp_path / "a.h5", area=1e-9, recipe=BUNDLED, roles=Roles(richness=900.0), **options
        )


def test_a_sky_without_noise_stays_one_in_an_archive(tmp_path):
    out, options = tmp_path / "sky", {**SMALL, "binning": 3}
    for noise in (True, False):
        simulate("sdss", 1e-9, out=out, seed=1, noise=noise, cluster_odds=(0, 1), **options,
                 overwrite=True)  # fmt: skip
        build([out], tmp_path / f"{noise}.h5", recipe=BUNDLED, scheme="none")
        made = Archive(tmp_path / f"{noise}.h5", need_targets=False)
        assert made.provenance.get("noiseless", False) is not noise


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "afile").write_text("")
    with pytest.raises(InputError, match="afile: cannot be made: File exists"):
        simulate("sdss", 1e-4, out=tmp_path / "afile", seed=1, **SMALL)


def test_pixels_must_be_the_recipes(tmp_path):
    with pytest.raises(InputError, match="binning must bring the sdss pixels to the 0.792 arcsec"):
        render_archive(tmp_path / "a.h5", "sdss", 0.001, seed=1, recipe=RECIPE, size=64, binning=1)
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize("recipe", [BUNDLED, PAPER], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("survey", SURVEYS)
def test_archives_of_every_survey_fit_the_recipes(tmp_path, survey, recipe):
    options = {"seed": 3, "size": 48, "cluster_odds": (0, 1), "faintest": 18.0, "parts": ("train",)}
    render_archive(tmp_path / "a.h5", survey, 1e-9, recipe=recipe, **options)
    archive = Archive(tmp_path / "a.h5", recipe=recipe)
    assert archive.clip_boxes == recipe.clip_boxes
    x1, x2 = archive.table["x1"], archive.table["x2"]
    assert ((x1 >= 0) & (x2 <= 48)).all() == recipe.clip_boxes


def test_a_survey_coarser_than_the_recipe(tmp_path):
    fine = RECIPE.replace(pixel_scale=0.3)
    with pytest.raises(InputError, match="has pixels of 0.3 arcsec, finer than the 0.396 of sdss"):
        render_archive(tmp_path / "a.h5", "sdss", 1e-9, seed=1, recipe=fine)


def test_an_archive_from_anywhere_is_for_training(tmp_path):
    options = {"seed": 3, "size": 48, "cluster_odds": (0, 1), "faintest": 18.0}
    with pytest.warns(UserWarning, match="not split, all images are for training"):
        render_archive(tmp_path / "a.h5", area=1e-9, recipe=BUNDLED, **options)
    assert Archive(tmp_path / "a.h5").splits == {"train": 1}


def test_a_full_sky_is_told():
    plan, _ = plan_fields("sdss", 1, seed=1, size=60_000)
    with pytest.raises(InputError, match=r"area: only \d+ of 900 fields of 60000 px find room"):
        plan.places(900)
