"""Ring galaxies by a matched filter: a detector outside of astro_objdet."""

import torch
from torch.nn import functional

from astro_objdet.detectors import Detector, Recipe

RECIPE = Recipe(
    name="rings-10px",
    detector="rings",
    reference="an example",
    bands=("i", "r", "g"),
    labels=("ring",),
    stretch={"name": "sqrt", "lower": 0.0, "upper": 4.0},
    pixel_scale=0.792,
    tile=512,
    overlap=64,
    score_threshold=0.3,
)


class RingFilter(torch.nn.Module):
    """Mean brightness on a ring, above that inside and outside of it."""

    def __init__(self, radius=10, width=1.5):
        super().__init__()
        self.radius = radius
        reach = 2 * radius
        offsets = torch.arange(-reach, reach + 1.0)
        y, x = torch.meshgrid(offsets, offsets, indexing="ij")
        r = torch.hypot(x, y)
        zones = abs(r - radius) < width, r < radius / 2, r > 1.5 * radius
        kernels = torch.stack([zone / zone.sum() for zone in zones])[:, None]
        self.kernels = torch.nn.Parameter(kernels, requires_grad=False)

    def forward(self, images):
        return [self.find(image) for image in images]

    def find(self, image):
        """Boxes (n, 4), x1, y1, x2, y2; scores (n,), 0-1; labels (n,), from 1."""
        grey = image.mean(0, keepdim=True)
        ring, inside, outside = functional.conv2d(grey, self.kernels, padding="same")
        contrast = ring - torch.maximum(inside, outside)
        size = 2 * self.radius + 1
        highest = functional.max_pool2d(contrast[None], size, 1, self.radius)[0]
        is_ring = (contrast == highest) & (contrast > 0.05)
        y, x = torch.nonzero(is_ring, as_tuple=True)
        centre = torch.stack([x, y, x, y], dim=1) + 0.5  # edges, not pixel centres
        side = torch.tensor([-1, -1, 1, 1]) * float(self.radius)
        return {
            "boxes": centre + side.to(centre),
            "scores": contrast[y, x],
            "labels": torch.ones_like(x),
        }


class RingDetector(Detector):
    """Rings of 8 arcsec radius."""

    name = "rings"
    recipes = (RECIPE,)

    def __init__(self, recipe=RECIPE, model=None, **provenance):
        super().__init__(recipe, model or RingFilter(), **provenance)

    def refine(self, detections, stack):
        """Leave out rings that reach over the border of the image."""
        _, ny, nx = stack.shape
        x1, y1, x2, y2 = detections.boxes.T
        return detections[(x1 >= 0) & (y1 >= 0) & (x2 <= nx) & (y2 <= ny)]
