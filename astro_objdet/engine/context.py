"""A detection network that sees a box, its surroundings, and the galaxies in both."""

import math

import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import MultiScaleRoIAlign, roi_align

from astro_objdet.engine.sources import SourceCounts

__all__ = ["ContextHead", "ContextRoIAlign"]

#: The name under which a backbone's feature maps hold the image itself.
IMAGE = "image"
#: And the sources found in it.
SOURCES = "sources"
#: Channels that the features of a box, and of its surroundings, are reduced to.
REDUCED = 48
#: torchvision takes the map of stride 16 for boxes of this side, and others by powers of two.
USUAL_SIDE, USUAL_STRIDE = 224.0, 16


class ContextRoIAlign(MultiScaleRoIAlign):
    """RoIAlign of each box and of the same box enlarged, and colours of what is in its middle.

    The members of a cluster reach several times as far as the box around its central
    galaxy; how many there are tells it from a poor group. The colours of the central galaxy
    tell its redshift, and are washed out in maps of every sixteenth pixel.

    Parameters
    ----------
    featmap_names, output_size, sampling_ratio
        As for `torchvision.ops.MultiScaleRoIAlign`.
    strides : sequence of int
        Of the maps.
    context : float
        How many times as wide as a box its surroundings are.
    colours : `ApertureColours`, optional
    sources : `SourceFinder`, optional
    """

    def __init__(
        self,
        featmap_names,
        output_size,
        sampling_ratio,
        *,
        strides,
        context,
        colours=None,
        sources=None,
    ):
        super().__init__(featmap_names, output_size, sampling_ratio)
        self.strides, self.context = tuple(strides), context
        self.colours, self.sources = colours, sources

    def forward(self, x, boxes, image_shapes):
        """Features of boxes, as `ContextHead` takes them.

        Parameters
        ----------
        x : dict of str to `torch.Tensor`
            Feature maps (n, c, h, w), and the image (n, 3, h, w) where colours or sources are
            seen. Its sources are kept here, since boxes of the same image come several times.
        boxes : list of `torch.Tensor` (m, 4)
        image_shapes : list of tuple of int
            Height and width without padding.

        Returns
        -------
        dict of str to `torch.Tensor`
            ``near`` and ``wide``, the box's and its surroundings' (m, c, size, size); ``colours``
            (m, k); ``sources``, what `SourceFinder` gives.
        """
        wide = [scaled(b, self.context) for b in boxes]
        parts = {"near": self._pooled(x, boxes), "wide": self._pooled(x, wide)}
        if self.colours is not None:
            parts["colours"] = self.colours(x[IMAGE], boxes)
        if self.sources is not None:
            if SOURCES not in x:
                x[SOURCES] = self.sources.find(x[IMAGE], image_shapes)
            parts["sources"] = self.sources(x[SOURCES], boxes, image_shapes)
        return parts

    def _pooled(self, x, boxes):
        """As torchvision's, but for half a cell: the first cell of a map is half a stride in."""
        maps = [x[name] for name in self.featmap_names]
        rows = [functional.pad(b, (1, 0), value=float(k)) for k, b in enumerate(boxes)]
        rows = torch.cat(rows)
        level = self._level(rows[:, 1:])
        pooled = rows.new_zeros((len(rows), maps[0].shape[1], *self.output_size))
        for number, (part, stride) in enumerate(zip(maps, self.strides, strict=True)):
            here = torch.nonzero(level == number).squeeze(1)
            found = roi_align(
                part, rows[here], self.output_size, 1 / stride, self.sampling_ratio, aligned=True
            )
            pooled = pooled.index_put((here,), found.to(pooled.dtype))
        return pooled

    def _level(self, boxes):
        """Number of the map that a box is read from, by its size."""
        side = torch.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        usual = math.log2(USUAL_STRIDE) - math.log2(self.strides[0])
        level = torch.floor(usual + torch.log2(side / USUAL_SIDE + 1e-6))
        return level.clamp(0, len(self.strides) - 1)


class ContextHead(nn.Module):
    """Two hidden layers over what `ContextRoIAlign` gives.

    The features of a box, and of its surroundings, come at any size of numbers. They are
    normalised, and their scale is an input of its own: with large inputs a single step of
    training can end a hidden unit for good.

    Parameters
    ----------
    channels, size : int
        Of the pooled features.
    width : int
        Of both hidden layers.
    colours : int
        Number of colours; 0 for none.
    sources : pair of int, optional
        Numbers for each source and for each box, of `SourceFinder`.
    """

    def __init__(self, channels, size, width, colours=0, sources=None):
        super().__init__()
        self.near, self.wide = _Reduced(channels), _Reduced(channels)
        self.colours = None
        self.sources = SourceCounts(*sources) if sources else None
        if colours:
            layers = nn.Linear(colours, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU()
            self.colours = nn.Sequential(*layers)
        inputs = 2 * (REDUCED * size**2 + 1) + (64 if colours else 0)
        # the sources come last: weights that know none of them are widened, see `widened`
        inputs += self.sources.out_features if sources else 0
        self.fc6 = nn.Linear(inputs, width)
        self.fc7 = nn.Linear(width, width)

    def forward(self, parts):
        """Hidden features (m, width) of boxes."""
        seen = [self.near(parts["near"]), self.wide(parts["wide"])]
        if self.colours is not None:
            seen.append(self.colours(parts["colours"]))
        if self.sources is not None:
            seen.append(self.sources(*parts["sources"]))
        hidden = functional.gelu(self.fc6(torch.cat(seen, dim=1)))
        return functional.gelu(self.fc7(hidden))


class _Reduced(nn.Module):
    """Pooled features (m, c, h, w), normalised box by box, in fewer channels: (m, n)."""

    def __init__(self, channels):
        super().__init__()
        self.reduce = nn.Conv2d(channels, REDUCED, 1)

    def forward(self, pooled):
        rms = pooled.pow(2).mean(dim=(1, 2, 3), keepdim=True).add(1e-6).sqrt()
        reduced = functional.gelu(self.reduce(pooled / rms))
        return torch.cat([reduced.flatten(1), rms.log().flatten(1)], dim=1)


def scaled(boxes, factor):
    """Boxes ``factor`` times as wide and high about their centres."""
    low, high = boxes[:, :2], boxes[:, 2:]
    centre, half = (low + high) / 2, (high - low) * (factor / 2)
    return torch.cat([centre - half, centre + half], dim=1)
