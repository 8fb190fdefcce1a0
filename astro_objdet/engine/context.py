"""Features of a box together with those of its surroundings."""

import torch
from torchvision.ops import MultiScaleRoIAlign

__all__ = ["ContextRoIAlign"]


class ContextRoIAlign(MultiScaleRoIAlign):
    """RoIAlign of each box, and of the same box enlarged about its centre.

    The members of a cluster reach several times as far as the box around its central
    galaxy; how many there are tells it from a poor group.

    Parameters
    ----------
    featmap_names, output_size, sampling_ratio
        As for `torchvision.ops.MultiScaleRoIAlign`.
    context : float
        How many times as wide the surroundings are.
    """

    def __init__(self, featmap_names, output_size, sampling_ratio, *, context):
        super().__init__(featmap_names, output_size, sampling_ratio)
        self.context = context

    def forward(self, x, boxes, image_shapes):
        """Pooled features (n, 2c, h, w): of the boxes, then of their surroundings."""
        near = super().forward(x, boxes, image_shapes)
        wide = super().forward(x, [self._enlarged(some) for some in boxes], image_shapes)
        return torch.cat([near, wide], dim=1)

    def _enlarged(self, boxes):
        low, high = boxes[:, :2], boxes[:, 2:]
        centre, half = (low + high) / 2, (high - low) * (self.context / 2)
        return torch.cat([centre - half, centre + half], dim=1)
