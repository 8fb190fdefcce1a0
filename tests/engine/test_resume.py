"""A run that is killed and goes on ends with the weights of one that never stopped."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import training_fixture
from training_fixture import OPTIONS, TINY, write_archive

from astro_objdet import Detector, trainings
from astro_objdet.engine.training.folder import FILES
from astro_objdet.errors import InputError, ModelError, OutputExistsError, ResourceError

pytest.importorskip("h5py")


class Heard(trainings.Listener):
    """Remembers notices, and raises a signal or error after a step."""

    def __init__(self, step=0, action=None):
        self.step, self.action, self.notices, self.rows = step, action, [], []

    def at(self, step, steps):
        if step == self.step:
            self.action()

    def row(self, row):
        self.rows.append(row)

    def notice(self, text):
        self.notices.append(text)


def stop():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As the program of `training_fixture`: sums of several threads may differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """They take longer than the tiny run; that of `whole` has them."""
    monkeypatch.setattr(trainings, "draw_run", lambda folder: [])


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("data") / "squares.h5")


def run(archive, folder, listener=None, **changes):
    listener = listener or Heard()
    resumed = changes.get("resume")
    options = {"workers": 0, "device": "cpu"} if resumed else OPTIONS | {"data": archive}
    return trainings.train(output=folder, listener=listener, **(options | changes))


@pytest.fixture(scope="module")
def whole(archive, tmp_path_factory):
    """A run without a break."""
    torch.set_flush_denormal(True)
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, run(archive, folder)


def assert_same_run(folder, whole):
    for name in ("model.safetensors", "best.safetensors", "evaluation.csv"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    # weights that were the best before
    before = [path / "best.previous.safetensors" for path in (folder, whole)]
    assert before[0].exists() == before[1].exists()
    assert not before[0].exists() or before[0].read_bytes() == before[1].read_bytes()
    for one, other in zip(log_of(folder), log_of(whole), strict=True):
        timed = ("seconds", "images_per_second")
        assert [one[k] for k in one if k not in timed] == [other[k] for k in one if k not in timed]


def log_of(folder):
    with open(folder / "log.csv") as file:
        return list(csv.DictReader(file))


def test_what_a_run_leaves(whole, archive):
    folder, report = whole
    assert report.finished
    assert report.exit_code == 0
    assert {path.name for path in report.written} == {path.name for path in folder.iterdir()}
    # the weights that were the best before are there where a later evaluation was better
    f1 = {"3": 0.0, "6": 0.0}
    with open(folder / "evaluation.csv") as file:
        for row in csv.DictReader(file):
            f1[row["step"]] = max(f1[row["step"]], float(row["f1"] or 0))
    kept = set(FILES) - (set() if f1["6"] > f1["3"] else {"best.previous.safetensors"})
    assert {path.name for path in report.written} == kept
    log = log_of(folder)
    assert [row["step"] for row in log] == list("123456")
    assert [bool(row["test_total"]) for row in log] == [False, False, True, False, False, True]
    record = json.loads((folder / "recipe.json").read_text())
    assert record["plan"]["recipe"]["training"]["steps"] == 6
    assert record["data"]["name"] == "squares.h5"
    assert len(record["data"]["sha256"]) == 64
    assert record["start"] == {"init": "none"}
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert record["command"].startswith("astro-objdet train deepcee --data squares.h5")
    assert json.dumps(report.to_dict(), allow_nan=False)


def test_weights_of_a_run_detect(whole):
    folder, report = whole
    detector = Detector.from_pretrained(report.weights, sha256=report.sha256, device="cpu")
    assert detector.recipe == TINY
    card = detector.card
    assert card["training"]["data"] == "squares.h5"
    assert card["training"]["steps"] == 6
    assert card["scores"]["images"] == 3
    assert str(folder) not in json.dumps(card)
    assert Detector.from_pretrained(folder / "best.safetensors", device="cpu").recipe == TINY


def test_killed_at_once_and_resumed(whole, archive, tmp_path):
    """SIGKILL of a process with a worker, then SIGTERM, then to the end."""
    folder = tmp_path / "run"
    program = [sys.executable, training_fixture.__file__, archive, folder, "--workers", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    killed = subprocess.run([*program, "--at", "5"], env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not (folder / "model.safetensors").exists()
    assert [row["step"] for row in log_of(folder)] == list("1234")
    with open(folder / "log.csv", "a") as log:
        log.write("5,0.3,half a ro")
    heard = Heard(5, stop)
    report = run(archive, folder, heard, resume=True)
    assert (report.finished, report.step, report.exit_code) == (False, 5, 130)
    assert report.weights is None
    assert heard.notices == ["going on after step 4"]
    assert run(archive, folder, resume=True).finished
    assert_same_run(folder, whole[0])


@pytest.mark.parametrize("step", [1, 3, 6])
def test_stopped_anywhere(step, whole, archive, tmp_path):
    """Before the first checkpoint, where an evaluation was due, and at the end."""
    report = run(archive, tmp_path / "run", Heard(step, stop))
    assert (report.finished, report.step) == (False, step)
    heard = Heard()
    assert run(archive, tmp_path / "run", heard, resume=True).finished
    assert heard.notices == [f"going on after step {step}"]
    assert_same_run(tmp_path / "run", whole[0])


def test_killed_while_a_checkpoint_is_written(whole, archive, tmp_path):
    """The last checkpoint is torn: the one before it is as good."""
    folder = tmp_path / "run"
    run(archive, folder, Heard(5, stop))
    last = folder / "last.safetensors"
    (folder / ".feedfacefeedface.safetensors").write_bytes(last.read_bytes()[:1000])
    last.write_bytes(last.read_bytes()[:-50])
    heard = Heard()
    assert run(archive, folder, heard, resume=True).finished
    assert "last.safetensors: damaged checkpoint" in heard.notices[0]
    assert heard.notices[1:] == [
        "going on from the checkpoint before the last one, of step 4",
        "going on after step 4",
    ]
    assert_same_run(folder, whole[0])


def test_before_the_first_checkpoint_a_run_begins_again(whole, archive, tmp_path):
    folder = tmp_path / "run"

    def fail():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run(archive, folder, Heard(1, fail))
    assert not (folder / "last.safetensors").exists()
    assert run(archive, folder, resume=True).finished
    assert_same_run(folder, whole[0])


def test_killed_between_an_evaluation_and_its_checkpoint(archive, tmp_path):
    """The evaluation comes again; its weights are not what was the best before."""
    often = {"evaluate_every": 2, "checkpoint_every": 5}

    def fail():
        raise InterruptedError

    run(archive, tmp_path / "whole", **often)
    with pytest.raises(InterruptedError):
        run(archive, tmp_path / "run", Heard(5, fail), **often)
    assert run(archive, tmp_path / "run", resume=True).finished
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_finished_run_is_left_as_it_is(whole, archive):
    folder, report = whole
    again = run(archive, folder, resume=True)
    assert again.sha256 == report.sha256
    assert_same_run(folder, folder)


def test_a_full_disk_keeps_the_last_checkpoint(archive, tmp_path):
    folder = tmp_path / "run"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))

    try:
        with pytest.raises(ResourceError, match="last.safetensors: cannot be written"):
            run(archive, folder, Heard(4, fill))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    heard = Heard()
    run(archive, folder, heard, resume=True)
    assert heard.notices == ["going on after step 2"]


def test_average_and_other_settings_go_on_too(archive, tmp_path):
    changes = {"ema": 0.9, "steps": 4, "evaluate_every": 4, "batch_size": 3}
    run(archive, tmp_path / "a", **changes)
    run(archive, tmp_path / "b", Heard(3, stop), **changes)
    run(archive, tmp_path / "b", resume=True)
    assert_same_run(tmp_path / "b", tmp_path / "a")


def test_existing_run_is_not_replaced_unasked(whole, archive):
    with pytest.raises(OutputExistsError, match=r"has a run in it .*--resume.*--overwrite"):
        run(archive, whole[0])


def test_overwriting_leaves_nothing_of_the_old_run(archive, tmp_path):
    run(archive, tmp_path, steps=2)
    (tmp_path / "mine.txt").write_text("stays")
    run(archive, tmp_path, Heard(1, stop), overwrite=True)
    assert not (tmp_path / "model.safetensors").exists()
    assert (tmp_path / "mine.txt").exists()


def test_resuming_another_run(whole, archive, tmp_path):
    folder, _ = whole
    with pytest.raises(InputError, match="no run to go on with: it has no recipe.json"):
        run(archive, tmp_path, resume=True)
    with pytest.raises(InputError, match="steps is 6 in the run to go on with, got 7"):
        run(archive, folder, resume=True, steps=7)
    with pytest.raises(InputError, match="recipe is 'deepcee-tiny' in the run"):
        run(archive, folder, resume=True, recipe="paper")
    other = write_archive(tmp_path / "other.h5", n_train=7)
    with pytest.raises(InputError, match=r"other.h5: is not the archive that the run began with"):
        run(archive, folder, resume=True, data=other)
    moved = tmp_path / "moved.h5"
    moved.write_bytes(Path(archive).read_bytes())
    assert run(archive, folder, resume=True, data=moved).finished


def test_resuming_and_overwriting_exclude_each_other(archive, tmp_path):
    with pytest.raises(InputError, match="resume and overwrite: a run goes on, or another"):
        run(archive, tmp_path, resume=True, overwrite=True)
    with pytest.raises(InputError, match="step is no option of training; it has .*steps"):
        run(archive, tmp_path, step=7)
    with pytest.raises(InputError, match="workers must be a whole number from 0 up, got -1"):
        run(archive, tmp_path, workers=-1)


@pytest.mark.parametrize("text", ["[]", "{}", '{"plan": {}}'])
def test_records_that_are_not_of_a_run(archive, tmp_path, text):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(
        InputError, match=r"recipe.json: is not that of a run: it has no .*processes"
    ):
        run(archive, tmp_path, resume=True)


def test_splits_without_targets(tmp_path):
    archive = write_archive(tmp_path / "a.h5", n_train=3, n_test=2, empty=("test",))
    heard = Heard()
    run(archive, tmp_path / "run", heard, steps=2)
    assert heard.notices == ["the split 'test' has no targets: its scores say nothing"]
    archive = write_archive(tmp_path / "b.h5", n_train=2, n_test=1, empty=("train",))
    with pytest.raises(InputError, match=r"b.h5: has no positives in its split 'train'"):
        run(archive, tmp_path / "other")


def test_no_test_images(archive, tmp_path):
    heard = Heard(1, stop)
    run(archive, tmp_path, heard, test_images=0)
    assert heard.notices == ["test_images is 0: there are no test losses and no scores"]


def test_another_backbone(archive, tmp_path):
    report = run(archive, tmp_path / "run", Heard(1, stop), backbone="test_convnext")
    assert not report.finished
    again = run(archive, tmp_path / "run", resume=True, backbone="test_convnext", recipe=TINY)
    card = Detector.from_pretrained(again.weights, device="cpu").card
    assert card["recipe"]["backbone"] == "test_convnext"
    assert "--recipe deepcee-tiny --backbone test_convnext" in card["training"]["command"]
    with pytest.raises(InputError, match="backbone is 'test_convnext' in the run to go on with"):
        run(archive, tmp_path / "run", resume=True, backbone="test_resnet")


def test_archive_without_a_test_split(tmp_path):
    archive = write_archive(tmp_path / "a.h5", n_test=0)
    heard = Heard()
    report = run(archive, tmp_path / "run", heard, steps=2)
    assert heard.notices == [
        "the archive has no split 'test': there are no test losses and no scores"
    ]
    assert report.evaluation is None
    assert "scores" not in Detector.from_pretrained(report.weights).card
    with pytest.raises(InputError, match="has no split 'learn'; it has 'train'"):
        run(archive, tmp_path / "other", train_split="learn")


def test_a_loss_that_is_not_finite_names_fields(archive, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(
        ModelError, match=r"step \d \(.*images: square_\d \(image \d of the archive\), square_"
    ):
        run(archive, folder, learning_rate=1e30, steps=6)
    record = json.loads((folder / "recipe.json").read_text())
    assert record["plan"]["recipe"]["training"]["learning_rate"] == 1e30


def test_notices_are_warnings_and_on_record(tmp_path):
    archive = write_archive(tmp_path / "a.h5", n_test=0)
    with pytest.warns(UserWarning, match="no split 'test'"):
        trainings.train(data=archive, output=tmp_path / "run", **(OPTIONS | {"steps": 1}))
    record = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert len(record["notices"]) == 1
