"""``astro-objdet train``: from labelled images to weights."""

import json
import os
import shlex
import sys

import click

from astro_objdet.cli.messages import progress_bar, spoken_warnings
from astro_objdet.cli.options import (
    device_option,
    json_option,
    output_option,
    overwrite_option,
    quiet_option,
)

__all__ = ["train"]


@click.command()
@click.argument("detector")
@click.option(
    "--data", type=click.Path(), metavar="FILE", help="Archive of labelled images; see `dataset`."
)
@output_option("astro-objdet-run")
@click.option(
    "--recipe",
    metavar="NAME",
    help="bundled, as the weights that come along; paper; or a name.  [default: bundled]",
)
@click.option(
    "--backbone",
    metavar="NAME",
    help="Another timm model as the backbone, such as convnext_nano.  [default: the recipe's]",
)
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Steps to train.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N", help="Images of a step, in all."
)
@click.option("--learning-rate", type=float, metavar="RATE", help="The highest of the schedule.")
@click.option(
    "--ema", type=float, metavar="DECAY", help="Average the weights, with 0.999 over 1000 steps."
)
@click.option(
    "--init",
    metavar="WEIGHTS",
    help="Start from imagenet, none, a backbone (FILE.safetensors, hf://owner/name: a Zoobot "
    "encoder), or weights of ours: a name, a file, the folder of a run.  [default: imagenet]",
)
@click.option(
    "--freeze",
    type=click.IntRange(min=-1),
    metavar="N",
    help="Stages of the backbone that stay as they came; -1 for all of it.",
)
@click.option(
    "--augmentation",
    type=click.Choice(["none", "flip", "turn", "survey"]),
    help="What views vary: left and right, turns, or turns and depth, flux scale and stretch, "
    "which needs raw images.  [default: the recipe's]",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Of all that is random.")
@click.option("--train-split", metavar="NAME", help="Images to train on.  [default: train]")
@click.option("--test-split", metavar="NAME", help="Images to evaluate.  [default: test]")
@click.option(
    "--test-images",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many of these at most.  [default: 200]",
)
@click.option(
    "--log-every", type=click.IntRange(min=1), metavar="N", help="Steps between rows of log.csv."
)
@click.option(
    "--evaluate-every", type=click.IntRange(min=1), metavar="N", help="Steps between evaluations."
)
@click.option(
    "--checkpoint-every", type=click.IntRange(min=1), metavar="N", help="Steps between checkpoints."
)
@click.option(
    "--workers", type=click.IntRange(min=0), metavar="N", help="Processes that read images."
)
@device_option
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@overwrite_option
@json_option
@quiet_option
@click.pass_context
def train(ctx, detector, output, as_json, quiet, resume, **options):
    """Train DETECTOR, such as deepcee, on an archive of labelled images.

    Writes into a folder: model.safetensors, weights that `detect --model` takes, log.csv with
    the losses, evaluation.csv with purity and completeness, their figures, the recipe, and
    checkpoints. Ctrl-C ends the step first; --resume goes on, also after a crash. Several
    GPUs: torchrun --nproc-per-node 4 -m astro_objdet train ...

    \b
    Examples:
      astro-objdet train deepcee --data archive.h5 -o run/
      astro-objdet train deepcee --data archive.h5 --recipe paper --init none -o paper/
      astro-objdet train deepcee -o run/ --resume
      astro-objdet train deepcee --data mine.h5 --init deepcee --steps 500 -o tuned/
    """
    from astro_objdet import trainings

    # of the processes that torchrun starts, the first speaks
    silenced = os.environ.get("RANK", "0") != "0"
    as_json, quiet = as_json and not silenced, quiet or silenced
    with spoken_warnings(quiet=quiet), progress_bar(quiet=quiet) as progress:
        report = trainings.train(
            detector,
            output=output,
            resume=resume,
            listener=_Speaker(progress, silent=quiet or as_json),
            command=shlex.join(["astro-objdet", *sys.argv[1:]]),
            **options,
        )
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    elif not quiet:
        _show(report)
    if not report.finished and not silenced:
        again = shlex.join(["astro-objdet", "train", detector, "-o", str(output), "--resume"])
        click.echo(f"astro-objdet: stopped after step {report.step}; go on: {again}", err=True)
    ctx.exit(report.exit_code)


class _Speaker:
    """Says how a run goes: a bar where there is one, else a line per row of the log."""

    def __init__(self, progress, silent):
        self.progress, self.silent = progress, silent
        self.steps, self.label = 0, "training"

    def at(self, step, steps):
        self.steps = steps
        if self.progress is not None:
            self.progress(self.label, step, steps)

    def row(self, row):
        loss = f"loss {row['train_total']:.4f}" if "train_total" in row else ""
        self.label = f"training, {loss}"
        if "test_total" in row:
            loss += f", test {row['test_total']:.4f}"
        if not self.silent and (self.progress is None or "test_total" in row):
            speed = f"{row['images_per_second']:.2f} images/s"
            click.echo(f"step {row['step']}/{self.steps} {row['seconds']:.0f} s {loss}, {speed}")

    def evaluation(self, step, rows):
        best = max(rows, key=lambda row: row["f1"])
        if not self.silent:
            click.echo(
                f"step {step}: purity {best['purity']:.3f}, completeness "
                f"{best['completeness']:.3f}, F1 {best['f1']:.3f} above score {best['threshold']:g}"
            )

    def best(self, state, step, row):
        pass

    def notice(self, text):
        if not self.silent:
            click.echo(f"astro-objdet: note: {text}", err=True)


def _show(report):
    """Print what came out, and what to do with it."""
    for path in report.written:
        click.echo(f"wrote {path}")
    if report.finished:
        click.echo(f"next: astro-objdet detect IMAGES --model {report.weights} -o out/")
