"""How good a model is while it trains: losses and detections on images held back."""

import contextlib

import torch

from astro_objdet.engine.training.scoring import ImageResult
from astro_objdet.engine.training.steps import step_seed

__all__ = ["LOSSES", "assess"]

#: torchvision's losses in the order and with the names of paper I's Table A1.
LOSSES = {
    "loss_objectness": "rpn_objectness",
    "loss_rpn_box_reg": "rpn_box",
    "loss_classifier": "dn_classification",
    "loss_box_reg": "dn_box",
    "loss_estimates": "dn_estimates",
}


@torch.no_grad()
def assess(model, images, rows, *, seed, precision, processes, stop=None):
    """Losses and detections on images that training does not see.

    Parameters
    ----------
    model : `torchvision.models.detection.FasterRCNN`
        Left in training mode.
    images : sequence
        Pairs of a (3, h, w) tensor and a target.
    rows : sequence of int
        Which of them; the processes share them.
    seed : int
        The anchors and proposals that a loss is of follow from it and the image alone, so
        that evaluations can be compared.
    precision, processes
        Of the run.
    stop : callable, optional
        Whether to give up; a half evaluation is none.

    Returns
    -------
    losses : dict of str to float
        Means over the images.
    results : list of `ImageResult`
        In the order of ``rows``; None if it was stopped.
    """
    device, found, stopped = precision.device, [], False
    with _evaluating(model):
        for row in rows[processes.rank :: processes.count]:
            if stop is not None and stop():
                stopped = True
                break
            image, target = images[row]
            tensors = {k: v.to(device) for k, v in target.items() if isinstance(v, torch.Tensor)}
            torch.manual_seed(step_seed(seed, 0, row))
            with precision.context():
                losses, boxes = _losses_and_boxes(model, [image.to(device)], [tensors])
            values = torch.stack([value.float() for value in losses.values()]).tolist()
            losses = dict(zip(losses, values, strict=True))
            found.append((row, losses, ImageResult.of(row, boxes[0], target)))
    (stopped,) = processes.any(stopped, device=device)
    if stopped:
        return {}, None
    found = sorted(sum(processes.gather(found), []), key=lambda one: one[0])
    names = found[0][1] if found else ()
    means = {name: sum(losses[name] for _, losses, _ in found) / len(found) for name in names}
    return means, [result for _, _, result in found]


@contextlib.contextmanager
def _evaluating(model):
    model.eval()
    try:
        yield
    finally:
        model.train()


def _losses_and_boxes(model, images, targets):
    """Both from one pass through the backbone, which takes most of the time."""
    sizes = [tuple(image.shape[-2:]) for image in images]
    batch, targets = model.transform(images, targets)
    features = model.backbone(batch.tensors)
    model.rpn.train()
    proposals, losses = model.rpn(batch, features, targets)
    model.roi_heads.train()
    _, more = model.roi_heads(features, list(proposals), batch.image_sizes, targets)
    model.rpn.eval()
    model.roi_heads.eval()
    boxes, _ = model.roi_heads(features, proposals, batch.image_sizes)
    return losses | more, model.transform.postprocess(boxes, batch.image_sizes, sizes)
