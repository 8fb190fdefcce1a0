"""A run over many fields: what is written, what fails, what is left alone."""

import os
import stat

import numpy as np
import pytest
from fakes import BLOB, SHA256, BlobDetector, write_band, write_field
from PIL import Image
from regions import Regions

from astro_objdet import runs
from astro_objdet.catalogs import Detections
from astro_objdet.errors import (
    InputError,
    ModelError,
    OutputExistsError,
    ResourceError,
)


@pytest.fixture
def detector(monkeypatch):
    """The stub in place of the trained detector."""
    stub = BlobDetector()
    monkeypatch.setattr(runs, "load_detector", lambda model, device: stub)
    return stub


@pytest.fixture
def no_detector(monkeypatch):
    """A model that must not be loaded."""

    def refuse(model, device):
        raise AssertionError("the model was loaded before the outputs were checked")

    monkeypatch.setattr(runs, "load_detector", refuse)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_field(detector, tmp_path):
    files = write_field(tmp_path / "in")
    output = tmp_path / "new" / "out"
    report = runs.detect(files, output, workers=2, batch_size=3, stretch="sqrt")
    assert report.exit_code == 0
    assert names(output) == ["detections.ecsv", "detections.png", "detections.reg"]
    assert sorted(report.written) == sorted(output / name for name in names(output))
    assert report.model == {
        "detector": "blob",
        "weights": "brightest",
        "sha256": SHA256,
    }
    assert report.fields[0].name == "abell"
    assert report.fields[0].bands == ("g", "i", "r")
    assert detector.options["workers"] == 2
    assert detector.options["batch_size"] == 3
    assert detector.options["stretch"] == "sqrt"

    table = Detections.read(output / "detections.ecsv")
    assert "field" not in table.colnames
    x = (table["x_min"][0] + table["x_max"][0]).value / 2
    y = (table["y_min"][0] + table["y_max"][0]).value / 2
    assert (y, x) == pytest.approx(BLOB)
    (region,) = Regions.read(output / "detections.reg", format="ds9")
    assert region.center.separation(table.skycoord[0]).mas < 1
    with Image.open(output / "detections.png") as picture:
        assert min(picture.size) > 300


def test_written_files_obey_the_umask(detector, tmp_path):
    before = os.umask(0o022)
    try:
        report = runs.detect(write_field(tmp_path / "in"), tmp_path / "out")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in report.written}
    assert modes == {0o644}


def test_several_fields_make_one_catalogue(detector, tmp_path):
    write_field(tmp_path / "in", "a", ra=10)
    write_field(tmp_path / "in", "b", ra=20)
    report = runs.detect([tmp_path / "in"], tmp_path / "out", format="fits")
    assert names(tmp_path / "out") == [
        "a.png",
        "b.png",
        "detections.fits",
        "detections.reg",
    ]
    table = Detections.read(tmp_path / "out" / "detections.fits")
    assert list(table["field"]) == ["a", "b"]
    assert list(table["id"]) == [1, 2]
    np.testing.assert_allclose(table["ra"].value, [10, 20], atol=0.02)
    assert table.meta["model"] == "blob"
    assert set(table.meta["fields"]) == {"a", "b"}
    assert len(Regions.read(tmp_path / "out" / "detections.reg", format="ds9")) == 2
    assert report.detections.meta == table.meta


def test_nothing_found_is_a_table_without_rows(detector, tmp_path):
    write_field(tmp_path / "in", "a")
    write_field(tmp_path / "in", "b")
    report = runs.detect([tmp_path / "in"], tmp_path / "out", threshold=0.99)
    assert report.exit_code == 0
    table = Detections.read(tmp_path / "out" / "detections.ecsv")
    assert len(table) == 0
    assert table.colnames[:3] == ["id", "ra", "dec"]
    assert report.to_dict()["detections"] == []
    assert report.fields[0].best_score is None


def test_without_pictures(detector, tmp_path):
    runs.detect(write_field(tmp_path / "in"), tmp_path / "out", overlay=False)
    assert names(tmp_path / "out") == ["detections.ecsv", "detections.reg"]


def test_pixels_only(detector, tmp_path):
    files = write_field(tmp_path / "in", wcs=False)
    report = runs.detect(files, tmp_path / "out", pixel_only=True)
    assert report.exit_code == 0
    assert report.to_dict()["detections"][0]["ra"] is None
    assert "image" in (tmp_path / "out" / "detections.reg").read_text().splitlines()


def test_existing_output_is_refused_before_any_work(no_detector, tmp_path):
    files = write_field(tmp_path / "in")
    old = tmp_path / "out" / "detections.reg"
    old.parent.mkdir()
    old.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"detections\.reg: the output exists"):
        runs.detect(files, tmp_path / "out")
    assert old.read_text() == "mine"
    assert names(tmp_path / "out") == ["detections.reg"]


def test_overwrite_replaces(detector, tmp_path):
    files = write_field(tmp_path / "in")
    old = tmp_path / "out" / "detections.reg"
    old.parent.mkdir()
    old.write_text("mine")
    runs.detect(files, tmp_path / "out", overwrite=True)
    assert old.read_text() != "mine"


def test_output_must_be_a_folder(no_detector, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="the output must be a folder"):
        runs.detect(write_field(tmp_path / "in"), tmp_path / "out")


def test_output_folder_that_cannot_be_made(no_detector, tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(InputError, match="out: cannot be written: Not a directory"):
        runs.detect(write_field(tmp_path / "in"), tmp_path / "file" / "out")


def test_unknown_format(no_detector, tmp_path):
    with pytest.raises(InputError, match="format must be one of 'csv', 'ecsv'"):
        runs.detect(["a.fits"], tmp_path / "out", format="xlsx")


def test_no_inputs(no_detector, tmp_path):
    with pytest.raises(InputError, match="at least one file, pattern or folder"):
        runs.detect([], tmp_path / "out")


def test_one_bad_file_among_many(detector, tmp_path):
    write_field(tmp_path / "in", "good")
    (tmp_path / "in" / "bad.fits").write_text("<html>404</html>")
    report = runs.detect([tmp_path / "in"], tmp_path / "out")
    assert report.exit_code == 4
    assert [field.name for field in report.fields] == ["good"]
    (failure,) = report.failures
    assert failure.input == "bad"
    assert failure.exit_code == 3
    assert "bad.fits" in failure.error
    table = Detections.read(tmp_path / "out" / "detections.ecsv")
    assert list(table["field"]) == ["good"]
    assert names(tmp_path / "out") == [
        "detections.ecsv",
        "detections.reg",
        "good.png",
    ]


def test_only_bad_files_write_nothing(detector, tmp_path):
    empty = tmp_path / "empty.fits"
    empty.touch()
    report = runs.detect([empty, "nowhere/*.fits"], tmp_path / "a" / "out")
    assert report.exit_code == 3
    assert len(report.failures) == 2
    assert report.written == []
    assert report.to_dict()["detections"] == []
    assert not (tmp_path / "a").exists()


def test_a_missing_band_fails_its_field(detector, tmp_path):
    files = write_field(tmp_path / "in")
    files[0].unlink()
    report = runs.detect(files, tmp_path / "out")
    assert report.exit_code == 3
    assert report.failures[0].error == f"{files[0]}: there is no such file"


def test_untrusted_model_leaves_nothing(monkeypatch, tmp_path):
    def refuse(model, device):
        raise ModelError(f"{model}: is a pickle")

    monkeypatch.setattr(runs, "load_detector", refuse)
    with pytest.raises(ModelError, match=r"x\.pth: is a pickle"):
        runs.detect(write_field(tmp_path / "in"), tmp_path / "out", model="x.pth")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("when", ["first", "last"])
def test_interrupted_run_leaves_nothing(detector, monkeypatch, tmp_path, when):
    find, calls = detector.detect, []

    def interrupt(*args, **kwargs):
        calls.append(1)
        if when == "first" or len(calls) == 2:
            raise KeyboardInterrupt
        return find(*args, **kwargs)

    monkeypatch.setattr(detector, "detect", interrupt)
    write_field(tmp_path / "in", "a")
    write_field(tmp_path / "in", "b")
    with pytest.raises(KeyboardInterrupt):
        runs.detect([tmp_path / "in"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_out_of_memory_in_one_field_spares_the_others(detector, monkeypatch, tmp_path):
    find = detector.detect

    def fail_on_small(stack, **kwargs):
        if stack.bands == ("g", "r"):
            raise MemoryError
        return find(stack, **kwargs)

    monkeypatch.setattr(detector, "detect", fail_on_small)
    write_field(tmp_path / "in", "a", bands="gr")
    write_field(tmp_path / "in", "b")
    report = runs.detect([tmp_path / "in"], tmp_path / "out")
    assert report.exit_code == 4
    assert report.failures[0].exit_code == 7
    assert "memory ran out" in report.failures[0].error


def test_a_full_disk_stops_the_run(detector, monkeypatch, tmp_path):
    def full(*args, **kwargs):
        raise ResourceError("out: cannot be written: no space") from OSError(28, "x")

    monkeypatch.setattr(runs.plots, "overlay", full)
    with pytest.raises(ResourceError, match="no space"):
        runs.detect(write_field(tmp_path / "in"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_progress_names_the_field(detector, tmp_path):
    seen = []
    runs.detect(
        write_field(tmp_path / "in"),
        tmp_path / "out",
        overlay=False,
        progress=lambda *state: seen.append(state),
    )
    assert seen == [("abell", 1, 1)]


def test_bands_and_zero_point_reach_the_reader(detector, tmp_path):
    files = write_field(tmp_path / "in", unit=None)
    report = runs.detect(files, tmp_path / "out", bands=("i", "r"), zero_point=22.5, overlay=False)
    assert report.exit_code == 0
    assert report.fields[0].bands == ("i", "r")


def test_a_cube_is_a_field_by_itself(detector, tmp_path):
    path = write_band(tmp_path / "one.fits")
    report = runs.detect([path], tmp_path / "out", overlay=False, bands=["r"])
    assert report.exit_code == 0
    assert report.fields[0].name == "one"
