"""Features of a box together with those of its surroundings, and the image in its middle."""

import torch
from torchvision.ops import MultiScaleRoIAlign, roi_align

__all__ = ["ContextRoIAlign"]

#: The name under which a backbone's feature maps hold the image itself.
IMAGE = "image"


class ContextRoIAlign(MultiScaleRoIAlign):
    """RoIAlign of each box, of the same box enlarged, and of the image in its middle.

    The members of a cluster reach several times as far as the box around its central
    galaxy; how many there are tells it from a poor group. The colours of the central galaxy
    tell its redshift, and are washed out in maps of every sixteenth pixel.

    Parameters
    ----------
    featmap_names, output_size, sampling_ratio
        As for `torchvision.ops.MultiScaleRoIAlign`.
    context : float, optional
        How many times as wide as a box its surroundings are.
    core : float, optional
        How many times as wide as a box the part of the image is that is seen as it is.
    """

    def __init__(self, featmap_names, output_size, sampling_ratio, *, context=None, core=None):
        super().__init__(featmap_names, output_size, sampling_ratio)
        self.context, self.core = context, core

    def forward(self, x, boxes, image_shapes):
        """Pooled features (n, c, h, w): of the boxes, their surroundings, and the image."""
        parts = [super().forward(x, boxes, image_shapes)]
        if self.context:
            wide = [scaled(some, self.context) for some in boxes]
            parts.append(super().forward(x, wide, image_shapes))
        if self.core:
            small = [scaled(some, self.core) for some in boxes]
            size = self.output_size
            parts.append(roi_align(x[IMAGE], small, size, sampling_ratio=4, aligned=True))
        return torch.cat(parts, dim=1)


def scaled(boxes, factor):
    """Boxes ``factor`` times as wide and high about their centres."""
    low, high = boxes[:, :2], boxes[:, 2:]
    centre, half = (low + high) / 2, (high - low) * (factor / 2)
    return torch.cat([centre - half, centre + half], dim=1)
