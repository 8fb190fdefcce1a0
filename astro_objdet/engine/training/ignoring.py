"""Objects that are neither taught nor held against the model: the ``ignored`` boxes of a target.

A group just below the richness cut, or a cluster outside the range of redshifts, is no
background: a proposal on it must not be pushed down, and it is no example either.
"""

import types

import torch
from torchvision.ops import box_iou

__all__ = ["respect_ignored"]

#: An anchor with more than this share of its area inside an ignored box is on it.
INSIDE = 0.5


def respect_ignored(model):
    """Leave anchors and proposals on ignored boxes out of the losses, in place.

    A target may hold ``ignored`` (m, 4), float32, boxes as ``boxes`` has them. An anchor or
    proposal is on one of them if their IoU is above the background threshold, or more than
    half of its own area inside. It is then sampled neither as foreground nor as background;
    only where it overlaps a labelled box more than any ignored one does it stay foreground,
    so that a cluster in front of a group is still learned. Without ignored boxes nothing is
    computed.

    Parameters
    ----------
    model : `torchvision.models.detection.FasterRCNN`
        Calling this twice on it does no harm. Other models are left as they are.

    Returns
    -------
    `torch.nn.Module`
        The same model.
    """
    if not hasattr(model, "rpn") or hasattr(model, "respects_ignored"):
        return model
    model.respects_ignored = True
    _wrap_anchors(model.rpn)
    _wrap_proposals(model.roi_heads)
    return model


def _wrap_anchors(rpn):
    assign = rpn.assign_targets_to_anchors
    limit = rpn.proposal_matcher.low_threshold

    def assign_targets_to_anchors(anchors, targets):
        labels, matched = assign(anchors, targets)
        for number, target in enumerate(targets):
            if _any_ignored(target):
                on = _on_ignored(anchors[number], matched[number], target["ignored"], limit)
                labels[number][on] = -1
        return labels, matched

    rpn.assign_targets_to_anchors = assign_targets_to_anchors


def _wrap_proposals(heads):
    # torchvision assigns proposals without the targets: they are handed on beside it
    plain_assign, plain_select = heads.assign_targets_to_proposals, heads.select_training_samples
    limit = heads.proposal_matcher.low_threshold
    current = types.SimpleNamespace(targets=())

    def select_training_samples(proposals, targets):
        current.targets = targets if any(map(_any_ignored, targets)) else ()
        try:
            return plain_select(proposals, targets)
        finally:
            current.targets = ()

    def assign_targets_to_proposals(proposals, boxes, box_labels):
        rows, labels = plain_assign(proposals, boxes, box_labels)
        for number, target in enumerate(current.targets):
            if _any_ignored(target):
                own = boxes[number] if len(boxes[number]) else proposals[number].new_zeros(1, 4)
                own = own[rows[number]]
                on = _on_ignored(proposals[number], own, target["ignored"], limit)
                labels[number][on] = -1
        return rows, labels

    heads.select_training_samples = select_training_samples
    heads.assign_targets_to_proposals = assign_targets_to_proposals


def _any_ignored(target):
    return len(target.get("ignored", ())) > 0


def _on_ignored(boxes, matched, ignored, limit):
    """Which boxes lie on an ignored one more than on the labelled one they are matched to."""
    ignored = ignored.to(boxes.dtype)
    overlap = box_iou(boxes, ignored).amax(dim=1)
    corner = torch.maximum(boxes[:, None, :2], ignored[None, :, :2])
    far = torch.minimum(boxes[:, None, 2:], ignored[None, :, 2:])
    shared = (far - corner).clamp(min=0).prod(dim=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1, keepdim=True)
    inside = (shared > INSIDE * area).any(dim=1)
    return ((overlap > limit) | inside) & (_paired_iou(boxes, matched) <= overlap)


def _paired_iou(boxes, others):
    """IoU of each box with the one of the same row; 0 with a box of no area."""
    sides = torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])
    shared = sides.clamp(min=0).prod(dim=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (others[:, 2:] - others[:, :2]).prod(dim=1)
    return shared / (areas - shared).clamp(min=1e-6)
