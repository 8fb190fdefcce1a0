"""One step: losses and gradients of a batch, in as many pieces as the memory asks for."""

import contextlib

import numpy as np
import torch

from astro_objdet.errors import AstroObjdetError, ModelError, ResourceError

__all__ = ["Stepper", "memory_errors", "out_of_memory", "step_seed"]


def step_seed(seed, *numbers):
    """Seed of torch for a step and a process: a function of their numbers alone."""
    return int(np.random.SeedSequence([seed, *numbers]).generate_state(1, np.uint64)[0])


def out_of_memory(error):
    """Whether an error says that memory ran out, on a device or on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return "can't allocate memory" in text or "out of memory" in text


@contextlib.contextmanager
def memory_errors(device):
    """Says in our words that memory ran out, where fewer images at a time do not help."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, AstroObjdetError) or not out_of_memory(error):
            raise
        raise ResourceError(
            f"{device} ran out of memory in training; use a smaller --batch-size, a smaller "
            "backbone, or --freeze more of it"
        ) from error


class Stepper:
    """Changes a model's weights by one batch at a time.

    Parameters
    ----------
    model : `torch.nn.Module`
        In training mode; returns a dict of losses.
    weights : list of `torch.nn.Parameter`
        Those that are trained.
    optimizer : `torch.optim.Optimizer`
    precision : `astro_objdet.engine.precision.Precision`
    processes : `astro_objdet.engine.training.distributed.Processes`
    seed : int
    clip_norm : float
    piece : int
        Images that go through the model together. When memory runs out it is halved, and
        the gradients of the pieces are added up: a step has the same images as before.
    notice : callable
        Told in a sentence when that happens.
    """

    def __init__(
        self, model, weights, optimizer, precision, processes, *, seed, clip_norm, piece, notice
    ):
        self.model, self.weights, self.optimizer = model, weights, optimizer
        self.precision, self.processes = precision, processes
        self.seed, self.clip_norm, self.piece, self.notice = seed, clip_norm, piece, notice

    def step(self, number, images, targets, names):
        """Losses of a batch, after the weights followed its gradient.

        Parameters
        ----------
        number : int
            Of the step; what is drawn at random in it follows from the number.
        images, targets
            As torchvision's detectors take them, on the device.
        names : callable
            Gives words for the images, for an error message.

        Returns
        -------
        dict of str to `torch.Tensor`
            Means over the images, on the device.

        Raises
        ------
        ModelError
            When the loss is not finite; the weights are as before then.
        ResourceError
            When one image alone needs more memory than there is.
        """
        while True:
            losses, full, wrong = self._try(number, images, targets)
            any_full, any_wrong = self.processes.any(full, wrong, device=self.precision.device)
            if not any_full:
                break
            self._halve(number)
        if any_wrong:
            raise ModelError(_not_finite(number, losses, names, wrong))
        self._follow_gradient(number, names)
        return losses

    def _try(self, number, images, targets):
        """Losses with gradients: (losses, memory ran out, a loss is not finite)."""
        torch.manual_seed(step_seed(self.seed, number, self.processes.rank))
        self.optimizer.zero_grad(set_to_none=True)
        try:
            return self._gradients(images, targets)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        # outside the clause, whose error keeps the tensors of the failed pass alive
        self.optimizer.zero_grad(set_to_none=True)
        if self.precision.device.type == "cuda":
            torch.cuda.empty_cache()
        return {}, True, False

    def _gradients(self, images, targets):
        sums = {}
        for start in range(0, len(images), self.piece):
            chosen = slice(start, start + self.piece)
            with self.precision.context():
                losses = self.model(images[chosen], targets[chosen])
                total = sum(losses.values())
            if not torch.isfinite(total):
                return losses, False, True
            share = len(images[chosen]) / len(images)
            self.precision.scaler.scale(total * share).backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.detach().float() * share
        return sums, False, False

    def _halve(self, number):
        if self.piece == 1:
            raise ResourceError(
                f"{self.precision.device} ran out of memory at step {number} with a single image "
                "in the model; use smaller tiles, a smaller backbone, or --freeze more of it"
            )
        self.piece = (self.piece + 1) // 2
        self.notice(
            f"memory ran out at step {number}: from here {self.piece} images go through the model "
            "at a time, and their gradients are added up, so that a step has as many as before"
        )

    def _follow_gradient(self, number, names):
        scaler = self.precision.scaler
        if self.processes.count > 1:
            self._average_gradients()
        scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.weights, self.clip_norm)
        # in half precision an overflow is in order: the scaler passes over the step
        if not scaler.is_enabled() and not torch.isfinite(norm):
            raise ModelError(f"gradient is not finite at step {number}; images: {names()}")
        scaler.step(self.optimizer)
        scaler.update()

    def _average_gradients(self):
        for weight in self.weights:
            if weight.grad is None:  # another process may have one
                weight.grad = torch.zeros_like(weight)
        self.processes.average([weight.grad for weight in self.weights])


def _not_finite(number, losses, names, ours):
    """What to say about a loss that is not finite."""
    if not ours:
        return f"loss is not finite at step {number}, in another process"
    parts = ", ".join(f"{name} {value.item():.4g}" for name, value in losses.items())
    return (
        f"loss is not finite at step {number} ({parts}); images: {names()}. Look at them; if "
        "they are sound, a lower --learning-rate may help"
    )
