"""Galaxies around a box, found as peaks of light and counted by brightness and colours."""

import math

import torch
from torch import nn
from torch.nn import functional

__all__ = ["SourceCounts", "SourceFinder"]

#: Standard deviations in pixels of the Gaussians whose difference sources stand out in, and
#: of one below and one between them, which tell stars from galaxies.
NARROW, WIDE = 1.0, 3.0
FINEST, MIDDLE = 0.5, 2.0
#: Peaks count from so many times the noise; so many per pixel at most, the brightest.
SIGNIFICANCE, DENSEST = 6.0, 5e-3
#: Flux at which brightness turns from logarithmic to linear, about the noise of faint peaks.
SOFTENING = 0.05
#: Colours differ by less than brightness does, and tell more.
STRETCHED = 3.0
#: How peaked a source is, and how wide: two numbers. Their usual values and scales.
SHAPES = 2
PEAKED, WIDTH = 1.5, 3.0
#: Distance from the middle of a box, in its sides, within which its own galaxy stands.
OWN = 0.05


class SourceFinder(nn.Module):
    """Sources near boxes, each with brightness, colours and distance; nothing is learned.

    A cluster's richness is a number of galaxies that are as red as its central one, which
    maps of every sixteenth pixel do not keep apart. These are the numbers of a catalogue:
    the peaks of an image, after what is wider than a galaxy is taken away, such
    as sky and halos.

    Parameters
    ----------
    reach : float
        Diameter of the circle around a box where sources count, relative to the box.
    flux : callable
        Gives the flux (n, bands, h, w) of a normalised image.
    bands : int
    """

    def __init__(self, reach, flux, bands):
        super().__init__()
        self.radius, self.flux = reach / 2, flux
        #: Numbers for each source near a box, and for each box.
        self.bands = bands
        self.count, self.box_count = 2 * bands + SHAPES + 3, bands + SHAPES + 2

    @torch.no_grad()
    def find(self, image, shapes):
        """Sources of images.

        Parameters
        ----------
        image : `torch.Tensor` (n, bands, h, w)
            Normalised.
        shapes : list of tuple of int
            Height and width of each; what is beyond is padding.

        Returns
        -------
        list of `torch.Tensor` (m, 2 + bands + 2)
            x and y, in pixels from the image's edge, brightness in the first band as ln, the
            colours between neighbouring ones, how peaked it is and how wide.
        """
        with torch.autocast(image.device.type, enabled=False):
            flux = self.flux(image.float())
            return [_peaks(one[:, :h, :w]) for one, (h, w) in zip(flux, shapes, strict=True)]

    @torch.no_grad()
    def forward(self, sources, boxes, shapes):
        """Pair boxes with the sources around them.

        Parameters
        ----------
        sources : list of `torch.Tensor`
            As `find` gives them.
        boxes : list of `torch.Tensor` (m, 4)
        shapes : list of tuple of int

        Returns
        -------
        pairs : `torch.Tensor` (p, count)
        owner : `torch.Tensor` (p,) int64
            The box that each pair belongs to, counted over all images.
        own : `torch.Tensor` (sum of m, box_count)
            What is known of the box: brightness, colours and shape of the galaxy in its
            middle, its side, and the share of its surroundings that is in the image.
        """
        parts, before = [], 0
        with torch.autocast(boxes[0].device.type, enabled=False):
            for some, rows, shape in zip(sources, boxes, shapes, strict=True):
                pairs, owner, own = self._paired(some, rows.float(), shape)
                parts.append((pairs, owner + before, own))
                before += len(rows)
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))

    def _paired(self, sources, boxes, shape):
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        side = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1).prod(dim=1).sqrt()
        # by products of matrices, small distances would be off by half a pixel
        plain = "donot_use_mm_for_euclid_dist"
        away = torch.cdist(centre, sources[:, :2], compute_mode=plain) / side[:, None]
        middle = _middle(sources, away)
        which, near = torch.nonzero(away < self.radius, as_tuple=True)
        # the side of a usual box is a hundred pixels, e^4.6
        size = (side.log() - 4.6)[:, None]
        far = away[which, near][:, None]
        seen = sources[near, 2:]
        unlike = (seen - middle[which])[:, : self.bands]
        pairs = torch.cat([seen, unlike, far, far.square(), size[which]], dim=1)
        inside = _share_inside(centre, side * self.radius, shape)
        return pairs, which, torch.cat([middle, size, inside[:, None]], dim=1)


class SourceCounts(nn.Module):
    """Learned kinds of sources, and how many of each are around a box.

    A small network says of each source how much it is of each kind; sums over the sources
    of a box are its counts (Zaheer et al. 2017, Deep Sets, Theorem 2). What they tell, such
    as a redshift, is told to the sources when they are counted once more.

    Parameters
    ----------
    count, box_count : int
        Of `SourceFinder`.
    kinds : int
    rounds : int
        How often sources are counted.
    """

    #: Numbers for each box.
    out_features = 64

    def __init__(self, count, box_count, kinds=64, rounds=3):
        super().__init__()
        learned = [0, *[self.out_features] * (rounds - 1)]
        parts = [_Round(count, box_count, known, kinds, self.out_features) for known in learned]
        self.rounds = nn.ModuleList(parts)

    def forward(self, pairs, owner, own):
        """What is around boxes (m, out_features), from what `SourceFinder` gives."""
        return self.in_rounds(pairs, owner, own)[-1]

    def in_rounds(self, pairs, owner, own):
        """The same after each round, a list."""
        learned = []
        for part in self.rounds:
            learned.append(part(pairs, owner, own, *learned[-1:]))
        return learned


class _Round(nn.Module):
    """Kinds of sources, their counts, and what these tell."""

    def __init__(self, count, box_count, known, kinds, width):
        super().__init__()
        self.source = nn.Linear(count, kinds)
        self.known = nn.Linear(known, kinds, bias=False) if known else None
        self.kinds = nn.Sequential(nn.GELU(), nn.Linear(kinds, kinds), nn.GELU())
        self.amount = nn.Linear(kinds, kinds)
        inputs = 2 * kinds + box_count + known
        self.read = nn.Sequential(nn.Linear(inputs, 96), nn.GELU(), nn.Linear(96, width), nn.GELU())

    def forward(self, pairs, owner, own, known=None):
        hidden = self.source(pairs)
        own = own.to(hidden.dtype)
        if known is not None:
            hidden = hidden + self.known(known)[owner]
            own = torch.cat([own, known], dim=1)
        amount = _softplus(self.amount(self.kinds(hidden)))
        counts = amount.new_zeros((len(own), amount.shape[1])).index_add(0, owner, amount)
        return self.read(torch.cat([counts.log1p() - 3, counts / 50, own], dim=1))


def _peaks(flux):
    """Sources of one image (bands, h, w), the brightest first."""
    narrow, wide = (_blurred(flux, sigma) for sigma in (NARROW, WIDE))
    light = narrow - wide
    together = light.mean(dim=0)
    noise = 1.4826 * together[::4, ::4].abs().median()
    highest = _highest_near(together)
    y, x = torch.nonzero((together == highest) & (together > SIGNIFICANCE * noise), as_tuple=True)
    most = math.ceil(DENSEST * together.numel())
    if len(x) > most:
        chosen = together[y, x].topk(most).indices
        y, x = y[chosen], x[chosen]
    bright = torch.asinh(light[:, y, x] / SOFTENING)
    places = torch.stack([x, y]) + 0.5  # of a pixel's middle
    # stars are as peaked as the PSF; a share of faint light may be any number
    finest, middle = (_blurred(flux.mean(dim=0)[None], sigma)[0] for sigma in (FINEST, MIDDLE))
    rings = finest - middle, middle - wide.mean(dim=0)
    peaked, width = (ring[y, x] / together[y, x] for ring in rings)
    shape = [peaked.clamp(-1, 4) - PEAKED, width.clamp(-1, 2) * WIDTH]
    return torch.cat(
        [places, bright[:1] - 3, -bright.diff(dim=0) * STRETCHED, torch.stack(shape)]
    ).T


def _softplus(values):
    """As torch's own, which takes ten times as long on a CPU."""
    return values.clamp(min=0) + (1 + (-values.abs()).exp()).log()


def _highest_near(values):
    """Largest of each pixel of (h, w) and its eight neighbours.

    Torch's pooling of a single channel takes fifty times as long on a CPU.
    """
    for axis in (0, 1):
        highest, inner = values.clone(), values.shape[axis] - 1
        for here, there in ((0, 1), (1, 0)):
            part = highest.narrow(axis, here, inner)
            torch.maximum(part, values.narrow(axis, there, inner), out=part)
        values = highest
    return values


def _blurred(flux, sigma):
    """Convolved with a Gaussian; what is beyond the edge is as the edge.

    Axis by axis, as a sum of shifted images: torch's convolutions take three to ten times as
    long on a CPU, where channels are few.
    """
    far = min(math.ceil(3 * sigma), *(side - 1 for side in flux.shape[1:]))
    weights = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(-far, far + 1)]
    total = sum(weights)
    weights = [weight / total for weight in weights]
    for axis, padding in ((1, (0, 0, far, far)), (2, (far, far, 0, 0))):
        side = flux.shape[axis]
        padded = functional.pad(flux[None], padding, mode="replicate")[0]
        flux = padded.narrow(axis, far, side) * weights[far]
        for step in range(far):
            both = padded.narrow(axis, step, side) + padded.narrow(axis, 2 * far - step, side)
            flux.add_(both, alpha=weights[step])
    return flux


def _middle(sources, away):
    """Brightness and colours (m, bands) of the brightest galaxy in the middle of each box."""
    if not len(sources):
        return sources.new_zeros((len(away), sources.shape[1] - 2))
    # by light squared; a source farther out stands in where there is none
    weight = 2 * sources[:, 2] - 0.5 * (away / OWN).square()
    return torch.softmax(weight, dim=1) @ sources[:, 2:]


def _share_inside(centre, radius, shape):
    """Share of the square around each centre that is inside the image."""
    edge = centre.new_tensor([shape[1], shape[0]])
    low = (centre - radius[:, None]).clamp(min=0)
    high = torch.minimum(centre + radius[:, None], edge)
    return ((high - low).clamp(min=0) / (2 * radius[:, None])).prod(dim=1)
