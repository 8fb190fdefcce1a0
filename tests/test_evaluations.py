"""Evaluating files: what lands in the folder, and what does not."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table, vstack

from astro_objdet import evaluations
from astro_objdet.catalogs.evaluation import evaluate
from astro_objdet.catalogs.selection import SelectionFunction
from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.errors import InputError, OutputExistsError
from astro_objdet.evaluations import FORMATS, evaluate_files

TABLES = {"detections.ecsv", "truth.ecsv", "thresholds.ecsv", "summary.json"}
PICTURES = {
    f"{name}.png"
    for name in (
        *("purity_completeness", "threshold_curves", "centre_distances"),
        *("centre_residuals", "property_distributions"),
    )
}


def catalogues(n=120, seed=6):
    """Two of three objects found, each with a false detection elsewhere."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(150, 160, n), rng.uniform(-5, 5, n)
    truth = Table({"RA": ra * u.deg, "DEC": dec * u.deg, "z": rng.uniform(0.1, 0.3, n)})
    truth["richness"] = 20 + rng.exponential(30, n)
    hit = np.arange(n) % 3 > 0
    off = rng.normal(0, 5 / 3600, (2, hit.sum()))
    found = Table({"ra": ra[hit] + off[0], "dec": dec[hit] + off[1]})
    found["score"] = rng.beta(6, 2, hit.sum())
    false = Table({"ra": rng.uniform(150, 160, n), "dec": rng.uniform(5.5, 9, n)})
    false["score"] = rng.beta(2, 6, n)
    for table in (found, false):
        table["ra"].unit = table["dec"].unit = u.deg
    return [*map(Table, (found, false))], truth


@pytest.fixture
def files(tmp_path):
    parts, truth = catalogues()
    vstack(parts).write(tmp_path / "found.ecsv")
    truth.write(tmp_path / "truth.fits")
    return tmp_path / "found.ecsv", tmp_path / "truth.fits"


def names(folder):
    return {path.name for path in Path(folder).iterdir()}


def test_everything_is_written(files, tmp_path):
    out = tmp_path / "new" / "out"
    report = evaluate_files(*files, out, html=True)
    expected = TABLES | PICTURES | {"report.html", "selection.ecsv", "selection_map.png"}
    assert names(out) == expected
    assert report.written == sorted(out / name for name in expected)


def test_numbers_are_those_of_evaluate(files, tmp_path):
    report = evaluate_files(*files, tmp_path / "out", pictures=False)
    expected = evaluate(*map(read_table, files))
    for name in ("tp", "fp", "fn", "purity", "f1"):
        assert np.array_equal(report.evaluation.thresholds[name], expected.thresholds[name])
    assert report.threshold == expected.best_threshold
    assert report.centre == expected.centre


def test_tables_read_back(files, tmp_path):
    out = tmp_path / "out"
    report = evaluate_files(*files, out, pictures=False)
    thresholds = QTable.read(out / "thresholds.ecsv")
    assert np.array_equal(thresholds["tp"], report.evaluation.thresholds["tp"])
    for name, table in (("detections", report.evaluation.detections),):
        there = read_table(out / f"{name}.ecsv")
        assert there.colnames == table.colnames
        assert list(there["status"]) == list(table["status"])
        assert there["separation"].unit == u.arcsec
    assert len(read_table(out / "truth.ecsv")) == 120
    fit = SelectionFunction.read(out / "selection.ecsv")
    assert fit.properties == ("redshift", "richness")
    assert fit.provenance["threshold"] == report.threshold


def test_summary_is_json_without_nan(files, tmp_path):
    report = evaluate_files(*files, tmp_path / "out", pictures=False)
    text = (tmp_path / "out" / "summary.json").read_text()
    summary = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert summary == json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert summary["inputs"]["truth"]["path"] == str(files[1])
    assert len(summary["inputs"]["found"]["sha256"]) == 64
    assert summary["meta"]["radius"] == "100 kpc"
    assert summary["selection"]["counts"]["n"] == 120
    assert summary["ks"]["property"][0] == "redshift"


@pytest.mark.parametrize("format", FORMATS)
def test_formats(files, tmp_path, format):
    out = tmp_path / "out"
    evaluate_files(*files, out, pictures=False, format=format)
    for name, rows in (("detections", 200), ("truth", 120)):
        assert len(read_table(out / f"{name}.{format}")) == rows


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": "high"}, "threshold must be a finite number, got 'high'"),
        ({"threshold": np.nan}, "threshold must be a finite number, got nan"),
        ({"threshold": 0.5, "thresholds": "all"}, "thresholds must be one or more finite numbers"),
        ({"area": "x"}, "area must be an area of the sky"),
        ({"footprint": 3}, "footprint must be a MOC or 'none', got int"),
    ],
)
def test_parameters_of_the_wrong_type(files, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        evaluate_files(*files, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_threshold_between_those_counted(files, tmp_path):
    report = evaluate_files(*files, tmp_path / "out", threshold=0.55, pictures=False)
    assert report.threshold == 0.55
    assert len(report.evaluation.thresholds) == 12
    recovered = report.evaluation.recovered(0.55)
    offsets = report.evaluation.truth["separation"].value[recovered]
    assert report.centre["n"] == recovered.sum()
    assert report.centre["rms_arcsec"] == pytest.approx(np.sqrt(np.mean(offsets**2)))
    assert (report.ks["n_recovered"][:2] == recovered.sum()).all()


def test_threshold_that_is_counted_anyway(files, tmp_path):
    report = evaluate_files(
        *files, tmp_path / "out", threshold=0.3, thresholds=[0.1, 0.3], pictures=False
    )
    assert report.evaluation.thresholds["threshold"].tolist() == [0.1, 0.3]


def test_options_reach_the_evaluation(files, tmp_path):
    report = evaluate_files(
        *files,
        tmp_path / "out",
        radius="30 arcsec",
        area=70,
        ranges={"z": (0.1, 0.2)},
        footprint="none",
        pictures=False,
    )
    assert report.evaluation.area == 70 * u.deg**2
    assert report.evaluation.meta["ranges"] == {"z": [0.1, 0.2]}
    assert report.evaluation.meta["radius"] == "30 arcsec"


def test_footprint_from_a_file(files, tmp_path):
    mocpy = pytest.importorskip("mocpy")
    moc = mocpy.MOC.from_cone(lon=155 * u.deg, lat=0 * u.deg, radius=2 * u.deg, max_depth=10)
    moc.save(tmp_path / "moc.fits", format="fits")
    report = evaluate_files(
        *files, tmp_path / "out", footprint=tmp_path / "moc.fits", pictures=False
    )
    assert 0 < (report.evaluation.truth["status"] == "counted").sum() < 60
    assert report.evaluation.area.value == pytest.approx(4 * np.pi, rel=0.05)


def test_too_few_objects_for_a_selection_function(tmp_path):
    (found, _), truth = catalogues(12)
    found.write(tmp_path / "found.ecsv")
    truth.write(tmp_path / "truth.ecsv")
    report = evaluate_files(
        tmp_path / "found.ecsv", tmp_path / "truth.ecsv", tmp_path / "out", pictures=False
    )
    assert report.selection is None
    assert "needs 10 recovered and 10 missed objects" in report.notes[0]
    assert names(tmp_path / "out") == TABLES


@pytest.mark.parametrize("empty", ["found", "truth", "both"])
def test_empty_tables(files, tmp_path, empty):
    given = dict(zip(("found", "truth"), files, strict=True))
    for side in given if empty == "both" else [empty]:
        table = read_table(given[side])[:0]
        given[side] = tmp_path / f"no_{side}.ecsv"
        table.write(given[side], format="ascii.ecsv")
    report = evaluate_files(*given.values(), tmp_path / "out", html=True)
    assert (report.evaluation.thresholds["tp"] == 0).all()
    assert names(tmp_path / "out") == TABLES | PICTURES | {"report.html"}
    assert read_table(tmp_path / "out" / "detections.ecsv").colnames


def test_truth_where_nobody_looked_is_said(tmp_path):
    parts, truth = catalogues(n=400)
    more = truth.copy()
    more["RA"] = more["RA"] + 60
    vstack(parts).write(tmp_path / "found.ecsv")
    truth.write(tmp_path / "here.ecsv")
    vstack([truth, more]).write(tmp_path / "everywhere.ecsv")
    here = evaluate_files(tmp_path / "found.ecsv", tmp_path / "here.ecsv", tmp_path / "a")
    assert not any("No footprint" in note for note in here.notes)
    all_ = evaluate_files(tmp_path / "found.ecsv", tmp_path / "everywhere.ecsv", tmp_path / "b")
    (note,) = [note for note in all_.notes if "No footprint" in note]
    assert "50 % of the counted truth lie where" in note


def test_scores_at_the_lowest_threshold_are_said(files, tmp_path):
    table = Table.read(files[0])
    table["score"][:7] = 0
    table.write(tmp_path / "zero.ecsv")
    report = evaluate_files(tmp_path / "zero.ecsv", files[1], tmp_path / "a")
    assert "7 detections have a score of 0 and are not above that threshold." in report.notes
    report = evaluate_files(tmp_path / "zero.ecsv", files[1], tmp_path / "b", inclusive=True)
    assert not any("score of 0" in note for note in report.notes)


def test_nothing_is_overwritten(files, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "truth.ecsv").write_text("mine")
    monkeypatch.setattr(evaluations, "read_table", lambda path: pytest.fail("read for nothing"))
    with pytest.raises(OutputExistsError, match=r"truth\.ecsv: the output exists; allow"):
        evaluate_files(*files, out)
    assert (out / "truth.ecsv").read_text() == "mine"


def test_overwriting_says_what_is_left_of_the_last_time(files, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("old")
    (out / "truth.csv").write_text("mine")
    report = evaluate_files(*files, out, pictures=False, overwrite=True)
    assert report.notes[-1] == f"{out / 'report.html'} is of an earlier evaluation."
    assert names(out) == TABLES | {"selection.ecsv", "report.html", "truth.csv"}
    assert (out / "report.html").read_text() == "old"


def test_what_is_read_is_never_replaced(files, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    found = out / "detections.ecsv"
    found.write_bytes(files[0].read_bytes())
    with pytest.raises(InputError, match=r"detections\.ecsv: is read, and would be replaced"):
        evaluate_files(found, files[1], out, overwrite=True)
    assert found.read_bytes() == files[0].read_bytes()


def test_a_failure_leaves_nothing(files, tmp_path, monkeypatch):
    def fail(*args, **options):
        raise InputError("no")

    monkeypatch.setattr("astro_objdet.htmlreport.html_report", fail)
    with pytest.raises(InputError, match="no"):
        evaluate_files(*files, tmp_path / "out", html=True, pictures=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "xlsx"}, "format must be one of"),
        ({"radius": "5 Jy"}, "radius must be an angle or a length"),
        ({"threshold": 0.5, "score": "none"}, "no column 'none'"),
        ({"threshold": 7}, "threshold must be one of 0, 0.1.*; got 7"),
    ],
)
def test_what_is_refused(files, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        evaluate_files(*files, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_output_that_is_a_file(files, tmp_path):
    with pytest.raises(InputError, match="the output must be a folder, and this is a file"):
        evaluate_files(*files, files[0])


def test_the_same_files_each_time(files, tmp_path):
    for name in ("a", "b"):
        evaluate_files(*files, tmp_path / name, html=True)
    for path in (tmp_path / "a").iterdir():
        if path.name != "summary.json":  # holds the paths of what was written
            assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
