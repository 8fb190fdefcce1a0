"""``astro-objdet dataset``: build, show, split and fetch."""

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from image_server import DEC, RA, serving
from PIL import Image

from astro_objdet.skies.archive import Archive


@pytest.fixture
def sky(tmp_path, make_wcs):
    """A folder of four fields along the equator, with a truth table."""
    folder = tmp_path / "skies"
    folder.mkdir()
    rng = np.random.default_rng(5)
    rows = []
    for k in range(4):
        wcs = make_wcs((200, 240), scale=0.594, ra=10 + 5 * k, dec=1)
        for band in "gri":
            cards = wcs.to_header()
            cards["BUNIT"] = "nmgy"
            plane = rng.normal(0, 0.01, (200, 240)).astype(np.float32)
            fits.writeto(folder / f"f{k}_{band}.fits", plane, cards)
        rows += [(10 + 5 * k, 1.0, 0.3, 30.0), (10 + 5 * k, 1.005, 0.3, 12.0)]
    rows.append((10.0, 1.0, -1.0, 50.0))
    Table(rows=rows, names=("ra", "dec", "redshift", "richness")).write(folder / "truth.ecsv")
    return folder


@pytest.fixture
def archive(command, sky, tmp_path):
    path = tmp_path / "a.h5"
    result = command("dataset", "build", sky, "-o", path, "--size", 96, "--split", "none", "-q")
    assert result.exit_code == 0, result.output
    assert result.output == ""
    return path


def test_build_says_what_it_made(command, sky, tmp_path):
    path = tmp_path / "a.h5"
    options = ("--size", 96, "--min-richness", 20, "--ignore", "richness=10:20")
    result = command("dataset", "build", sky, "-o", path, *options, "--split", "none")
    assert result.exit_code == 0, result.output
    told = result.stdout.splitlines()
    assert told[0].endswith("images of 4 fields: 24 target, 24 ignored")
    assert "1 of 9 rows set aside: redshift is 0 or negative" in told
    assert told[-1] == f"wrote {path}"
    result = command("dataset", "build", sky, "-o", path, *options)
    assert result.exit_code == 3
    assert "a.h5" in result.stderr
    result = command("dataset", "build", sky, "-o", path, *options, "--overwrite", "--json")
    report = json.loads(result.stdout)
    assert report["images"] == Archive(path).n_images
    assert "not split" in result.stderr or set(report["splits"]) >= {"train", "test"}


def test_build_with_decoys(command, sky, tmp_path):
    path = tmp_path / "a.h5"
    options = ("--size", 96, "--min-richness", 20, "--split", "none", "-q", "-o", path)
    command("dataset", "build", sky, *options, "--decoy", "richness=10:20")
    table = Archive(path).table
    roles = set(zip(table["richness"].tolist(), table["role"].tolist(), strict=True))
    assert roles == {(30.0, "target"), (12.0, "decoy")}
    # without decoys the settings are those of archives made before there were any
    command("dataset", "build", sky, *options, "--overwrite")
    assert "decoy" not in Archive(path).provenance["settings"]


def test_build_with_boxes_of_ones_own(command, sky, tmp_path):
    table = Table.read(sky / "truth.ecsv")
    table["w"], table["h"] = 12.0, 6.0
    table["w"].unit = table["h"].unit = "arcsec"
    table.write(tmp_path / "own.fits")
    options = ("--truth", tmp_path / "own.fits", "--box-size", "w,h", "--keep", "w,h")
    path = tmp_path / "a.h5"
    command("dataset", "build", sky, "-o", path, "--size", 96, "--split", "none", *options)
    item = Archive(path).objects(0)[0]
    assert item["x2"] - item["x1"] == pytest.approx(12 / 1.188, rel=1e-4)
    assert item["y2"] - item["y1"] == pytest.approx(6 / 1.188, rel=1e-4)
    assert item["w"] == 12


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--target", "richness"), 2, "expected column=low:high"),
        (("--recipe", "nothing"), 3, "nothing"),
        (("--box-size", "3 Jy"), 3, "--box-size"),
        (("--truth", "missing.ecsv"), 3, "missing.ecsv"),
        (("--label", "arc"), 3, "label must be one of cluster; got 'arc'"),
        (("--columns", "ra"), 3, "'ra'"),
        (("--box-size", "a,b,c"), 3, "--box-size must be one size, or width and height"),
        (("--decoy", "richness"), 2, "expected column=low:high"),
    ],
)
def test_bad_options_of_build(command, sky, tmp_path, options, code, message):
    result = command("dataset", "build", sky, "-o", tmp_path / "a.h5", *options)
    assert result.exit_code == code
    assert message in result.stderr
    assert not (tmp_path / "a.h5").exists()


def test_show(command, archive, tmp_path):
    result = command("dataset", "show", archive, "--preview", tmp_path / "a.png", "--images", 4)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"{archive}: {Archive(archive).n_images} images"
    assert any("richness of targets 12 to 30" in line for line in lines)
    assert lines[-1] == f"wrote {tmp_path / 'a.png'}"
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (652, 652)
    told = json.loads(command("dataset", "show", archive, "--json").stdout)
    assert told["splits"] == {"train": told["images"]}
    result = command("dataset", "show", tmp_path / "a.png")
    assert result.exit_code == 3
    assert "is not an HDF5 file" in result.stderr


def test_split(command, archive):
    result = command("dataset", "split", archive, "--scheme", "kfold", "--folds", 2)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "nothing leaks"
    assert set(Archive(archive).splits) == {"fold0", "fold1"}
    options = ("--scheme", "paper", "--test", 0.4, "--json")
    result = command("dataset", "split", archive, *options)
    told = json.loads(result.stdout)
    assert told["counts"] == Archive(archive).splits
    assert told["leak"] == Archive(archive).leak
    result = command("dataset", "split", archive, "--scheme", "paper", "--test", 1)
    assert Archive(archive).splits["test"] == 1
    result = command("dataset", "split", archive, "--scheme", "paper", "--test", "few")
    assert result.exit_code == 2
    assert "expected a part such as 0.1 or a number, got 'few'" in result.stderr
    result = command("dataset", "split", archive, "--fractions", "train:0.5")
    assert result.exit_code == 2
    assert "expected train=0.8,test=0.2" in result.stderr


def test_fetch(command, tmp_path, monkeypatch):
    pytest.importorskip("astroquery", reason="astroquery is not installed")
    table = {"ra": [RA], "dec": [DEC], "z": [0.15], "richness": [30.0]}
    Table(table).write(tmp_path / "clusters.ecsv")
    path = tmp_path / "a.h5"
    options = ("--survey", "sdss9", "--size", 64, "--offsets", 2, "--radius", 4, "--split", "none")
    options += ("--declination-range", ":", "--cache", tmp_path / "cache", "-o", path)
    with serving(monkeypatch):
        result = command("dataset", "fetch", tmp_path / "clusters.ecsv", *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "2 images of 2 fields: 2 target"
    assert Archive(path).n_images == 2
    result = command(
        "dataset", "fetch", tmp_path / "clusters.ecsv", "--redshift-range", "1", *options
    )
    assert result.exit_code == 2
    assert "expected low:high" in result.stderr
    result = command(
        "dataset", "fetch", tmp_path / "clusters.ecsv", "--columns", "ra,dec,z", *options
    )
    assert result.exit_code == 3
    assert "columns must be two names of columns" in result.stderr
