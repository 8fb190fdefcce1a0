"""``astro-objdet train``: options, streams, exit codes."""

import dataclasses
import json
import os
import re
import signal

import pytest
from training_fixture import TINY, write_archive

from astro_objdet import trainings
from astro_objdet.detectors.deepcee import DeepCEE
from astro_objdet.engine.weights import load_card

pytest.importorskip("h5py")

SHORT = ("--init", "none", "--device", "cpu", "--workers", "0", "--steps", "2")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """The tiny recipe is the bundled one, and figures are not drawn."""
    monkeypatch.setattr(DeepCEE, "recipes", (TINY, *DeepCEE.recipes[1:]))
    monkeypatch.setattr(trainings, "draw_run", lambda folder: [])


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("data") / "squares.h5")


def test_trains_and_says_how(command, archive, tmp_path):
    folder = tmp_path / "run"
    every = ("--log-every", 1, "--evaluate-every", 2)
    result = command("train", "deepcee", "--data", archive, "-o", folder, *SHORT, *every)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert re.match(r"step 1/2 \d s loss [\d.]+, [\d.]+ images/s$", lines[0])
    assert lines[1].startswith("step 2: purity ")
    assert re.match(r"step 2/2 \d s loss [\d.]+, test [\d.]+, ", lines[2])
    assert f"wrote {folder / 'model.safetensors'}" in lines
    assert lines[-1].startswith("next: astro-objdet detect")
    shown = command("weights", "show", folder / "model.safetensors")
    assert "deepcee-tiny, trained on squares.h5" in shown.stdout
    record = json.loads((folder / "recipe.json").read_text())
    assert record["command"].split()[0] == "astro-objdet"


def test_options_reach_the_run(command, archive, tmp_path):
    given = ("--batch-size", 3, "--learning-rate", 0.01, "--freeze", -1, "--seed", 5)
    every = ("--ema", 0.5, "--evaluate-every", 2, "--checkpoint-every", 1, "--test-images", 1)
    given += ("--augmentation", "none", "--test-split", "train")
    result = command(
        *("train", "deepcee", "--data", archive, "-o", tmp_path, *SHORT, *given, *every, "--json")
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["finished"]
    assert report["evaluation"]["step"] == 2
    plan = json.loads((tmp_path / "recipe.json").read_text())["plan"]
    settings = plan["recipe"]["training"]
    expected = TINY.training.__dict__ | {
        **{"batch_size": 3, "learning_rate": 0.01, "freeze_stages": -1, "ema": 0.5, "steps": 2},
        "augmentation": "none",
    }
    # what the card says repeats it
    card = load_card(tmp_path / "model.safetensors")
    for words in ("--augmentation none", "--test-split train", "--seed 5"):
        assert words in card["training"]["command"]
    assert settings == expected
    assert (plan["seed"], plan["evaluate_every"], plan["test_images"]) == (5, 2, 1)


def test_paper_recipe_by_its_short_name(monkeypatch, command, archive, tmp_path):
    paper = DeepCEE.recipes[1]
    small = paper.replace(
        **{
            name: getattr(TINY, name)
            for name in ("backbone", "head_width", "proposals", "pixel_scale")
        },
        clip_boxes=False,
    )
    monkeypatch.setattr(DeepCEE, "recipes", (TINY, small))
    result = command(
        *("train", "deepcee", "--data", archive, "-o", tmp_path, *SHORT[:-1], "1"),
        *("--recipe", "paper", "-q"),
    )
    assert result.exit_code == 0, result.output
    assert (result.stdout, result.stderr) == ("", "")
    plan = json.loads((tmp_path / "recipe.json").read_text())["plan"]
    settings = plan["recipe"]["training"]
    assert plan["recipe"]["name"] == "deepcee-paper"
    assert settings == dataclasses.asdict(paper.training) | {"steps": 1}
    assert (settings["optimizer"], settings["learning_rate"]) == ("sgd", 2e-4)


def test_interrupted_and_resumed(monkeypatch, command, archive, tmp_path):
    from astro_objdet.cli import train as module

    def at(self, step, steps):
        if step == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(module._Speaker, "at", at)
        result = command("train", "deepcee", "--data", archive, "-o", tmp_path, *SHORT)
    assert result.exit_code == 130
    again = f"astro-objdet train deepcee -o {tmp_path} --resume"
    assert result.stderr.splitlines()[-1] == f"astro-objdet: stopped after step 1; go on: {again}"
    result = command(*again.split()[1:], "--device", "cpu", "--workers", "0")
    assert result.exit_code == 0, result.output
    assert result.stderr == "astro-objdet: note: going on after step 1\n"


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ([], 3, "data must be given: the archive to train on"),
        (["--data", "missing.h5"], 3, "missing.h5: cannot be read"),
        (["--data", "ARCHIVE", "--recipe", "nobody"], 3, "recipe must be one of"),
        (["--data", "ARCHIVE", "--train-split", "x"], 3, "has no split 'x'"),
        (["--data", "ARCHIVE", "--learning-rate", "-1"], 3, "--learning-rate must be a finite"),
        (["--data", "ARCHIVE", "--init", "nowhere"], 6, "no weights at 'nowhere'"),
        (["--data", "ARCHIVE", "--freeze", "99"], 3, "must be at most"),
        (["--resume"], 3, "no run to go on with"),
    ],
)
def test_errors(command, archive, tmp_path, given, code, message):
    given = [archive if word == "ARCHIVE" else word for word in given]
    result = command("train", "deepcee", *SHORT, *given, "-o", tmp_path / "run")
    assert result.exit_code == code, result.output
    (line,) = result.stderr.splitlines()
    assert message in line
    assert not (tmp_path / "run").exists()


def test_unknown_detector(command, archive, tmp_path):
    result = command("train", "nobody", "--data", archive, "-o", tmp_path / "run")
    assert result.exit_code == 6
    assert "no detector is called 'nobody'" in result.stderr


def test_existing_run(command, archive, tmp_path):
    assert command("train", "deepcee", "--data", archive, "-o", tmp_path, *SHORT).exit_code == 0
    result = command("train", "deepcee", "--data", archive, "-o", tmp_path, *SHORT)
    assert result.exit_code == 3
    assert "(--resume), replace it (--overwrite)" in result.stderr
    result = command("train", "deepcee", "--data", archive, "-o", tmp_path, *SHORT, "--overwrite")
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("kind", "processes", "cores", "workers"),
    [("cpu", 1, 1, 0), ("cpu", 1, 2, 0), ("cpu", 1, 4, 1), ("cpu", 2, 4, 0), ("cuda", 1, 64, 8),
     ("cuda", 4, 16, 4), ("cuda", 4, 2, 1)],
)  # fmt: skip
def test_processes_beside_the_model_have_cores_of_their_own(kind, processes, cores, workers):
    assert trainings.default_workers(kind, processes, cores) == workers
