"""Colours in the middle of a box, measured as a photometrist would: in apertures, by flux."""

import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import roi_align

__all__ = ["ApertureColours", "Unstretched"]

#: Sides of the apertures, relative to the middle one.
APERTURES = (0.5, 1.0, 2.0)
#: Samples along the side of the largest aperture.
SAMPLES = 48
#: Powers of the light that pixels are weighted with: the mean, by light, and by its peak.
POWERS = (0, 1, 2)
#: Flux at which magnitudes turn from logarithmic to linear, in nanomaggy per square arcsec.
SOFTENING = 0.02
#: Colours differ by less than brightness does, and tell more.
STRETCHED = 3.0


class Unstretched:
    """The image before it was stretched and normalised.

    Parameters
    ----------
    mean, std : sequence of float
        With which the image's channels were normalised.
    limits : pair of float or sequence, optional
        Flux at 0 and at 1 of a square root stretch; without it the image is flux.
    """

    def __init__(self, mean, std, limits=None):
        self.limits = limits
        self.mean, self.std = (_column(values, len(mean)) for values in (mean, std))

    def __call__(self, image):
        stretched = image.detach() * self.std.to(image) + self.mean.to(image)
        if self.limits is None:
            return stretched
        low, high = (_column(limit, len(self.mean)).to(image) for limit in self.limits)
        return stretched.square() * (high - low) + low


class ApertureColours(nn.Module):
    """Brightness and colours in three apertures about the middles of boxes.

    The galaxy in the middle of a cluster tells its redshift by colours that differ by a few
    hundredths of a magnitude, ratios of fluxes that convolutions of a stretched image find
    hard to learn. Flux is weighted by how bright a pixel is in all bands together, so that
    the sky between galaxies and a middle that is a few pixels off matter little.

    Parameters
    ----------
    core : float
        Side of the middle aperture, relative to the box.
    mean, std : sequence of float
        With which the image's channels were normalised.
    limits : pair of float or sequence, optional
        Flux at 0 and at 1 of a square root stretch; without it the image is flux.
    """

    def __init__(self, core, mean, std, limits=None):
        super().__init__()
        self.core, self.flux = core, Unstretched(mean, std, limits)
        #: Numbers for each box.
        self.count = len(APERTURES) * len(POWERS) * len(mean)

    def forward(self, image, boxes):
        """Magnitude of the first channel and the colours between neighbouring ones.

        Parameters
        ----------
        image : `torch.Tensor` (n, bands, h, w)
        boxes : list of `torch.Tensor` (m, 4)

        Returns
        -------
        `torch.Tensor` (m, count)
        """
        widest = self.core * APERTURES[-1]
        rows = torch.cat([functional.pad(b, (1, 0), value=float(k)) for k, b in enumerate(boxes)])
        centre, half = (rows[:, 1:3] + rows[:, 3:]) / 2, (rows[:, 3:] - rows[:, 1:3]) * widest / 2
        places = torch.cat([rows[:, :1], centre - half, centre + half], dim=1)
        flux = roi_align(self.flux(image), places, SAMPLES, 1.0, 1, aligned=True)
        return torch.cat([self._measured(flux, size) for size in APERTURES], dim=1)

    def _measured(self, flux, size):
        """Magnitudes and colours in one aperture, for each way to weight its pixels."""
        margin = round(SAMPLES * (1 - size / APERTURES[-1]) / 2)
        flux = flux[:, :, margin : SAMPLES - margin, margin : SAMPLES - margin].flatten(2)
        light = flux.mean(dim=1, keepdim=True).clamp(min=0) + 1e-4
        found = []
        for power in POWERS:
            weight = light**power
            mean = (flux * weight).sum(dim=2) / weight.sum(dim=2)
            magnitude = torch.asinh(mean / SOFTENING)
            found += [magnitude[:, :1] - 2, magnitude.diff(dim=1) * STRETCHED]
        return torch.cat(found, dim=1)


def _column(values, count):
    """Numbers, one for all or one per channel, as (channels, 1, 1)."""
    return torch.as_tensor(values, dtype=torch.float32).expand(count).reshape(-1, 1, 1)
