"""One explicit training loop for a recipe's model."""

import time

import torch
from torch.utils.data import DataLoader

from astro_objdet.engine.fasterrcnn import initialise_as_paper
from astro_objdet.errors import ModelError, check_choice

__all__ = ["train"]


def train(model, dataset, settings, *, seed=0, workers=1, log=print, every=50):
    """Train a model in place on one device.

    Parameters
    ----------
    model : `torchvision.models.detection.FasterRCNN`
    dataset : `torch.utils.data.Dataset`
        Pairs of a (3, h, w) float32 tensor and a dict of ``boxes`` (n, 4) float32
        and ``labels`` (n,) int64. Read in its order; it does its own shuffling.
    settings : `astro_objdet.detectors.TrainingSettings`
    seed : int
        For the sampling of anchors and proposals.
    workers : int
        Processes that prepare images.
    log : callable
        Called with a line of text every ``every`` steps.

    Raises
    ------
    ModelError
        When the loss is not finite, naming the step.
    """
    torch.manual_seed(seed)
    if settings.initialisation == "paper":
        initialise_as_paper(model)
    _freeze(model.backbone.body, settings.freeze_stages)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer, scheduler = _optimizer(weights, settings)
    loader = DataLoader(
        dataset,
        batch_size=settings.batch_size,
        num_workers=workers,
        collate_fn=lambda batch: tuple(zip(*batch, strict=True)),
        drop_last=True,
    )
    device = weights[0].device
    # convolutions over channels-last images are a quarter faster, on CPU too
    model.backbone.to(memory_format=torch.channels_last)
    model.train()
    start, sums = time.monotonic(), {}
    for step, (images, targets) in enumerate(loader, start=1):
        images = [image.to(device) for image in images]
        targets = [{k: v.to(device) for k, v in t.items()} for t in targets]
        losses = model(images, targets)
        total = sum(losses.values())
        if not torch.isfinite(total):
            raise ModelError(f"loss is not finite at step {step}: {losses}")
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(weights, settings.clip_norm)
        optimizer.step()
        scheduler.step()
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item() / every
        if step % every == 0:
            parts = " ".join(f"{name} {value:.4f}" for name, value in sums.items())
            elapsed = time.monotonic() - start
            log(f"step {step}/{settings.steps} {elapsed:.0f} s {parts}")
            sums = {}
        if step == settings.steps:
            break
    model.eval()
    return model


def _freeze(body, stages):
    """Stop the gradient for the first ``stages`` layers and blocks of the backbone."""
    layers = []
    for child in body.children():
        nested = isinstance(child, (torch.nn.Sequential, torch.nn.ModuleList))
        layers += list(child) if nested else [child]
    for layer in layers if stages < 0 else layers[:stages]:
        layer.requires_grad_(False)


def _optimizer(weights, settings):
    check_choice("optimizer", settings.optimizer, ("adamw", "sgd"))
    check_choice("schedule", settings.schedule, ("constant", "one-cycle"))
    if settings.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            weights,
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
    else:
        optimizer = torch.optim.AdamW(
            weights, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
    if settings.schedule == "constant":
        return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=settings.learning_rate, total_steps=settings.steps
    )
