"""``astro-objdet weights``: what is listed, shown and converted."""

import json

import pytest

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
