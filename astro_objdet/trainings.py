"""Training a detector on an archive of labelled images, in a folder it can go on from."""

import dataclasses
import os
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from astropy.table import Table

from astro_objdet import plots
from astro_objdet.errors import InputError, check_count
from astro_objdet.trainingplan import (
    TrainingPlan,
    begun_record,
    check_identity,
    make_card,
    make_plan,
    what_may_mislead,
)

__all__ = ["Listener", "TrainingReport", "draw_run", "train"]

#: While a run goes on, its figures are drawn anew after so many seconds at the earliest.
_DRAW_AGAIN = 60.0


@dataclasses.dataclass(frozen=True)
class TrainingReport:
    """What a training did.

    Attributes
    ----------
    folder : `~pathlib.Path`
    finished : bool
        False when it was told to stop; it can go on from there.
    step, steps : int
        Done, and asked for.
    seconds : float
        Over all sessions of the run.
    evaluation : dict or None
        Of the test images at the end: the step, losses and ``scores`` at the threshold of
        the highest F1.
    weights : `~pathlib.Path` or None
        ``model.safetensors``, None if it was stopped.
    sha256 : str or None
        Of that file.
    written : list of `~pathlib.Path`
        Files of the run.
    """

    folder: Path
    finished: bool
    step: int
    steps: int
    seconds: float
    evaluation: dict | None
    weights: Path | None
    sha256: str | None
    written: list

    @property
    def exit_code(self):
        """0, or 130 where it was stopped."""
        return 0 if self.finished else 130

    def to_dict(self):
        """The report as JSON takes it."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values |= {"folder": str(self.folder), "written": [str(path) for path in self.written]}
        return values | {"weights": None if self.weights is None else str(self.weights)}


class Listener:
    """Hears of a run as it goes on; this one makes notices warnings and is silent else."""

    def at(self, step, steps):
        """Take how many steps are done, of how many."""

    def row(self, row):
        """Take a row of the log, a dict by the columns of ``log.csv``."""

    def evaluation(self, step, rows):
        """Take an evaluation, a dict per threshold by the columns of ``evaluation.csv``."""

    def best(self, state, step, row):
        """Take the weights of the best evaluation so far, and its best row."""

    def notice(self, text):
        """Take a sentence that the user should read."""
        warnings.warn(text, UserWarning, stacklevel=2)


def train(
    detector="deepcee",
    data=None,
    output="astro-objdet-run",
    *,
    workers=None,
    device="auto",
    resume=False,
    overwrite=False,
    listener=None,
    command=None,
    **options,
):
    """Train a detector's recipe on an archive; what happens lies in a folder.

    Written are ``recipe.json`` (recipe, settings, data, versions, seed), ``log.csv`` (the
    losses of paper I's Table A1 on training and test images), ``evaluation.csv`` (purity,
    completeness and F1 at score thresholds), ``losses.png``, ``scores.png``, the checkpoints
    ``last.safetensors`` and ``last.previous.safetensors``, the weights of the best evaluations
    ``best.safetensors`` and ``best.previous.safetensors``, and at the end
    ``model.safetensors``, weights with a card for
    `~astro_objdet.detectors.Detector.from_pretrained`.

    In several processes, started by ``torchrun``, each takes its share of a step's images.

    Parameters
    ----------
    detector : str
    data : path-like
        An archive; `astro_objdet.skies.archive`. To resume it need not be given.
    output : path-like
        Folder of the run.
    workers : int, optional
        Processes that make the images of the steps; by default 1, none where the model computes
        on one or two cores, and up to 8 where a GPU computes.
    device : str
        ``"auto"`` takes a GPU where there is one.
    resume : bool
        Go on with the run in the folder from its last checkpoint, or from its beginning if
        it has none. On a CPU the weights are then those of a run without a break, byte by
        byte.
    overwrite : bool
        Whether a run in the folder may be replaced.
    listener : Listener, optional
        Told each row of the log, each evaluation and each notice. By default notices are
        warnings.
    command : str, optional
        The command line, for the record.
    **options
        ``recipe`` ("bundled", "paper" or a name), ``backbone``, ``steps``, ``batch_size``,
        ``learning_rate``, ``freeze``, ``ema``, ``augmentation``, ``init``, ``seed``,
        ``train_split``, ``test_split``, ``test_images``, ``log_every``, ``evaluate_every``,
        ``checkpoint_every``: see `~astro_objdet.trainingplan.make_plan`.

    Returns
    -------
    TrainingReport

    Raises
    ------
    InputError
        For data or options that cannot be used, or a resumed run that is another one.
    OutputExistsError
        When there is a run in the folder and neither ``resume`` nor ``overwrite`` is given.
    ModelError
        When a loss is not finite, naming step and images, or weights to start from do not fit.
    ResourceError
        When memory or disk do not suffice; the last checkpoint stays.
    """
    from astro_objdet.engine.training.distributed import join_processes
    from astro_objdet.engine.training.folder import RunFolder

    if workers is not None:
        check_count("workers", workers, 0)
    with join_processes(device) as (processes, device):
        folder = RunFolder(output, _Drawer(listener or Listener(), output), processes.first)
        if resume:
            if overwrite:
                raise InputError("resume and overwrite: a run goes on, or another takes its place")
            plan = _plan_of(folder, detector, data, options)
        else:
            if processes.first and not overwrite:
                folder.refuse_existing()
            plan = make_plan(detector, data, **options)
        views, held_back = _datasets(plan)
        model, origin = _start(plan, folder, resume)
        if plan.recipe.estimates:
            model.roi_heads.box_predictor.expect(*views.typical())
        training = _training(model, views, held_back, plan, folder, processes, device, workers)
        if processes.first:
            identity = check_identity(plan, folder.record)
            if not resume:
                here = {"device": str(device), "processes": processes.count}
                folder.begin(begun_record(plan, views.archive, identity, origin, command) | here)
            _warn(plan, views.archive, folder, processes.count)
        processes.tell()  # the others wait for the folder
        folder.make_card = partial(make_card, folder.record, plan, len(held_back))
        return _finish(training, folder, plan, training.run(), processes)


def _plan_of(folder, detector, data, options):
    """The plan of the run in a folder, which must be the one that is asked for."""
    plan = TrainingPlan.from_dict(folder.load().get("plan", {}))
    if plan.recipe.detector != detector:
        raise InputError(
            f"detector is {plan.recipe.detector!r} in the run to go on with, got {detector!r}"
        )
    plan.check_same(options)
    return dataclasses.replace(plan, data=str(data or plan.data))


def _warn(plan, archive, folder, count):
    """Notices about data and processes, each once in the life of a run."""
    said = folder.record.get("notices", ())
    for text in what_may_mislead(plan, archive, folder.record, count):
        if text not in said:
            folder.notice(text)


def _datasets(plan):
    """Views to train on, and images held back (None without)."""
    from astro_objdet.engine.data import ArchiveImages, ArchiveViews

    length = plan.recipe.training.steps * plan.recipe.training.batch_size
    views = ArchiveViews(
        plan.data, plan.recipe, split=plan.train_split, length=length, seed=plan.seed
    )
    if plan.test_split not in views.archive.splits:
        return views, ()
    images = ArchiveImages(plan.data, plan.recipe, split=plan.test_split)
    return views, HeldBack(images, plan.test_images, plan.seed)


class HeldBack:
    """A fixed choice of an archive's images, with the redshifts of their objects."""

    def __init__(self, images, at_most, seed):
        order = np.random.default_rng([seed, 3]).permutation(len(images))
        self.images, self.chosen = images, np.sort(order[:at_most])

    def __len__(self):
        return len(self.chosen)

    def __getitem__(self, number):
        place = int(self.chosen[number])
        image, target = self.images[place]
        objects = self.images.archive.objects(int(self.images.rows[place]))
        redshift = np.full(len(target["boxes"]), np.nan)
        known = objects["redshift"][objects["role"] == "target"]
        redshift[: len(known)] = known
        return image, target | {"redshift": redshift}


def _start(plan, folder, resume):
    """The model and where its weights came from; a checkpoint brings its own."""
    from astro_objdet.engine.training.initial import start_model

    init = "none" if resume and folder.has_checkpoint() else plan.init
    return start_model(plan.recipe, init, seed=plan.seed)


def default_workers(kind, processes=1, cores=None):
    """How many processes make the images of a run, for each of its own processes.

    Where the model computes on one or two cores, one beside it only makes both wait for a core.
    """
    if cores is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 8
    if kind == "cpu":
        return int(cores // processes > 2)
    return max(1, min(8, cores // processes))


def _training(model, views, held_back, plan, folder, processes, device, workers):
    from astro_objdet.engine.training import Rhythm, Training

    if workers is None:
        workers = default_workers(device.type, processes.count)
    return Training(
        model,
        views,
        plan.recipe.training,
        images=held_back,
        pixel_scale=plan.recipe.pixel_scale,
        seed=plan.seed,
        workers=workers,
        device=device,
        processes=processes,
        rhythm=Rhythm(plan.log_every, plan.evaluate_every, plan.checkpoint_every),
        recorder=folder,
        describe=partial(_describe, views),
    )


def _describe(views, number):
    row = views.row(number)
    return f"{views.archive.images['field'][row]} (image {row} of the archive)"


def _finish(training, folder, plan, finished, processes):
    """Weights, figures and report, by the process that writes."""
    weights = digest = None
    if processes.first:
        if finished:
            scores = training.evaluation and training.evaluation["scores"]
            card = folder.make_card(training.step, scores)
            weights, digest = folder.finish(training.model.state_dict(), card)
        draw_run(folder.path)
    return TrainingReport(
        folder=folder.path,
        finished=finished,
        step=training.step,
        steps=plan.recipe.training.steps,
        seconds=round(training.seconds, 1),
        evaluation=training.evaluation,
        weights=weights,
        sha256=digest,
        written=folder.written(),
    )


class _Drawer:
    """Hands on what it hears, and draws the figures of a run that goes on now and then."""

    def __init__(self, listener, folder):
        self._listener, self._folder, self._drawn = listener, folder, time.monotonic()

    def __getattr__(self, name):
        return getattr(self._listener, name)

    def row(self, row):
        self._listener.row(row)
        if "test_total" in row and time.monotonic() - self._drawn > _DRAW_AGAIN:
            draw_run(self._folder)
            self._drawn = time.monotonic()


def draw_run(folder):
    """Draw ``losses.png`` and ``scores.png`` of a run, also of one that is going on.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    list of `~pathlib.Path`
        The figures; none of what is not recorded yet.
    """
    folder, drawn = Path(folder), []
    for name, draw, picture in (
        ("log.csv", plots.loss_curves, "losses.png"),
        ("evaluation.csv", plots.score_curves, "scores.png"),
    ):
        if (folder / name).is_file():
            table = Table.read(folder / name, format="ascii.csv")
            draw(table, folder / picture, overwrite=True)
            drawn.append(folder / picture)
    return drawn
