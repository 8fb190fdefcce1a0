"""One explicit training loop for a recipe's model."""

import contextlib
import math
import time

import torch

from astro_objdet.engine.folding import fold_norms_in_training
from astro_objdet.engine.precision import Precision, keep_boxes_single
from astro_objdet.engine.training.assessing import assess
from astro_objdet.engine.training.batches import Batches
from astro_objdet.engine.training.checkpoints import collect_state, restore_state
from astro_objdet.engine.training.distributed import Processes
from astro_objdet.engine.training.ignoring import respect_ignored
from astro_objdet.engine.training.optim import WeightAverage, freeze, make_optimizer, set_rate
from astro_objdet.engine.training.recording import Lines, Meter, Recorder, Rhythm, table_a1
from astro_objdet.engine.training.scoring import best_row, score_images
from astro_objdet.engine.training.signals import StopRequest
from astro_objdet.engine.training.steps import Stepper, memory_errors
from astro_objdet.errors import InputError

__all__ = ["Training", "train"]


class Training:
    """A model on its way through the steps that its settings ask for.

    Parameters
    ----------
    model : `torchvision.models.detection.FasterRCNN`
        Trained in place.
    views : `torch.utils.data.Dataset`
        Pairs of a (3, h, w) float32 tensor and a dict of ``boxes`` (n, 4) float32 and
        ``labels`` (n,) int64; also ``ignored`` (m, 4), see `respect_ignored`. Read in its
        order, from the beginning again at its end; it does its own shuffling. For a run that
        can be repeated, view k must be a function of k alone.
    settings : `astro_objdet.detectors.TrainingSettings`
    images : sequence, optional
        Such pairs that are not trained on, for evaluations.
    pixel_scale : float
        Arcsec per pixel of these.
    seed : int
        Of the sampling of anchors and proposals.
    workers : int
        Processes that prepare images.
    device : str or `torch.device`, optional
        By default where the model is.
    processes : `astro_objdet.engine.training.distributed.Processes`, optional
    rhythm : Rhythm
    recorder : Recorder
    describe : callable, optional
        Words for a view by its number, for messages.

    Attributes
    ----------
    step : int
        Steps done.
    evaluation : dict or None
        The last one: ``step``, the test ``losses``, and its best row as ``scores``.
    """

    def __init__(
        self,
        model,
        views,
        settings,
        *,
        images=(),
        pixel_scale=1.0,
        seed=0,
        workers=1,
        device=None,
        processes=None,
        rhythm=None,
        recorder=None,
        describe="view {}".format,
    ):
        if not len(views):
            raise InputError("there is no image to train on")
        self.model, self.settings, self.images = model, settings, images
        self.pixel_scale, self.seed, self.workers = pixel_scale, seed, workers
        self.processes = processes or Processes()
        self.rhythm, self.recorder = rhythm or Rhythm(), recorder or Recorder()
        self.step, self.evaluation, self.best_score, self._before = 0, None, -1.0, 0.0
        self._begun, self._unreported = time.monotonic(), False

        freeze(model, settings.freeze_stages)
        self.device = torch.device(device or next(model.parameters()).device)
        model.to(self.device)
        if hasattr(model, "backbone"):
            # convolutions over channels-last images are a quarter faster, on CPU too
            model.backbone.to(memory_format=torch.channels_last)
            example = torch.zeros(1, 3, 64, 64, device=self.device)
            fold_norms_in_training(model.backbone, example)
        respect_ignored(keep_boxes_single(model))
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.precision = Precision(self.device)
        body = model.backbone.body.parameters() if hasattr(model, "backbone") else ()
        self.optimizer = make_optimizer(weights, settings, body)
        self.average = WeightAverage(weights, settings.ema) if settings.ema else None
        self.batches = Batches(views, settings.batch_size, self.processes, describe)
        self.meter = Meter()
        self.stepper = Stepper(
            model,
            weights,
            self.optimizer,
            self.precision,
            self.processes,
            seed=seed,
            clip_norm=settings.clip_norm,
            piece=self.batches.share,
            notice=self._notice,
        )

    @property
    def seconds(self):
        """Seconds of training up to now, over all sessions of the run."""
        return self._before + time.monotonic() - self._begun

    def run(self):
        """Train to the end, from the recorder's checkpoint where it has one.

        Returns
        -------
        bool
            Whether the end was reached; False when a signal (Ctrl-C, SIGTERM) stopped it, after
            a whole step and a checkpoint. At the end the model has its final weights, the
            average of them where the settings ask for one, and is in evaluation mode.

        Raises
        ------
        ModelError
            When a loss is not finite, naming step and images.
        ResourceError
            When memory does not suffice for a single image, or the disk for a checkpoint.
        """
        devices = [self.device] if self.device.type == "cuda" else []
        with StopRequest() as stop, torch.random.fork_rng(devices), memory_errors(self.device):
            self.model.train()
            self._restore(stop)
            with contextlib.closing(self._batches(stop)) as batches:
                for step, images, targets in batches:
                    self.take_step(step, images, targets)
                    self._report(stop)
                    if self._due(self.rhythm.checkpoint) or self._stopped(stop):
                        self._save()
                    if self._stopped(stop):
                        break
        finished = self.step == self.settings.steps and not self._unreported
        if finished and self.average is not None:
            self.average.swap()
        self.model.eval()
        return finished

    def _batches(self, stop):
        """The batches that are left; none when it is told to stop already."""
        first, last = self.step + 1, self.settings.steps
        if first <= last and not self._stopped(stop):
            yield from self.batches.read(
                first, last, self.device, seed=self.seed, workers=self.workers
            )

    def take_step(self, step, images, targets):
        """Change the weights by one batch."""
        rate = set_rate(self.optimizer, self.settings, step)
        losses = self.stepper.step(step, images, targets, lambda: self.batches.names(step))
        if self.average is not None:
            self.average.update(step)
        self.step = step
        self.meter.add(losses, rate)
        self.recorder.at(step, self.settings.steps)

    def _due(self, every):
        return self.step % every == 0 or self.step == self.settings.steps

    def _stopped(self, stop):
        """Whether this process or another was told to stop: they agree once per step."""
        if stop.agreed_at != self.step:
            (stop.agreed,) = self.processes.any(stop.wanted, device=self.device)
            stop.agreed_at = self.step
        return stop.agreed

    def _report(self, stop):
        """Evaluate and log after a step, where it is time for either."""
        evaluating = len(self.images) > 0 and self._due(self.rhythm.evaluate)
        losses = {}
        self._unreported = evaluating and self._stopped(stop)
        if evaluating and not self._unreported:
            begun = self.seconds
            losses = self._evaluate(stop)
            self.meter.pause(self.seconds - begun)
            # all processes gave up together, in the middle of it
            self._unreported = stop.agreed = losses is None
        if self._unreported or not (evaluating or self._due(self.rhythm.log)):
            return
        self.meter.share(self.processes)
        row = {"step": self.step, "seconds": round(self.seconds, 2)}
        row |= self.meter.row(self.seconds, self.settings.batch_size)
        row |= table_a1("test", losses)
        if self.processes.first:
            self.recorder.row(row)

    def _evaluate(self, stop):
        """Losses and scores on the images held back; None if it was stopped halfway."""
        with self.average.in_place() if self.average is not None else contextlib.nullcontext():
            losses, results = assess(
                self.model,
                self.images,
                range(len(self.images)),
                seed=self.seed,
                precision=self.precision,
                processes=self.processes,
                stop=lambda: stop.wanted,
            )
            if results is None:
                return None
            rows = score_images(results, self.pixel_scale)
            best = best_row(rows)
            finite = {k: v if math.isfinite(v) else None for k, v in losses.items()}
            self.evaluation = {"step": self.step, "losses": finite, "scores": best}
            if None in finite.values():
                self._notice(f"test loss is not finite at step {self.step}")
            better = best["f1"] > self.best_score
            self.best_score = max(best["f1"], self.best_score)
            if self.processes.first:
                self.recorder.evaluation(self.step, rows)
                if better:
                    self.recorder.best(self.model.state_dict(), self.step, best)
        return losses

    def _save(self):
        self.meter.share(self.processes)
        if not self.processes.first:
            return
        tensors, facts = collect_state(
            self.model, self.optimizer, self.average, self.precision.scaler
        )
        facts |= {
            "step": self.step,
            "seconds": self.seconds,
            "piece": self.stepper.piece,
            "meter": self.meter.state(),
            "evaluation": self.evaluation,
            "best_score": self.best_score,
            "unreported": self._unreported,
        }
        self.recorder.save(tensors, facts)

    def _restore(self, stop):
        found = self.recorder.restore()
        if found is None:
            return
        tensors, facts = found
        restore_state(
            tensors, facts, self.model, self.optimizer, self.average, self.precision.scaler
        )
        self.step, self._before = facts["step"], facts["seconds"]
        self.stepper.piece = min(facts["piece"], self.batches.share)
        self.evaluation, self.best_score = facts["evaluation"], facts["best_score"]
        self.meter.restore(facts["meter"])
        if facts["unreported"]:
            self._report(stop)
            self._save()

    def _notice(self, text):
        if self.processes.first:
            self.recorder.notice(text)


def train(model, dataset, settings, *, seed=0, workers=1, log=print, every=50):
    """Train a model in place on one device, without a folder to keep anything in.

    `astro_objdet.trainings.train` does it from an archive, with checkpoints, evaluations and
    weights as a file.

    Parameters
    ----------
    model : `torch.nn.Module`
        Of torchvision's detection models, on its device.
    dataset : `torch.utils.data.Dataset`
        Pairs of a (3, h, w) float32 tensor and a dict of ``boxes`` (n, 4) float32, ``labels``
        (n,) int64 and optionally ``ignored`` (m, 4) float32. Read in its order, and from
        the beginning again at its end; it does its own shuffling.
    settings : `astro_objdet.detectors.TrainingSettings`
    seed : int
        For the sampling of anchors and proposals.
    workers : int
        Processes that prepare images.
    log : callable
        Called with a line of text every ``every`` steps.

    Returns
    -------
    `torch.nn.Module`
        The same model, in evaluation mode.

    Raises
    ------
    ModelError
        When the loss is not finite, naming the step and the images.
    ResourceError
        When memory does not suffice for a single image.
    KeyboardInterrupt
        When Ctrl-C or SIGTERM stopped it.
    """
    rhythm = Rhythm(log=every, evaluate=settings.steps, checkpoint=settings.steps)
    training = Training(
        model,
        dataset,
        settings,
        seed=seed,
        workers=workers,
        rhythm=rhythm,
        recorder=Lines(log, settings.steps),
    )
    if not training.run():
        raise KeyboardInterrupt
    return model
