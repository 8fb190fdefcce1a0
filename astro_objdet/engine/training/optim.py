"""What changes the weights: optimizer, learning rate, clipping, and an average of the weights."""

import contextlib
import math
from itertools import chain

import torch

from astro_objdet.errors import InputError

__all__ = [
    "WeightAverage",
    "backbone_stages",
    "freeze",
    "make_optimizer",
    "rate_and_momentum",
    "set_rate",
]

# Of torch's OneCycleLR: share of the steps that rise, first and last rate, range of momentum.
RISE = 0.1
FIRST, LAST = 1 / 25, 1 / 25e4
MOMENTUM = (0.85, 0.95)


def freeze(model, stages):
    """Stop the gradient for the first stages of a model's backbone.

    Parameters
    ----------
    model : `torch.nn.Module`
        With ``backbone.body``; another is left as it is for ``stages=0``.
    stages : int
        Counted from the image, each ends with a map of half the size; -1 for all.

    Raises
    ------
    InputError
        For more stages than there are.
    """
    if stages == 0:
        return
    layers = backbone_stages(model.backbone.body)
    if stages > len(layers):
        raise InputError(
            f"freeze_stages (--freeze) must be at most {len(layers)} with this backbone "
            f"(-1 for all of it), got {stages}"
        )
    for layer in chain.from_iterable(layers if stages < 0 else layers[:stages]):
        layer.requires_grad_(False)


def backbone_stages(body):
    """Layers of a backbone in lists, one for each stage that timm can take a map from.

    Without timm's description each layer is a stage.
    """
    layers = []
    for name, child in body.named_children():
        nested = isinstance(child, (torch.nn.Sequential, torch.nn.ModuleList))
        parts = child.named_children() if nested and name == "blocks" else [("", child)]
        layers += [(f"{name}.{part}".strip("."), layer) for part, layer in parts]
    told = getattr(body, "feature_info", None)
    # names of modules are flattened in some of timm's models
    ends = {i["module"].replace(".", "_") for i in told.info} if told else {n for n, _ in layers}
    stages = [[]]
    for name, layer in layers:
        stages[-1].append(layer)
        if name.replace(".", "_") in ends:
            stages.append([])
    if rest := stages.pop():
        stages[-1] += rest
    return stages


def make_optimizer(weights, settings, backbone=()):
    """The optimizer that settings name.

    Parameters
    ----------
    weights : list of `torch.nn.Parameter`
    settings : `astro_objdet.detectors.TrainingSettings`
    backbone : iterable of `torch.nn.Parameter`
        Those of them that change at ``backbone_rate`` times the learning rate.
    """
    slow = {id(weight) for weight in backbone} if settings.backbone_rate != 1 else set()
    parts = (
        ([weight for weight in weights if id(weight) not in slow], 1.0),
        ([weight for weight in weights if id(weight) in slow], settings.backbone_rate),
    )
    weights = [{"params": part, "factor": factor} for part, factor in parts if part]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            weights,
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
    return torch.optim.AdamW(
        weights, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )


def rate_and_momentum(settings, step):
    """Learning rate of a step, and momentum where the schedule changes it.

    A function of the step's number, so that a resumed run needs no state for it.

    Parameters
    ----------
    settings : `astro_objdet.detectors.TrainingSettings`
    step : int
        From 1.

    Returns
    -------
    rate : float
    momentum : float or None
        SGD's momentum, or the first beta of AdamW; None leaves it as it is.
    """
    peak, done = settings.learning_rate, step - 1
    if settings.schedule == "constant":
        return peak, None
    if settings.schedule == "cosine":
        return _anneal(peak, 0.0, done / settings.steps), None
    top = RISE * settings.steps - 1
    if done <= top:
        way = done / top if top else 1.0
        return _anneal(FIRST * peak, peak, way), _anneal(*reversed(MOMENTUM), way)
    way = (done - top) / (settings.steps - 1 - top)
    return _anneal(peak, LAST * peak, way), _anneal(*MOMENTUM, way)


def _anneal(start, end, way):
    """From start to end along half a cosine; way from 0 to 1."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * way))


def set_rate(optimizer, settings, step):
    """Set an optimizer for a step; returns the learning rate."""
    rate, momentum = rate_and_momentum(settings, step)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif momentum is not None:
            group["momentum"] = momentum
    return rate


class WeightAverage:
    """Exponential moving average of weights.

    The decay rises from 0.1 to the one asked for as (1 + n) / (10 + n), so that the first
    weights do not linger.

    Parameters
    ----------
    weights : list of `torch.nn.Parameter`
    decay : float
        From 0 to below 1.
    """

    def __init__(self, weights, decay):
        self.weights, self.decay = weights, decay
        self.values = [weight.detach().clone() for weight in weights]

    @torch.no_grad()
    def update(self, step):
        """Take in the weights after a step, by its number from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, [w.data for w in self.weights], 1 - decay)

    @contextlib.contextmanager
    def in_place(self):
        """The model has the average in place of its weights."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def swap(self):
        """Exchange the weights and their average."""
        for number, weight in enumerate(self.weights):
            weight.data, self.values[number] = self.values[number], weight.data
