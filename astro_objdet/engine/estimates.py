"""Properties of an object, such as richness and redshift, estimated by the detection network.

They are taught so that the network learns to count members and to read colours, of poor
groups as well, and not only which of them are rich enough.
"""

import torch
from torch import nn
from torch.nn import functional
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

__all__ = ["EstimatingPredictor", "estimate_properties"]

#: Rms by which a known box is moved, and ln of its side changed, before its properties are
#: learned: by as much as a box that is found is off.
JITTER = 0.06
#: Where the loss turns from square to absolute, in ln of a property.
BEND = 0.25


class EstimatingPredictor(FastRCNNPredictor):
    """torchvision's last layers of the detection network, with one more for properties.

    Parameters
    ----------
    width : int
        Of the features.
    classes : int
        With the background.
    properties : int
    """

    def __init__(self, width, classes, properties):
        super().__init__(width, classes)
        self.estimates = nn.Linear(width, properties)
        # ln of a property is near 0; what is learned begins as an unbiased guess
        nn.init.zeros_(self.estimates.weight)
        nn.init.zeros_(self.estimates.bias)


def estimate_properties(heads):
    """Let a model's heads learn and return ln of properties, in place.

    In training a target may hold ``known`` (m, 4), boxes of all objects of which anything is known,
    whatever they count as, and ``properties`` (m, k), ln of their values, NaN where not known:
    there is one more loss then, ``loss_estimates``. Detections hold ``estimates``
    (n, k), read off the boxes that are found.

    Parameters
    ----------
    heads : `torchvision.models.detection.roi_heads.RoIHeads`
        With an `EstimatingPredictor`.
    """
    plain = heads.forward

    def forward(features, proposals, image_shapes, targets=None):
        found, losses = plain(features, proposals, image_shapes, targets)
        if heads.training:
            losses["loss_estimates"] = _loss(heads, features, image_shapes, targets)
            return found, losses
        boxes = [one["boxes"] for one in found]
        read = _estimates(heads, features, boxes, image_shapes)
        for one, part in zip(found, read.split([len(b) for b in boxes]), strict=True):
            one["estimates"] = part.float()
        return found, losses

    heads.forward = forward


def _estimates(heads, features, boxes, image_shapes):
    if not sum(map(len, boxes)):
        layer = heads.box_predictor.estimates
        return layer.weight.new_zeros((0, layer.out_features))
    pooled = heads.box_roi_pool(features, boxes, image_shapes)
    return heads.box_predictor.estimates(heads.box_head(pooled))


def _loss(heads, features, image_shapes, targets):
    """Smooth L1 over what is known, the mean over the objects of all images."""
    empty = targets[0]["boxes"].new_zeros((0, 4))
    boxes = [_moved(target.get("known", empty)) for target in targets]
    read = _estimates(heads, features, boxes, image_shapes)
    if not len(read):
        return read.sum()
    wanted = torch.cat([t["properties"] for t in targets if len(t.get("known", ()))])
    known = wanted.isfinite()
    loss = functional.smooth_l1_loss(read[known], wanted[known], beta=BEND, reduction="sum")
    return loss / len(wanted)


def _moved(boxes):
    """Boxes as far off as ones that are found."""
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    grain = torch.randn_like(boxes) * JITTER
    centre = centre + grain[:, :2] * side
    half = side * torch.exp(grain[:, 2:]) / 2
    return torch.cat([centre - half, centre + half], dim=1)
