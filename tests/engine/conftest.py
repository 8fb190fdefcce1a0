"""Stand-ins for a grid of tiles and a model whose answers are known."""

import numpy as np
import pytest
import torch

from astro_objdet.images import make_tiles


class ArrayGrid:
    """A (3, y, x) array cut into tiles."""

    def __init__(self, image, size, overlap):
        self.image = image
        self.tiles = make_tiles(image.shape[1:], size, overlap)

    def read(self, tile):
        window = self.image[:, tile.y0 : tile.y1, tile.x0 : tile.x1]
        missing = np.subtract(tile.shape, window.shape[1:])
        return np.pad(window, ((0, 0), (0, missing[0]), (0, missing[1])))


class PeakModel(torch.nn.Module):
    """Boxes of 21 px on local maxima above 0.5; the score is the peak's value."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.calls = []

    def forward(self, images):
        self.calls.append(len(images))
        outputs = []
        for image in images:
            plane = image[0]
            pooled = torch.nn.functional.max_pool2d(plane[None], 9, 1, 4)[0]
            y, x = torch.nonzero((plane == pooled) & (plane > 0.5), as_tuple=True)
            centre = torch.stack([x, y, x, y], 1) + 0.5
            half = torch.tensor([-10.5, -10.5, 10.5, 10.5])
            outputs.append(
                {
                    "boxes": centre + half,
                    "scores": plane[y, x],
                    "labels": torch.ones(len(x), dtype=torch.int64),
                }
            )
        return outputs


@pytest.fixture(autouse=True)
def no_denormals():
    """Untrained networks with fixed norms fade to denormal numbers, which are slow."""
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def peak_model():
    return PeakModel().eval()


@pytest.fixture
def array_grid():
    return ArrayGrid
