"""``astro-objdet weights``: what is listed, shown, converted and calibrated."""

import json

import numpy as np
import pytest
from astropy.table import QTable

from astro_objdet.catalogs.calibration import Calibration
from astro_objdet.engine import weights as engine
from astro_objdet.errors import ModelError

CARD = {
    "title": "galaxy clusters",
    "detector": "deepcee",
    "recipe": {"name": "deepcee-lite0", "bands": ["i", "r", "g"]},
    "scores": {"f1": 0.9},
    "tensors_sha256": "0" * 64,
}


@pytest.fixture
def bundled(monkeypatch, tmp_path):
    """One file of weights as if it came with the package."""
    row = {
        "name": "deepcee",
        "path": tmp_path / "deepcee.safetensors",
        "size": 12_340_000,
        "sha256": "abcdef" * 10 + "0123",
        "title": CARD["title"],
    }
    monkeypatch.setattr(engine, "list_weights", lambda: [row])
    monkeypatch.setattr(engine, "load_card", lambda name: CARD)
    return row


def test_list(command, bundled):
    result = command("weights", "list")
    assert result.exit_code == 0
    _, line = result.stdout.splitlines()
    assert line.split() == ["deepcee", "12.3", "MB", "abcdefabcdef", "galaxy", "clusters"]


def test_list_as_json(command, bundled):
    (entry,) = json.loads(command("weights", "list", "--json").stdout)
    assert entry == {**bundled, "path": str(bundled["path"])}


def test_show(command, bundled):
    result = command("weights", "show", "deepcee")
    assert result.exit_code == 0
    assert "title: galaxy clusters\n" in result.stdout
    assert "recipe:\n  name: deepcee-lite0\n  bands: i, r, g\n" in result.stdout


def test_show_as_json(command, bundled):
    assert json.loads(command("weights", "show", "deepcee", "--json").stdout) == CARD


def test_show_unknown(command):
    result = command("weights", "show", "no-such-weights")
    assert result.exit_code == ModelError.exit_code
    assert "no weights at 'no-such-weights'" in result.stderr


def test_a_pickle_is_refused_with_the_command_that_converts_it(command, tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(b"\x80\x02}q\x00.")
    result = command("weights", "show", path)
    assert result.exit_code == ModelError.exit_code
    assert f"astro-objdet weights convert {path} --recipe" in result.stderr


def test_convert_needs_a_known_recipe(command, tmp_path):
    out = tmp_path / "out.safetensors"
    result = command("weights", "convert", "a.pth", "--recipe", "none", "-o", out)
    assert result.exit_code == 3
    assert "recipe must be one of" in result.stderr


def test_convert(command, monkeypatch, tmp_path):
    from astro_objdet.engine import convert

    calls = []

    def record(source, out, recipe, *, title, overwrite):
        calls.append((source, out, recipe.name, title, overwrite))
        return "5" * 64

    monkeypatch.setattr(convert, "convert_weights", record)
    result = command(
        *("weights", "convert", "a.pth", "--recipe", "deepcee-lite0"),
        *("-o", "b.safetensors", "--title", "mine", "--overwrite"),
    )
    assert result.exit_code == 0
    assert calls == [("a.pth", "b.safetensors", "deepcee-lite0", "mine", True)]
    assert result.stdout == f"wrote b.safetensors, sha256 {'5' * 64}\n"


@pytest.fixture
def judged(tmp_path):
    """A file of detections of known status."""
    rng = np.random.default_rng(2)
    score = rng.uniform(0.25, 1, 400)
    status = np.where(rng.random(400) < score, "true", "false")
    path = tmp_path / "detections.ecsv"
    QTable({"score": score, "status": status}, meta={"radius": "100 kpc"}).write(path)
    return path


def test_calibrate_bundled_weights_and_show_them(command, judged, tmp_path):
    out = tmp_path / "calibrated.safetensors"
    result = command("weights", "calibrate", "deepcee", judged, "-o", out, "--sky", "north")
    assert result.exit_code == 0
    assert f"wrote {out}, sha256 " in result.stdout
    # The table does not say what made it.
    assert result.stderr.startswith(f"astro-objdet: warning: {judged}: names neither a recipe nor")
    assert len(result.stderr.splitlines()) == 1
    shown = command("weights", "show", out).stdout
    section = shown.split("calibration:\n")[1]
    for line in ("  n: 400", "  sky: north", "  radius: 100 kpc", "  recipe: deepcee-lite0"):
        assert f"{line}\n" in section
    assert section in result.stdout or section.split("wrote")[0] in result.stdout
    rows = section.split("probability by score:\n")[1].splitlines()
    assert rows[0].split() == ["score", "probability"]
    scores, probabilities = zip(*(map(float, row.split()) for row in rows[1:10]), strict=True)
    assert scores == (pytest.approx(0.25, abs=0.01), *np.arange(3, 11) / 10)
    np.testing.assert_allclose(probabilities, scores, atol=0.2)
    # the knots are for machines
    assert "0.0, " not in section
    card = json.loads(command("weights", "show", out, "--json").stdout)
    assert Calibration.from_dict(card["calibration"]).n == 400


def test_calibrate_draws_a_reliability_diagram(command, judged, tmp_path):
    out, picture = tmp_path / "calibrated.safetensors", tmp_path / "reliability.png"
    arguments = ("weights", "calibrate", "deepcee", judged, "-o", out, "--plot")
    result = command(*arguments, tmp_path / "reliability.doc")
    assert result.exit_code == 3
    assert "reliability.doc: cannot be a picture: .doc is none of " in result.stderr
    assert not out.exists()
    result = command(*arguments, picture)
    assert result.exit_code == 0
    assert result.stdout.endswith(f"wrote {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_calibrate_does_not_replace_files_unasked(command, judged, tmp_path):
    out = tmp_path / "calibrated.safetensors"
    out.write_bytes(b"mine")
    arguments = ("weights", "calibrate", "deepcee", judged, "-o", out)
    result = command(*arguments)
    assert result.exit_code == 3
    assert "calibrated.safetensors: exists" in result.stderr
    assert out.read_bytes() == b"mine"
    assert command(*arguments, "--overwrite").exit_code == 0
    assert engine.load_card(out)["calibration"]["true"] > 100


def test_calibrate_by_a_table_without_status(command, tmp_path):
    path = tmp_path / "plain.csv"
    path.write_text("ra,dec,score\n1,2,0.5\n")
    result = command("weights", "calibrate", "deepcee", path, "-o", tmp_path / "x.safetensors")
    assert result.exit_code == 3
    assert "plain.csv: table must have the column 'status'" in result.stderr
    assert "it has ra, dec, score" in result.stderr
