"""``astro-objdet evaluate``: options, streams, exit codes."""

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from click.testing import CliRunner

from astro_objdet.catalogs.evaluation import evaluate as evaluate_tables
from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.cli.evaluate import evaluate
from astro_objdet.cli.main import LazyGroup

SHIFT = 2 / 3600


@pytest.fixture
def command():
    """Run the command inside the group, which turns errors into exit codes."""
    group = LazyGroup("astro-objdet")

    def run(*arguments):
        words = ["evaluate", *(str(argument) for argument in arguments)]
        return CliRunner().invoke(group, words)

    group.get_command = lambda ctx, name: evaluate
    return run


@pytest.fixture
def files(tmp_path):
    """Three detections of four objects, and two false ones; one position is missing."""
    ra, dec = np.array([10.0, 11, 12, 13]), np.array([-1.0, 0, 1, 2])
    found = Table(
        {
            "ra": [10, 11, 12, 20, 21, np.nan],
            "dec": [-1 + SHIFT, 0, 1, 5, 6, 0],
            "score": [0.95, 0.85, 0.25, 0.75, 0.15, 0.5],
        }
    )
    truth = Table({"RAJ2000": ra, "DEJ2000": dec, "z": [0.1, 0.15, 0.2, 0.25]})
    for table in (found, truth):
        for name in table.colnames[:2]:
            table[name].unit = u.deg
    found.write(tmp_path / "found.ecsv")
    truth.write(tmp_path / "truth.csv")
    return tmp_path / "found.ecsv", tmp_path / "truth.csv"


def test_prints_the_counts_and_writes(command, files, tmp_path):
    out = tmp_path / "out"
    result = command(*files, "-o", out, "--no-plots")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "found: 6 rows, position ra, dec (icrs), score score"
    assert lines[1] == "  1 rows not counted: position is NaN or infinite"
    assert lines[2].startswith("truth: 4 rows, position RAJ2000, DEJ2000 (")
    assert lines[2].endswith("redshift z")
    assert lines[3] == "matched within 100 kpc, score > threshold"
    words = "threshold true false missed purity (95 %) completeness (95 %) F1"
    assert " ".join(lines[4].split()) == words
    rows = {line.split()[0]: line.split() for line in lines[5:16]}
    assert rows["0"][1:5] == ["3", "2", "1", "0.6000"]
    assert rows["0.2"][1:] == (
        ["3", "1", "1", "0.7500", "(0.301-0.954)", "0.7500", "(0.301-0.954)", "0.7500", "best"]
    )
    assert rows["0.8"][1:4] == ["2", "0", "2"]
    assert rows["1"][1:4] == ["0", "0", "4"]
    assert sum("best" in line for line in lines) == 1
    assert "at the threshold 0.2:" in lines
    assert any(line.startswith("note: No selection function") for line in lines)
    written = ("detections.ecsv", "summary.json", "thresholds.ecsv", "truth.ecsv")
    assert lines[-4:] == [f"wrote {out / name}" for name in written]


def test_prints_what_the_library_says(command, files, tmp_path):
    options = ("--threshold", "0.8", "--no-plots", "-o", tmp_path / "out")
    result = command(*files, *options)
    expected = evaluate_tables(*map(read_table, files)).summary(0.8)
    assert result.stdout.startswith(f"{expected}\nnote: ")
    assert "at the threshold 0.8:\n  centre error" in result.stdout


def test_nothing_is_announced_that_is_not_there(command, files, tmp_path):
    far = Table.read(files[0])
    far["dec"] = far["dec"] + 40 * u.deg
    far.write(tmp_path / "far.ecsv")
    result = command(tmp_path / "far.ecsv", files[1], "-o", tmp_path / "out", "--no-plots")
    assert result.exit_code == 0
    assert "average precision 0.0000" in result.stdout
    assert "at the threshold" not in result.stdout


def test_draws_unless_told_not_to(command, files, tmp_path):
    assert command(*files, "-o", tmp_path / "out", "--html", "-q").exit_code == 0
    assert (tmp_path / "out" / "purity_completeness.png").exists()
    assert (tmp_path / "out" / "report.html").exists()


def test_json_is_all_of_stdout(command, files, tmp_path):
    result = command(*files, "-o", tmp_path / "out", "--no-plots", "--json")
    report = json.loads(result.stdout)
    assert report["thresholds"]["tp"][0] == 3
    assert report["best_threshold"] == 0.2
    assert report["meta"]["not_counted"]["found"] == {"position is NaN or infinite": 1}
    assert len(report["written"]) == 4


def test_quiet(command, files, tmp_path):
    result = command(*files, "-o", tmp_path / "out", "--no-plots", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_options_change_the_counts(command, files, tmp_path):
    options = ("--radius", "1 arcsec", "--thresholds", "0.1,0.25,0.5", "--inclusive")
    options += ("--range", "z=0.12:", "--area", "4", "--threshold", "0.3")
    result = command(*files, "-o", tmp_path / "out", "--no-plots", "--json", *options)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["thresholds"]["threshold"] == [0.1, 0.25, 0.3, 0.5]
    # 2 arcsec off is too far, and the nearest object is none of the range
    assert report["thresholds"]["tp"] == [2, 2, 1, 1]
    assert report["threshold"] == 0.3
    assert report["area_deg2"] == 4
    assert report["meta"]["ranges"]["z"][0] == 0.12
    assert report["meta"]["rule"] == "score ≥ threshold"


def test_no_scores_are_said(command, files, tmp_path):
    table = Table.read(files[0])
    table.remove_column("score")
    table.write(tmp_path / "bare.ecsv")
    result = command(tmp_path / "bare.ecsv", files[1], "-o", tmp_path / "out", "--no-plots")
    assert "  no column of scores is known: all detections count alike" in result.stdout


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--redshift", "Z_LAMBDA"], {"redshift": "Z_LAMBDA"}),
        (["--redshift", "0.15"], {"redshift": 0.15}),
        (["--thresholds", "0.3, 0.5"], {"thresholds": (0.3, 0.5)}),
        (["--range", "z=0.1:0.2"], {"ranges": (("z", (0.1, 0.2)),)}),
        (
            ["--range", "z=:0.2", "--range", "r=20:"],
            {"ranges": (("z", (-np.inf, 0.2)), ("r", (20, np.inf)))},
        ),
        (["--truth-columns", "a, d"], {"truth_columns": ("a", "d")}),
    ],
)
def test_option_values(given, expected):
    context = evaluate.make_context("evaluate", ["a.fits", "b.fits", *given])
    assert {name: context.params[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--range", "z"], "expected column=low:high, such as redshift=0.1:0.2, got 'z'"),
        (["--range", "z=0.1"], "expected column=low:high"),
        (["--range", "z=a:b"], "expected column=low:high"),
        (["--range", "=0:1"], "expected column=low:high"),
        (["--range", "z=:"], "expected column=low:high"),
        (["--thresholds", "high"], "expected numbers separated by commas, got 'high'"),
        (["--confidence", "95"], "95.0 is not in the range"),
        (["--format", "xlsx"], "'xlsx' is not one of"),
    ],
)
def test_wrong_usage(command, files, given, message):
    result = command(*files, *given)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--radius", "5 Jy"], "radius must be an angle or a length, got unit 'Jy' in '5 Jy'"),
        (["--redshift", "redshift"], "no column 'redshift'; it has RAJ2000, DEJ2000, z"),
        (["--cosmology", "Planck"], "cosmology"),
        (["--footprint", "nowhere.fits"], "nowhere.fits"),
        (["--area", "-1"], "area must be a finite number above 0, got -1"),
        (["--truth-frame", "martian"], "martian"),
    ],
)
def test_bad_input(command, files, tmp_path, given, message):
    result = command(*files, "-o", tmp_path / "out", *given)
    assert result.exit_code == 3, result.output
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_existing_output(command, files, tmp_path):
    given = (*files, "-o", tmp_path / "out", "--no-plots")
    assert command(*given).exit_code == 0
    result = command(*given)
    assert result.exit_code == 3
    assert "--overwrite" in result.stderr
    assert command(*given, "--overwrite").exit_code == 0


def test_empty_tables(command, files, tmp_path):
    for name, path in zip(("f.ecsv", "t.ecsv"), files, strict=True):
        Table.read(path)[:0].write(tmp_path / name)
    result = command(tmp_path / "f.ecsv", tmp_path / "t.ecsv", "-o", tmp_path / "out", "--html")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "best" not in result.stdout
    assert Table.read(tmp_path / "out" / "detections.ecsv").colnames
