"""``astro-objdet detect``: options, streams, exit codes."""

import json
import signal
import subprocess
import sys
import time

import pytest
from fakes import write_field

from astro_objdet.cli import detect as module
from astro_objdet.runs import FORMATS


@pytest.fixture
def inputs(tmp_path):
    return write_field(tmp_path / "in")


def test_writes_and_says_what(command, detector, inputs, tmp_path):
    output = tmp_path / "out"
    result = command("detect", *inputs, "-o", output)
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["field", "detections", "best", "score", "time"]
    assert lines[1].split()[:3] == ["abell", "1", "0.93"]
    assert lines[2:] == [
        f"wrote {output / f'detections.{suffix}'}" for suffix in ("ecsv", "png", "reg")
    ]


def test_json_is_all_of_stdout(command, detector, inputs, tmp_path):
    result = command("detect", *inputs, "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    (row,) = report["detections"]
    assert row["label"] == "blob"
    assert row["score"] == 0.93
    assert report["units"]["ra"] == "deg"
    assert report["fields"][0]["files"] == sorted(map(str, inputs))
    assert len(report["written"]) == 3


def test_json_has_no_nan(command, detector, tmp_path):
    files = write_field(tmp_path / "in", wcs=False)
    result = command("detect", *files, "--pixel-only", "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["detections"][0]["ra"] is None


def test_quiet(command, detector, inputs, tmp_path):
    result = command("detect", *inputs, "-o", tmp_path / "out", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_options_reach_the_detector(command, detector, inputs, tmp_path):
    result = command(
        *("detect", *inputs, "-o", tmp_path / "out", "--no-overlay"),
        *("--bands", "i,r,g", "--stretch", "lupton", "--batch-size", "2"),
        *("--workers", "3", "--format", "csv"),
    )
    assert result.exit_code == 0
    assert detector.options["stretch"] == "lupton"
    assert detector.options["batch_size"] == 2
    assert detector.options["workers"] == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "detections.csv",
        "detections.reg",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--hdu", "SCI"], {"hdu": "SCI"}),
        (["--hdu", "1"], {"hdu": 1}),
        (["--hdu", "1,3,WHT"], {"hdu": [1, 3, "WHT"]}),
        (["--zero-point", "27"], {"zero_point": 27.0}),
        (["--zero-point", "g=27.1, r=27"], {"zero_point": {"g": 27.1, "r": 27.0}}),
        (["--bands", "z, r,g"], {"bands": ("z", "r", "g")}),
    ],
)
def test_option_values(given, expected):
    context = module.detect.make_context("detect", ["a.fits", *given])
    assert {name: context.params[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--zero-point", "bright"], "expected a magnitude or g=27.1,r=27.3"),
        (["--zero-point", "g=1=2"], "expected a magnitude or g=27.1,r=27.3"),
        (["--bands", "g,,r"], "expected names separated by commas"),
        (["--workers", "0"], "not in the range"),
        (["--format", "xlsx"], "is not one of"),
    ],
)
def test_option_values_refused(command, given, message):
    result = command("detect", "a.fits", *given)
    assert result.exit_code == 2
    assert message in result.stderr


def test_formats_are_those_of_the_library():
    assert module.FORMATS == FORMATS


def test_existing_output(command, detector, inputs, tmp_path):
    output = tmp_path / "out"
    assert command("detect", *inputs, "-o", output).exit_code == 0
    result = command("detect", *inputs, "-o", output)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr == (
        f"astro-objdet: error: {output / 'detections.ecsv'}: the output exists "
        "(and 2 more); allow overwriting it (--overwrite) or choose another folder\n"
    )
    assert command("detect", *inputs, "-o", output, "--overwrite").exit_code == 0


def test_some_inputs_fail(command, detector, inputs, tmp_path):
    bad = tmp_path / "bad.fits"
    bad.touch()
    arguments = ("detect", bad, *inputs, "-o", tmp_path / "out")
    result = command(*arguments, "--json")
    assert result.exit_code == 4
    report = json.loads(result.stdout)
    assert [failure["input"] for failure in report["failures"]] == ["bad"]
    assert len(report["detections"]) == 1
    error, summary = result.stderr.splitlines()
    assert error.startswith(f"astro-objdet: error: {bad}: ")
    assert summary == "astro-objdet: 1 of 2 inputs failed"


def test_all_inputs_fail(command, detector, tmp_path):
    result = command("detect", tmp_path / "no.fits", "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert "no.fits: there is no such file" in result.stderr
    assert not (tmp_path / "out").exists()


def test_dry_run(command, inputs, tmp_path):
    output = tmp_path / "out"
    result = command("detect", *inputs, "-o", output, "--dry-run")
    assert result.exit_code == 0
    assert not output.exists()
    lines = result.stdout.splitlines()
    assert lines[0] == "would read abell"
    assert lines[1] == (
        f"  {inputs[0]}[0]: 80 x 60 pixels, band g, centre RA 150.0000 Dec +2.0000 deg"
    )
    assert lines[-1] == f"would write {output / 'detections.png'}"


def test_dry_run_reports_bad_files(command, inputs, tmp_path):
    bad = tmp_path / "bad.fits"
    bad.write_text("<html></html>")
    flat = write_field(tmp_path / "flat", wcs=False, bands="r")
    arguments = ("detect", bad, *flat, *inputs, "-o", tmp_path / "out", "--dry-run")
    result = command(*arguments, "--json")
    assert result.exit_code == 4
    report = json.loads(result.stdout)
    assert [field["name"] for field in report["fields"]] == ["abell"]
    assert [failure["exit_code"] for failure in report["failures"]] == [3, 3]
    assert "no celestial WCS" in report["failures"][1]["error"]
    assert len(json.loads(command(*arguments, "--json", "--pixel-only").stdout)["fields"]) == 2


def test_warnings_are_lines_on_stderr(command, detector, inputs, tmp_path, monkeypatch):
    import warnings

    find = detector.detect

    def warn(*args, **kwargs):
        warnings.warn("no flux\nscale", UserWarning, stacklevel=2)
        warnings.warn("deep inside", RuntimeWarning, stacklevel=2)
        return find(*args, **kwargs)

    monkeypatch.setattr(detector, "detect", warn)
    arguments = ("detect", *inputs, "--no-overlay", "--overwrite", "-o", tmp_path / "out")
    assert command(*arguments).stderr == "astro-objdet: warning: no flux scale\n"
    assert "deep inside" in command(*arguments, "-v").stderr
    assert command(*arguments, "-q").stderr == ""


def test_ctrl_c_leaves_nothing(inputs, tmp_path):
    code = (
        "import signal, sys, time\n"
        # Where the tests run in the background, children are made to ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.path.insert(0, {str(__file__.rsplit('/', 2)[0])!r})\n"
        "from fakes import BlobDetector\n"
        "from astro_objdet import runs\n"
        "from astro_objdet.cli.main import run\n"
        "class Slow(BlobDetector):\n"
        "    def detect(self, image, **options):\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "runs.load_detector = lambda model, device: Slow()\n"
        f"sys.argv[1:] = ['detect', *{[*map(str, inputs)]}, '-o', {str(tmp_path / 'out')!r}]\n"
        "run()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert not (tmp_path / "out").exists()


FIELDS = {
    "sdss": "sdss/reprojected_sdss_{}.fits.bz2",
    "cfhtls": "cfhtls/CFHTLS-test_{}.fits",
}


@pytest.mark.parametrize("field", FIELDS)
def test_real_fields(command, detector, sample_data, tmp_path, field):
    files = [sample_data / FIELDS[field].format(band) for band in "gri"]
    result = command("detect", *files, "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert len(report["fields"]) == 1
    assert report["fields"][0]["bands"] == ["g", "i", "r"]
    assert len(report["detections"]) == 1


def test_a_real_picture(command, detector, sample_data, tmp_path):
    path = sample_data / "des" / "SPT-CLJ0157-5821_zrg_8bit.fits"
    result = command("detect", path, "--stretch", "identity", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert (tmp_path / "out" / "detections.png").is_file()


def test_a_folder_of_real_fields(command, sample_data, tmp_path):
    arguments = ("detect", sample_data / "ps1", sample_data / "kids", "--dry-run")
    result = command(*arguments, "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0
    fields = json.loads(result.stdout)["fields"]
    assert [field["name"] for field in fields] == ["PS1-test", "KiDS-test"]
