"""Archives from fields and catalogues: windows, boxes, roles, splits, and what is refused."""

import json
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.cosmology import FlatLambdaCDM
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from image_server import BANDS, DEC, RA, STARS, serving
from PIL import Image

from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.detectors import get_recipe
from astro_objdet.errors import InputError, NetworkError, OutputExistsError
from astro_objdet.images import SqrtFluxStretch, read_bands
from astro_objdet.skies import dataset
from astro_objdet.skies.archive import Archive, ArchiveWriter
from astro_objdet.skies.datasets import making
from astro_objdet.skies.datasets.truth import truth_of
from astro_objdet.skies.datasets.windows import FieldWindows, cover
from astro_objdet.skies.leaks import LeakWarning

#: Two by two pixels of SDSS.
RECIPE = get_recipe("deepcee-lite0").replace(pixel_scale=0.792)
SCALE = 0.396
NOT_SPLIT = "ignore:not split, all images are for training:UserWarning"


def sky_of(wcs, x, y):
    """RA, Dec in degrees of pixel edges at the recipe's scale, two SDSS pixels each."""
    coords = wcs.pixel_to_world(2 * np.asarray(x) - 0.5, 2 * np.asarray(y) - 0.5).icrs
    return coords.ra.deg, coords.dec.deg


@pytest.fixture
def make_field(tmp_path, make_wcs):
    """A function that writes g, r, i of a field with a bright dot at each place."""

    def make(name="field", places=(), *, shape=(400, 600), ra=150.0, dec=2.0, **header):
        wcs = make_wcs(shape, scale=SCALE, ra=ra, dec=dec)
        y, x = np.mgrid[: shape[0], : shape[1]]
        rng = np.random.default_rng(3)
        for number, band in enumerate("gri"):
            plane = rng.normal(0, 0.01, shape).astype(np.float32)
            for px, py in places:
                dot = np.exp(-((x + 0.5 - 2 * px) ** 2 + (y + 0.5 - 2 * py) ** 2) / 18)
                plane += (number + 1) * dot.astype(np.float32)
            cards = wcs.to_header()
            cards["BUNIT"] = "nmgy"
            cards.update(header)
            fits.writeto(tmp_path / f"{name}_{band}.fits", plane, cards)
        return wcs

    return make


def write_truth(folder, wcs, places, **columns):
    ra, dec = sky_of(wcs, *np.transpose(places))
    table = Table({"ra": ra, "dec": dec, **columns})
    table.write(folder / "truth.ecsv")
    return table


@pytest.mark.filterwarnings(NOT_SPLIT)
def test_targets_lie_in_the_middle_of_their_boxes(tmp_path, make_field):
    places = [(40.0, 50.0), (200.5, 120.25)]
    wcs = make_field(places=places)
    write_truth(tmp_path, wcs, places, redshift=[0.3, 0.4], richness=[30.0, 50.0])
    report = dataset.build([tmp_path], tmp_path / "a.h5", recipe=RECIPE, size=160)
    archive = Archive(tmp_path / "a.h5", recipe=RECIPE)
    assert (archive.bands, archive.dtype, archive.unit) == (
        ("g", "r", "i"),
        "float16",
        "nmgy / arcsec2",
    )
    assert archive.splits == {"train": archive.n_images} == report.splits
    seen = set()
    for number in range(archive.n_images):
        image, at = archive.image(number).astype(float), archive.wcs(number)
        for item in archive.objects(number):
            x, y = (item["x1"] + item["x2"]) / 2, (item["y1"] + item["y2"]) / 2
            # the WCS of the window puts the box where the catalogue has the object
            sky = at.pixel_to_world(x - 0.5, y - 0.5)
            place = SkyCoord(item["ra"], item["dec"], unit="deg")
            assert sky.separation(place).arcsec < 0.01
            side = 500 / kpc_per_arcsec(float(item["redshift"])) / 0.792
            assert item["x2"] - item["x1"] == pytest.approx(side, rel=1e-4)
            assert item["y2"] - item["y1"] == pytest.approx(side, rel=1e-4)
            if not (12 < x < 148 and 12 < y < 148):
                continue
            # the dot is there in the pixels, in each band with its brightness
            ix, iy = int(x), int(y)
            part = image[:, iy - 8 : iy + 9, ix - 8 : ix + 9]
            flux = part.sum(axis=(1, 2)) * 0.792**2
            np.testing.assert_allclose(flux, np.pi * 18 * np.array([1, 2, 3]), rtol=0.03)
            yy, xx = np.mgrid[iy - 8 : iy + 9, ix - 8 : ix + 9]
            assert (part[2] * (xx + 0.5)).sum() / part[2].sum() == pytest.approx(x, abs=0.1)
            assert (part[2] * (yy + 0.5)).sum() / part[2].sum() == pytest.approx(y, abs=0.1)
            seen.add(round(float(item["richness"])))
    assert seen == {30, 50}


def test_same_inputs_give_the_same_bytes(tmp_path, make_field):
    places = [(40.0, 50.0)]
    write_truth(tmp_path, make_field(places=places), places, redshift=[0.3])
    for name in ("a.h5", "b.h5"):
        dataset.build([tmp_path], tmp_path / name, recipe=RECIPE, size=128, scheme="none")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_roles_follow_the_ranges(tmp_path, make_field):
    places = [(20, 30), (60, 90), (100, 120), (140, 30)]
    wcs = make_field()
    truth = {"redshift": [0.3] * 4, "richness": [25.0, 15.0, 5.0, np.nan], "mass": [1.0, 2, 3, 4]}
    write_truth(tmp_path, wcs, places, **truth)
    report = dataset.build(
        [tmp_path], tmp_path / "a.h5", recipe=RECIPE, size=320, scheme="none",
        target={"richness": (20, None)}, ignore={"richness": (10, 20)}, keep=("mass",),
    )  # fmt: skip
    table = Archive(tmp_path / "a.h5").table
    roles = dict(zip(table["mass"].tolist(), table["role"].tolist(), strict=True))
    assert roles == {1: "target", 2: "ignored", 3: "confusion", 4: "confusion"}
    assert report.objects == {"target": 1, "ignored": 1, "confusion": 2}


def test_decoys_are_what_is_neither_target_nor_ignored():
    richness = [25.0, 15.0, 8.0, 2.0, np.nan]
    table = Table({"ra": [1.0] * 5, "dec": [1.0] * 5, "z": [0.2] * 5, "richness": richness})
    target, ignore = {"richness": (20, None)}, {"richness": (12, None)}
    truth = truth_of(table, ("cluster",), target=target, ignore=ignore, decoy={"richness": (6, 20)})
    assert truth.role.tolist() == ["target", "ignored", "decoy", "confusion", "confusion"]
    truth = truth_of(table, ("cluster",), decoy={"richness": (None, 20)})
    assert truth.role.tolist() == ["target", "decoy", "decoy", "decoy", "target"]


def test_rows_that_cannot_be_used_are_counted_by_reason():
    table = Table(
        {
            "ra": np.ma.masked_invalid([10.0, np.nan, 10, 10, 10, 10]),
            "dec": [1.0, 1, 95, 1, 1, 1],
            "z": np.ma.MaskedArray([0.2, 0.2, 0.2, -1, np.nan, 0.2], mask=[0, 0, 0, 0, 0, 1]),
        }
    )
    truth = truth_of(table, ("cluster",))
    assert len(truth) == 1
    assert sum(truth.set_aside.values()) == 5
    assert truth.set_aside["redshift is 0 or negative"] == 1
    assert truth.set_aside["redshift is NaN or infinite"] == 1
    assert truth.set_aside["redshift masked"] == 1
    # an angle needs no redshift
    assert len(truth_of(table, ("cluster",), box_size="30 arcsec")) == 4


def test_box_sizes_from_columns_and_angles():
    table = Table({"ra": [10.0], "dec": [1.0], "w": [12.0] * u.arcsec, "h": [0.5] * u.arcmin})
    truth = truth_of(table, ("arc",), box_size=("w", "h"))
    assert (truth.width[0], truth.height[0]) == (12, 30)
    truth = truth_of(table, ("arc",), box_size=10 * u.arcsec)
    assert (truth.width[0], truth.height[0]) == (10, 10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"box_size": "500 kpc"}, "box_size is a length .500 kpc., which needs a redshift"),
        ({"box_size": "3 Jy"}, "box_size must be an angle or a length|there is no column"),
        ({"box_size": "w"}, "column 'w' of the truth table has no unit; give the column a unit"),
        ({"label": "ring"}, "label must be one of arc, lens; got 'ring'"),
        ({"label": "arc", "label_column": "kind"}, "exclude each other"),
        ({"label_column": "none"}, "there is no column 'none'; it has"),
        ({"target": {"nothing": (1, 2)}}, "nothing"),
        ({"target": {"w": (3, 2)}}, "low ≤ high"),
        ({"keep": ("ra",)}, "'ra' is a column that every archive has"),
        ({"columns": ("lon", "lat")}, "lon"),
        ({"columns": ("ra",)}, "'ra' is no column of coordinates; give the column"),
        ({"columns": ("ra", "dec", "w")}, "columns must be two names of columns"),
        ({"box_size": ("w", "w", "w")}, r"box_size must be one size, or width and height, got"),
    ],
)
def test_truth_tables_that_do_not_do(changes, message):
    table = Table({"ra": [10.0], "dec": [1.0], "w": [1.0], "kind": ["arc"]})
    with pytest.raises(InputError, match=message):
        truth_of(table, ("arc", "lens"), **{"box_size": "30 arcsec", **changes})


def test_table_without_positions_or_usable_rows():
    with pytest.raises(InputError, match=r"truth table: .* name the two columns \(columns\)"):
        truth_of(Table({"x": [1.0], "y": [2.0]}), ("cluster",))
    table = Table({"ra": [10.0], "dec": [1.0], "z": [0.0]})
    with pytest.raises(InputError, match="no row can be used .redshift is 0 or negative: 1."):
        truth_of(table, ("cluster",))
    with pytest.raises(InputError, match="no row can be used .it has no rows."):
        truth_of(table[:0], ("cluster",))


def test_classes_of_a_column_and_those_the_recipe_does_not_have():
    table = Table({"ra": [1.0, 2, 3], "dec": [1.0, 1, 1], "kind": ["lens", "arc", "star"]})
    truth = truth_of(table, ("arc", "lens"), label_column="kind", box_size="9 arcsec")
    assert truth.label.tolist() == ["lens", "arc"]
    assert truth.set_aside == {"class not in the recipe": 1}


def test_right_ascension_in_hours_is_noticed(tmp_path, make_field):
    places = [(20 + 5 * k, 30) for k in range(24)]
    wcs = make_field(ra=180.0, dec=30.0)
    ra, dec = sky_of(wcs, *np.transpose(places))
    dec[:10] -= 60
    Table({"ra": ra / 15, "dec": dec, "z": [0.3] * 24}).write(tmp_path / "truth.ecsv")
    with pytest.raises(InputError, match=r"truth.ecsv: .* as if they were hours; give .* unit"):
        dataset.build([tmp_path], tmp_path / "a.h5", recipe=RECIPE, size=320)
    # with a unit they are what they say
    Table({"ra": ra / 15 * u.deg, "dec": dec, "z": [0.3] * 24}).write(
        tmp_path / "truth.ecsv", overwrite=True
    )
    with (
        pytest.warns(UserWarning, match="as if they were hours"),
        pytest.warns(UserWarning, match="no known object is a target on any field"),
    ):
        report = dataset.build(
            [tmp_path], tmp_path / "a.h5", recipe=RECIPE, size=320, scheme="none"
        )
    assert report.outside == 24
    with pytest.raises(InputError, match="has no positives"):
        Archive(tmp_path / "a.h5")


@pytest.mark.parametrize("seed", range(4))
def test_every_object_lies_whole_in_a_window(seed):
    rng = np.random.default_rng(seed)
    shape, size = (700, 900), 256
    x, y = rng.uniform(-50, 950, 60), rng.uniform(-50, 750, 60)
    half = rng.uniform(5, 120, (2, 60))
    tiles = cover(shape, [], x, y, half, size)
    for k in range(60):
        if not (0 <= x[k] < 900 and 0 <= y[k] < 700):
            continue
        low = np.maximum([x[k] - half[0, k], y[k] - half[1, k]], 0)
        high = np.minimum([x[k] + half[0, k], y[k] + half[1, k]], [900, 700])
        assert any(
            t.x0 - 1 <= low[0]
            and high[0] <= t.x1 + 1
            and t.y0 - 1 <= low[1]
            and high[1] <= t.y1 + 1
            for t in tiles
        )
    for t in tiles:
        assert 0 <= t.x0 < t.x1 <= 900
        assert 0 <= t.y0 < t.y1 <= 700


def test_masked_windows_are_left_out_and_hidden_targets_ignored(tmp_path, make_field):
    places = [(40, 100), (230, 100)]
    wcs = make_field(shape=(400, 640))
    for band in "gri":
        path = tmp_path / f"field_{band}.fits"
        with fits.open(path, mode="update") as file:
            file[0].data[:, :260] = np.nan
    write_truth(tmp_path, wcs, places, redshift=[0.4, 0.4])
    report = dataset.build(
        [tmp_path], tmp_path / "a.h5", recipe=RECIPE, size=200, overlap=80, scheme="none"
    )
    archive = Archive(tmp_path / "a.h5")
    assert (report.masked_windows, report.images) == (1, 1)
    assert archive.objects(0)["role"].tolist() == ["target"]
    np.testing.assert_allclose(np.isnan(archive.image(0)).mean(), 0.05, atol=0.01)
    report = dataset.build(
        [tmp_path], tmp_path / "b.h5", recipe=RECIPE, size=200, overlap=80, max_masked=1.0,
        scheme="none",
    )  # fmt: skip
    assert report.masked_windows == 0
    assert report.objects == {"ignored": 1, "target": 1}
    with pytest.warns(UserWarning, match="no known object is a target"):
        report = dataset.build(
            [tmp_path], tmp_path / "d.h5", recipe=RECIPE, size=200, overlap=80, max_masked=1.0,
            scheme="none", decoy={"redshift": (0.3, 0.5)},
        )  # fmt: skip
    assert report.objects == {"ignored": 1, "decoy": 1}
    with pytest.raises(InputError, match="windows have too many bad pixels"):
        dataset.build(
            [tmp_path], tmp_path / "c.h5", recipe=RECIPE, size=200, overlap=80, max_masked=0.0
        )
    assert not (tmp_path / "c.h5").exists()


def test_clipped_boxes_and_the_stretch_of_the_recipe(tmp_path, make_field):
    paper = get_recipe("deepcee-paper")
    wcs = make_field(places=[(10, 100)])
    write_truth(tmp_path, wcs, [(10, 100)], redshift=[0.2])
    dataset.build(
        [tmp_path], tmp_path / "a.h5", recipe=paper, size=200, stretched=True, scheme="none"
    )
    archive = Archive(tmp_path / "a.h5", recipe=paper)
    assert (archive.kind, archive.dtype, archive.clip_boxes) == ("stretched", "uint8", True)
    assert archive.objects(0)["x1"] == 0
    with read_bands([tmp_path / f"field_{band}.fits" for band in "gri"]) as stack:
        data, _ = stack.read_all()
    blocks = data[:, :400, :400].reshape(3, 200, 2, 200, 2).mean(axis=(2, 4)) / SCALE**2
    wanted = np.round(SqrtFluxStretch(0.0, 10.0)(blocks) * 255)
    assert abs(archive.image(0).astype(float) - wanted).max() <= 1


def test_field_smaller_than_a_window_is_padded(tmp_path, make_field):
    wcs = make_field(shape=(100, 120), places=[(20, 30)])
    write_truth(tmp_path, wcs, [(20, 30)], redshift=[0.4])
    dataset.build([tmp_path], tmp_path / "a.h5", recipe=RECIPE, size=128, scheme="none")
    image = Archive(tmp_path / "a.h5").image(0)
    assert np.isfinite(image[:, :50, :60]).all()
    assert np.isnan(image[:, 50:]).all()
    assert np.isnan(image[:, :, 60:]).all()


def test_distorted_fields_get_a_wcs_of_their_own(make_wcs):
    wcs = make_wcs((600, 600), scale=SCALE)
    header = wcs.to_header(relax=True)
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["A_ORDER"], header["A_2_0"] = 2, 2e-5
    header["B_ORDER"], header["B_0_2"] = 2, -1e-5
    wcs = WCS(header)
    data = np.zeros((3, 600, 600), np.float32)
    stack = read_bands((data, wcs), bands=("i", "r", "g"), unit="nmgy")
    table = Table({"ra": [150.01], "dec": [2.01], "z": [0.3]})
    windows = FieldWindows(stack, RECIPE, truth_of(table, RECIPE.labels), size=160, overlap=20)
    window = windows.read(windows.tiles[-1])
    x = np.array([10.0, 150, 80])
    fx, fy = windows.grid.factor
    true = wcs.pixel_to_world(
        (x + 0.5 + window.tile.x0) * fx - 0.5, (x + 0.5 + window.tile.y0) * fy - 0.5
    )
    assert window.wcs.pixel_to_world(x, x).separation(true).arcsec.max() < 0.3


def test_failures_of_single_fields_do_not_stop_the_others(tmp_path, make_field):
    wcs = make_field("good", places=[(100, 100)])
    make_field("bad", ra=151.0)
    (tmp_path / "bad_r.fits").write_bytes((tmp_path / "bad_r.fits").read_bytes()[:30000])
    write_truth(tmp_path, wcs, [(100, 100)], redshift=[0.3])
    report = dataset.build([tmp_path], tmp_path / "a.h5", recipe=RECIPE, size=200, scheme="none")
    assert (report.fields, report.exit_code) == (1, 4)
    assert "bad_r.fits" in report.failures[0][1]
    assert json.loads(json.dumps(report.to_dict()))["failures"][0]["field"] == "bad"
    with pytest.raises(InputError, match="no field can be used; the first: .*bad_r.fits"):
        dataset.build(
            [*tmp_path.glob("bad_*.fits")], tmp_path / "b.h5", recipe=RECIPE, size=200,
            truth=tmp_path / "truth.ecsv",
        )  # fmt: skip


def test_other_bands_are_refused(tmp_path, make_field):
    wcs = make_field()
    (tmp_path / "field_g.fits").rename(tmp_path / "field_z.fits")
    write_truth(tmp_path, wcs, [(100, 100)], redshift=[0.3])
    with pytest.raises(InputError, match="has the bands .*, and the recipe needs i, r, g"):
        dataset.build([tmp_path], tmp_path / "a.h5", recipe=RECIPE, size=200)


def test_missing_truth_and_existing_archives(tmp_path, make_field):
    wcs = make_field()
    with pytest.raises(InputError, match="give the table of known objects with truth"):
        dataset.build([tmp_path], tmp_path / "a.h5", recipe=RECIPE)
    write_truth(tmp_path, wcs, [(100, 100)], redshift=[0.3])
    (tmp_path / "a.h5").write_text("mine")
    with pytest.raises(OutputExistsError, match="a.h5"):
        dataset.build([tmp_path], tmp_path / "a.h5", recipe=RECIPE)
    with pytest.raises(InputError, match="truth.ecsv: is read for this"):
        dataset.build([tmp_path], tmp_path / "truth.ecsv", recipe=RECIPE, overwrite=True)
    assert (tmp_path / "a.h5").read_text() == "mine"


def test_interrupted_build_goes_on(tmp_path, make_field, monkeypatch):
    places = [(40, 50), (200, 120)]
    wcs = make_field("one", places)
    make_field("two", ra=150.2)
    write_truth(tmp_path, wcs, places, redshift=[0.3, 0.4])
    options = {"recipe": RECIPE, "size": 160, "scheme": "none"}
    whole = dataset.build([tmp_path], tmp_path / "whole.h5", **options)
    append = making.ArchiveWriter.append

    def interrupted(writer, *args, **kwargs):
        if writer.n_images == 3:
            raise KeyboardInterrupt
        append(writer, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(making.ArchiveWriter, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            dataset.build([tmp_path], tmp_path / "a.h5", **options)
    assert not Archive(tmp_path / "a.h5").complete
    with pytest.raises(InputError, match="a.h5: was made with other settings"):
        dataset.build([tmp_path], tmp_path / "a.h5", resume=True, **{**options, "size": 128})
    report = dataset.build([tmp_path], tmp_path / "a.h5", resume=True, **options)
    assert report.to_dict() | {"path": ""} == whole.to_dict() | {"path": ""}
    one, two = Archive(tmp_path / "a.h5"), Archive(tmp_path / "whole.h5")
    assert one.complete
    assert one.images["field"].tolist() == two.images["field"].tolist()
    np.testing.assert_array_equal(one.image(5), two.image(5))
    assert one.provenance == two.provenance


def test_a_field_that_was_damaged_is_taken_up_later(tmp_path, make_field):
    """Also where fields after it are there, whole or in part."""
    wcs = make_field("bad", [(100, 100)])
    make_field("good", ra=151.0)
    write_truth(tmp_path, wcs, [(100, 100)], redshift=[0.3])
    path = tmp_path / "bad_r.fits"
    whole = path.read_bytes()
    path.write_bytes(whole[:30000])
    options = {"recipe": RECIPE, "size": 200, "scheme": "none", "resume": True}
    with pytest.warns(UserWarning, match="no known object is a target"):
        report = dataset.build([tmp_path], tmp_path / "a.h5", **options)
    assert (report.images, report.exit_code) == (2, 4)
    path.write_bytes(whole)
    report = dataset.build([tmp_path], tmp_path / "a.h5", **options)
    assert (report.images, report.fields, report.exit_code) == (4, 2, 0)
    fields = Archive(tmp_path / "a.h5").images["field"].tolist()
    assert fields == ["good:000", "good:001", "bad:000", "bad:001"]


@pytest.fixture
def strip(tmp_path, make_field):
    """An archive of twelve fields along 24 degrees, with one target each."""
    folder = tmp_path / "sky"
    folder.mkdir()
    rows = []
    for k in range(12):
        wcs = make_field(f"sky/f{k:02d}", shape=(200, 200), ra=150 + 2 * k)
        rows.append([*sky_of(wcs, 50, 50), 0.1 + k / 40, 20 + k])
    table = Table(rows=rows, names=("ra", "dec", "redshift", "richness"))
    table.write(folder / "truth.ecsv")
    options = {"recipe": RECIPE, "size": 96, "box_size": "40 arcsec"}
    dataset.build([folder], tmp_path / "a.h5", seed=1, scheme="cells", **options)
    return tmp_path / "a.h5"


def made_with(strip, **options):
    """The archive of the same fields made with other options."""
    path = strip.parent / "other.h5"
    options = {"recipe": RECIPE, "size": 96, "box_size": "40 arcsec", **options}
    dataset.build([strip.parent / "sky"], path, overwrite=True, **options)
    return Archive(path)


def test_settings_are_recorded_with_their_units(strip):
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    options = {"box_size": (40 * u.arcsec, 30 * u.arcsec), "cosmology": cosmology}
    settings = made_with(strip, **options).provenance["settings"]
    assert settings["box_size"] == ["40.0 arcsec", "30.0 arcsec"]
    assert settings["cosmology"]["H0"] == 70
    with pytest.raises(InputError, match="was made with other settings"):
        dataset.build(
            [strip.parent / "sky"], strip.parent / "other.h5", recipe=RECIPE, size=96,
            resume=True, **options | {"box_size": (40 * u.kpc, 30 * u.kpc)},
        )  # fmt: skip


def test_splits_of_an_archive(strip):
    archive = Archive(strip)
    assert set(archive.splits) == {"train", "valid", "test"}
    assert archive.leak == ""
    assert archive.split_record["scheme"] == "cells"
    assert made_with(strip, scheme="kfold").splits == {"train": 36, "test": 12}
    found = dataset.split(strip, scheme="cells", seed=4, fractions={"train": 0.5, "test": 0.5})
    assert Archive(strip).splits == found.counts
    found = dataset.split(strip, scheme="kfold", folds=3, test_fold=0)
    assert set(found.counts) == {"train", "test"}
    with pytest.warns(LeakWarning, match="split 'paper' leaks"):
        found = dataset.split(strip, scheme="paper", seed=2, test=0.3)
    assert Archive(strip).leak == found.leak != ""
    assert Archive(strip).complete
    before = strip.read_bytes()
    with pytest.raises(InputError, match="folds is no option of the scheme 'cells'"):
        dataset.split(strip, scheme="cells", folds=3)
    with pytest.raises(InputError, match="nside must be a power of 2"):
        dataset.split(strip, nside=3)
    assert strip.read_bytes() == before


def test_turned_images_take_more_sky(tmp_path, make_wcs):
    """Squares on their corners reach 1.41 sides; upright ones 1.3 sides apart do not meet."""
    side = 96 * 0.792
    step = 1.3 * side / 3600
    layout = {"bands": "gri", "pixel_scale": 0.792, "shape": (96, 96)}
    for rotation, leaks in ((0, False), (45, True)):
        path = tmp_path / f"{rotation}.h5"
        with ArchiveWriter(path, **layout) as writer:
            for k in range(4):
                wcs = make_wcs((96, 96), scale=0.792, ra=(359.99 + k * step) % 360, dec=0.0,
                               rotation=rotation)  # fmt: skip
                writer.append(np.zeros((3, 96, 96), np.float16), wcs=wcs, field=str(k))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = dataset.split(path, scheme="paper", test=0.5)
        assert [w.category for w in caught] == [LeakWarning] * leaks
        assert bool(found.leaks.pairs) == leaks


def test_show_and_preview(strip, tmp_path):
    summary = dataset.show(strip)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    n = summary["images"]
    assert summary["sky_area_deg2"] < n * (96 * 0.792 / 3600) ** 2 * 1.01
    assert summary["objects"][0]["role"] == "target"
    assert summary["redshift"][0] == pytest.approx(0.1)
    assert summary["provenance"]["truth"]["rows"] == 12
    drawn = dataset.preview(strip, tmp_path / "a.png", images=5, side=100)
    assert len(drawn) == 5
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (212, 316, 3)
    assert (pixels == (90, 255, 90)).all(axis=-1).any()
    with pytest.raises(OutputExistsError, match="a.png"):
        dataset.preview(strip, tmp_path / "a.png")
    with pytest.raises(InputError, match="no split 'none'"):
        dataset.preview(strip, tmp_path / "b.png", split="none")


@pytest.mark.filterwarnings(NOT_SPLIT)
def test_real_pictures(tmp_path, sample_data):
    report = dataset.build(
        [sample_data / "des"], tmp_path / "des.h5", recipe=RECIPE, bands=("i", "r", "g"),
        truth=sample_data / "des" / "clusters.ecsv",
    )  # fmt: skip
    assert report.objects == {"target": 2}
    archive = Archive(tmp_path / "des.h5", recipe=RECIPE)
    assert (archive.kind, archive.dtype, archive.stretch) == ("stretched", "uint8", None)
    assert sorted(archive.table["richness"].tolist()) == [37.5, 65.1]


@pytest.mark.filterwarnings(NOT_SPLIT)
def test_real_fluxes(tmp_path, sample_data):
    """SDSS at 1.19 arcsec: these files keep the nanomaggies of SDSS's own pixels."""
    Table({"ra": [313.17], "dec": [-5.69], "z": [0.2]}).write(tmp_path / "t.ecsv")
    dataset.build(
        [sample_data / "sdss"], tmp_path / "a.h5", recipe=RECIPE, truth=tmp_path / "t.ecsv",
        unit=f"{1 / SCALE**2} nmgy / arcsec2",
    )  # fmt: skip
    archive = Archive(tmp_path / "a.h5", recipe=RECIPE)
    assert archive.kind == "raw"
    sky = archive.image(0)[1].astype(float)
    sigma = 1.4826 * np.nanmedian(abs(sky - np.nanmedian(sky)))
    # r of SDSS: 0.16 nmgy / arcsec2 in its own pixels, the mean of nine, then interpolated
    assert sigma == pytest.approx(0.16 / 3, rel=0.3)


@pytest.fixture
def served(monkeypatch):
    pytest.importorskip("astroquery", reason="astroquery is not installed")
    with serving(monkeypatch) as server:
        yield server


@pytest.mark.filterwarnings(NOT_SPLIT)
def test_sample_of_a_catalogue_is_fetched_and_completed_later(tmp_path, served):
    z = [0.15, 0.19, 0.6, 0.15]
    table = Table({"ra": [RA] * 4, "dec": np.full(4, DEC), "z": z, "richness": [30.0, 25, 40, 5]})
    table["dec"][1:] += [0.001, 0.0005, -0.0005]
    table.write(tmp_path / "clusters.ecsv")
    served.fails("hips", (404, b"gone"))
    options = {
        "recipe": RECIPE, "survey": "sdss9", "size": 96, "radius": 5.0, "offsets": 2,
        "declination": None, "cache": tmp_path / "cache", "sleep": lambda seconds: None,
        "box_size": "20 arcsec", "connections": 1,
    }  # fmt: skip
    path = tmp_path / "a.h5"
    report = dataset.fetch(tmp_path / "clusters.ecsv", path, **options)
    assert (report.images, report.exit_code) == (3, 4)
    failures = read_table(tmp_path / "a.h5.failures.ecsv")
    assert len(failures) == 1
    assert "404" in str(failures["reason"][0])
    with pytest.raises(OutputExistsError, match="a.h5"):
        dataset.fetch(tmp_path / "clusters.ecsv", path, **options)
    report = dataset.fetch(tmp_path / "clusters.ecsv", path, resume=True, **options)
    assert (report.images, report.fields, report.exit_code) == (4, 1, 0)
    assert not (tmp_path / "a.h5.failures.ecsv").exists()
    archive = Archive(path, recipe=RECIPE)
    assert (archive.complete, archive.shape, archive.unit) == (True, (48, 48), "nmgy / arcsec2")
    # the cuts make targets, other clusters of the catalogue are ignored
    assert archive.objects(0)["role"].tolist() == ["target", "target", "ignored", "ignored"]
    assert len(set(archive.images["group"].tolist())) == 2
    flux = np.nansum(archive.image(0)[1].astype(float)) * 0.792**2
    assert flux == pytest.approx(BANDS["r"] * sum(f for *_, f in STARS), rel=0.03)
    assert archive.provenance["survey"]["title"]


@pytest.mark.filterwarnings(NOT_SPLIT)
def test_clusters_of_one_name_are_several(tmp_path, served):
    table = Table({"name": ["A", "A"], "ra": [RA] * 2, "dec": [DEC, DEC + 0.001]})
    table["z"], table["richness"] = 0.15, 30.0
    table.write(tmp_path / "clusters.ecsv")
    options = {
        "recipe": RECIPE, "survey": "sdss9", "size": 96, "radius": 1.0, "offsets": 1,
        "declination": None, "cache": tmp_path / "cache", "sleep": lambda seconds: None,
        "connections": 1, "resume": True,
    }  # fmt: skip
    served.fails("hips", (404, b"gone"))
    report = dataset.fetch(tmp_path / "clusters.ecsv", tmp_path / "a.h5", **options)
    assert (report.images, report.exit_code) == (1, 4)
    report = dataset.fetch(tmp_path / "clusters.ecsv", tmp_path / "a.h5", **options)
    assert (report.images, report.exit_code) == (2, 0)
    images = Archive(tmp_path / "a.h5").images
    assert len(set(images["field"].tolist())) == len(set(images["group"].tolist())) == 2


def test_samples_that_come_to_nothing(tmp_path, served):
    Table({"ra": [RA], "dec": [DEC], "z": [0.6], "richness": [30.0]}).write(tmp_path / "c.ecsv")
    with pytest.raises(
        InputError, match=r"c.ecsv: no cluster passes the cuts \(outside the cut in redshift: 1\)"
    ):
        dataset.fetch(tmp_path / "c.ecsv", tmp_path / "a.h5", recipe=RECIPE)
    served.fails("hips", (404, b"gone"), ...)
    with pytest.raises(
        NetworkError, match=r"no field can be used; the first: .* band g: .*a.h5.failures.ecsv"
    ):
        dataset.fetch(
            tmp_path / "c.ecsv", tmp_path / "a.h5", recipe=RECIPE, survey="sdss9", size=96,
            redshift=None, declination=None, sleep=lambda seconds: None, cache=tmp_path,
        )  # fmt: skip
    assert not (tmp_path / "a.h5").exists()
