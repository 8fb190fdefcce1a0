"""Properties of an object, such as richness and redshift, estimated by the detection network.

They are taught so that the network learns to count members and to read colours, of poor
groups as well, and not only which of them are rich enough.
"""

import torch
from torch import nn
from torch.nn import functional
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

__all__ = ["EstimatingPredictor", "estimate_properties", "moved_boxes"]

#: Before the properties of a known box are learned it is changed by as much as a box that is found
#: is off, or else a redshift would be read from the size of the box alone: rms of its
#: centre along each axis in sides, of ln of its side, and of ln of each axis besides.
CENTRE, SIDE, AXIS = 0.03, 0.15, 0.02
#: Where the loss turns from square to absolute, in spreads of ln of a property.
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
        nn.init.zeros_(self.estimates.weight)
        nn.init.zeros_(self.estimates.bias)
        self.register_buffer("typical", torch.zeros(properties))
        self.register_buffer("spread", torch.ones(properties))

    def expect(self, typical, spread):
        """Set what estimates begin at, unless that was done, or came with weights.

        Parameters
        ----------
        typical, spread : sequence of float
            Mean of ln of the properties of the objects to learn from, and its rms.
        """
        if not self.typical.any():
            self.typical.copy_(torch.as_tensor(typical))
            self.spread.copy_(torch.as_tensor(spread))

    def estimate(self, hidden):
        """Ln of the properties (n, k) of boxes, from their hidden features (n, width)."""
        return self.typical + self.spread * self.estimates(hidden)


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
        return heads.box_predictor.typical.new_zeros((0, len(heads.box_predictor.typical)))
    pooled = heads.box_roi_pool(features, boxes, image_shapes)
    return heads.box_predictor.estimate(heads.box_head(pooled))


def _loss(heads, features, image_shapes, targets):
    """Smooth L1 in spreads, over what is known, the mean over the objects of all images."""
    empty = targets[0]["boxes"].new_zeros((0, 4))
    boxes = [moved_boxes(target.get("known", empty)) for target in targets]
    read = _estimates(heads, features, boxes, image_shapes)
    if not len(read):
        return read.sum()
    wanted = torch.cat([t["properties"] for t in targets if len(t.get("known", ()))])
    known, spread = wanted.isfinite(), heads.box_predictor.spread
    read, wanted = ((values / spread)[known] for values in (read, wanted))
    loss = functional.smooth_l1_loss(read, wanted, beta=BEND, reduction="sum")
    return loss / len(known)


def moved_boxes(boxes):
    """Boxes (n, 4) of pixels, as far off as ones that are found."""
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    grain = torch.randn_like(boxes)
    common = torch.randn_like(boxes[:, :1])
    centre = centre + CENTRE * grain[:, :2] * side
    half = side * torch.exp(SIDE * common + AXIS * grain[:, 2:]) / 2
    return torch.cat([centre - half, centre + half], dim=1)
