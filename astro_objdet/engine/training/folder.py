"""The folder of a run: its record, its log, its checkpoints and its weights."""

import csv
import io
import json
from pathlib import Path

from astro_objdet.catalogs.plain import plain
from astro_objdet.engine.training.assessing import LOSSES
from astro_objdet.engine.training.checkpoints import Checkpoints
from astro_objdet.engine.training.recording import Recorder
from astro_objdet.engine.weights import load_card, save_weights
from astro_objdet.errors import InputError, OutputExistsError
from astro_objdet.files import translated, write_whole

__all__ = ["EVALUATION_COLUMNS", "FILES", "LOG_COLUMNS", "RunFolder"]

LOG_COLUMNS = (
    *("step", "seconds", "learning_rate", "images_per_second"),
    *(f"{side}_{name}" for side in ("train", "test") for name in ("total", *LOSSES.values())),
)
EVALUATION_COLUMNS = (
    *("step", "threshold", "tp", "fp", "fn", "ignored"),
    *("purity", "completeness", "f1", "offset_kpc"),
)
#: What a run may leave in its folder.
FILES = (
    "recipe.json",
    "log.csv",
    "evaluation.csv",
    "last.safetensors",
    "last.previous.safetensors",
    "best.safetensors",
    "best.previous.safetensors",
    "model.safetensors",
    "losses.png",
    "scores.png",
)


class RunFolder(Recorder):
    """Keeps a training in a folder, from which it can go on after any kind of end.

    Parameters
    ----------
    path : path-like
    listener : `Recorder`, optional
        Told the same rows and notices, for the user to see.
    first : bool
        Whether this process writes; the others of a run only read.
    """

    def __init__(self, path, listener=None, first=True):
        self.path, self.first = Path(path), first
        self.listener = listener or Recorder()
        self.checkpoints = Checkpoints(self.path)
        self.record, self.make_card = {}, None

    def refuse_existing(self):
        """Raise `OutputExistsError` if there is a run in the folder already."""
        if self.path.exists() and not self.path.is_dir():
            raise InputError("the output must be a folder, and this is a file", self.path)
        there = [name for name in FILES if (self.path / name).exists()]
        if there:
            raise OutputExistsError(
                f"has a run in it ({there[0]}): go on with it (--resume), replace it "
                "(--overwrite), or choose another folder",
                self.path,
            )

    def begin(self, record):
        """Make the folder, without what an earlier run left there, and write the record."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise translated(error, self.path, "made") from error
        self.record = record
        self._write_record()

    def load(self):
        """The record of the run that is there.

        Raises
        ------
        InputError
            When there is none.
        """
        path = self.path / "recipe.json"
        try:
            self.record = json.loads(path.read_text())
        except FileNotFoundError:
            raise InputError("no run to go on with: it has no recipe.json", self.path) from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(f"cannot be read: {error}", path) from error
        missing = {"plan", "processes"} - set(self.record if isinstance(self.record, dict) else ())
        if missing:
            raise InputError(f"is not that of a run: it has no {', '.join(sorted(missing))}", path)
        return self.record

    def has_checkpoint(self):
        """Whether a run got as far as its first checkpoint."""
        return self.checkpoints.last.is_file() or self.checkpoints.previous.is_file()

    def at(self, step, steps):
        if self.first:
            self.listener.at(step, steps)

    def row(self, row):
        self._append("log.csv", LOG_COLUMNS, [row])
        self.listener.row(row)

    def evaluation(self, step, rows):
        self._append("evaluation.csv", EVALUATION_COLUMNS, [{"step": step} | row for row in rows])
        self.listener.evaluation(step, rows)

    def best(self, state, step, row):
        path = self.path / "best.safetensors"
        previous = self.path / "best.previous.safetensors"
        # after a crash a later best may be there, which is about to come again
        if path.is_file() and load_card(path)["training"]["steps"] < step:
            write_whole(previous, path.read_bytes(), overwrite=True)
        save_weights(state, path, self.make_card(step, row), overwrite=True)
        self.listener.best(state, step, row)

    def save(self, tensors, facts):
        self.checkpoints.save(tensors, facts)

    def restore(self):
        found = self.checkpoints.newest(self.notice)
        step = 0 if found is None else found[1]["step"]
        if self.first:
            # what was logged after the checkpoint will be logged again
            for name, columns in (("log.csv", LOG_COLUMNS), ("evaluation.csv", EVALUATION_COLUMNS)):
                self._cut(name, columns, step)
        if found is not None and self.first:
            self.listener.notice(f"going on after step {step}")
        return found

    def notice(self, text):
        if self.first:
            self.record.setdefault("notices", []).append(text)
            self._write_record()
            self.listener.notice(text)

    def finish(self, state, card):
        """Write ``model.safetensors``; returns its path and sha256."""
        path = self.path / "model.safetensors"
        return path, save_weights(state, path, card, overwrite=True)

    def written(self):
        """Paths of the files of the run that are there."""
        return [self.path / name for name in FILES if (self.path / name).is_file()]

    def _write_record(self):
        text = json.dumps(plain(self.record), indent=1, allow_nan=False, default=str)
        write_whole(self.path / "recipe.json", text + "\n", overwrite=True)

    def _append(self, name, columns, rows):
        path = self.path / name
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not path.exists():
            writer.writerow(columns)
        writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
        try:
            with open(path, "a") as file:
                file.write(text.getvalue())
        except OSError as error:
            raise translated(error, path, "written") from error

    def _cut(self, name, columns, step):
        """Keep the rows up to a step, and no half row."""
        path = self.path / name
        if not path.is_file():
            return
        kept = [",".join(columns) + "\n"]
        # after a power failure the end of a file may be anything
        for line in path.read_text(errors="replace").splitlines(keepends=True)[1:]:
            number, *rest = line.split(",")
            whole = line.endswith("\n") and len(rest) == len(columns) - 1
            if whole and number.isdecimal() and int(number) <= step:
                kept.append(line)
        write_whole(path, "".join(kept), overwrite=True)


def _cell(value):
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
