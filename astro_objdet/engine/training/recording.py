"""When a training says what, to whom, and the numbers of a row of its log."""

import dataclasses

import torch

from astro_objdet.engine.training.assessing import LOSSES

__all__ = ["Lines", "Meter", "Recorder", "Rhythm", "table_a1"]


@dataclasses.dataclass(frozen=True)
class Rhythm:
    """After how many steps something is done; at the last step all of it is."""

    log: int = 50
    evaluate: int = 500
    checkpoint: int = 500


class Recorder:
    """What a training tells, and where it keeps its state; this one forgets everything.

    In several processes only that of the first is told anything; all of them `restore`.
    """

    def at(self, step, steps):
        """Take how many steps are done, of how many."""

    def row(self, row):
        """Take a row of the log, a dict."""

    def evaluation(self, step, rows):
        """Take the rows of `score_images` after a step."""

    def best(self, state, step, row):
        """Take the weights (`torch.nn.Module.state_dict`) of the best evaluation so far."""

    def save(self, tensors, facts):
        """Keep a checkpoint."""

    def restore(self):
        """Tensors and facts of the last checkpoint, or None."""

    def notice(self, text):
        """Take a sentence that the user should read."""


class Lines(Recorder):
    """A line of text per row."""

    def __init__(self, log, steps):
        self.log, self.steps = log, steps

    def row(self, row):
        losses = {k.removeprefix("train_"): v for k, v in row.items() if k.startswith("train_")}
        parts = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
        self.log(f"step {row['step']}/{self.steps} {row['seconds']:.0f} s {parts}")

    def notice(self, text):
        self.log(text)


class Meter:
    """Mean losses and the speed since the last row of the log."""

    def __init__(self):
        self.rate, self.steps, self.sums, self.since = None, 0, {}, 0.0

    def add(self, losses, rate):
        """Take in the losses of a step; nothing waits for the device here."""
        self.rate = rate
        self.steps += 1
        for name, value in losses.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def pause(self, seconds):
        """Leave out of the speed what did not go into training."""
        self.since += seconds

    def share(self, processes):
        """Replace the losses by their mean over the processes."""
        processes.average(list(self.sums.values()))

    def row(self, seconds, batch_size):
        """Columns of a row of the log; begins anew."""
        means = {name: value / self.steps for name, value in self.state()["sums"].items()}
        speed = self.steps * batch_size / max(seconds - self.since, 1e-9)
        row = {"learning_rate": self.rate, "images_per_second": round(speed, 3)}
        self.steps, self.sums, self.since = 0, {}, seconds
        return row | table_a1("train", means)

    def state(self):
        """Fit for JSON."""
        values = torch.stack(list(self.sums.values())).tolist() if self.sums else []
        sums = dict(zip(self.sums, values, strict=True))
        return {"steps": self.steps, "sums": sums, "rate": self.rate, "since": self.since}

    def restore(self, state):
        """Go on from `state`."""
        self.rate, self.steps, self.since = state["rate"], state["steps"], state["since"]
        self.sums = {name: torch.tensor(value) for name, value in state["sums"].items()}


def table_a1(prefix, losses):
    """The total and the four losses, as paper I's Table A1 names them."""
    if not losses:
        return {}
    first = [name for name in LOSSES if name in losses]
    order = first + [name for name in losses if name not in LOSSES]
    named = {f"{prefix}_{LOSSES.get(name, name)}": losses[name] for name in order}
    return {f"{prefix}_total": sum(losses.values())} | named
