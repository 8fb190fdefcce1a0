"""Galaxies and stars drawn in several bands at once, with GalSim's profiles.

GalSim evaluates a galaxy's Fourier transform once; times the transforms of the
bands' PSFs, it gives the stamps of all bands. That is noiseless, and faster than
shooting photons for faint galaxies too. A star is a Moffat profile integrated
over its pixels, which holds from the core to the faintest wings of a bright one.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import scipy.fft
from scipy.special import gamma, gammaincinv

from astro_objdet.errors import InputError, ResourceError

try:
    import galsim
except ImportError as err:
    raise ResourceError('drawing skies needs GalSim: pip install "astro-objdet[simulate]"') from err

__all__ = ["SERSIC_INDICES", "Sources", "draw_sources", "moffat_profile"]

#: Sersic indices are rounded to these, since each costs GalSim a table.
SERSIC_INDICES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
# A source ends where its surface brightness falls below this share of the sky noise.
_LIMIT = 0.005
# Galaxies end at so many semi-major axes of half the light, and have all their flux
# within; SDSS's de Vaucouleurs profiles end at 8.
_END = 8.5
# Sides of the Fourier transforms; larger ones up to the largest are made to measure.
_SIZES = (32, 48, 64, 96, 128, 192, 256, 384, 512)
_LARGEST = 3072
# nodes and weights of Gauss and Legendre's quadrature over a pixel
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)


@dataclass
class Sources:
    """Point and extended sources of a field, one row each.

    Attributes
    ----------
    x, y : `numpy.ndarray` (n,), float
        Centre in pixels; the centre of the first pixel is 0.
    flux : `numpy.ndarray` (n, band), float
        Total flux in nanomaggy.
    radius : `numpy.ndarray` (n,), float
        Half-light radius of the major axis in arcsec; 0 for a star.
    axis_ratio, angle : `numpy.ndarray` (n,), float
        Minor to major axis, and angle of the major axis from +x in radians.
    index : `numpy.ndarray` (n,), float
        Sersic index; 0 for a star.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    radius: np.ndarray
    axis_ratio: np.ndarray
    angle: np.ndarray
    index: np.ndarray

    def __len__(self):
        return len(self.x)

    @classmethod
    def join(cls, parts):
        """One set of sources from several, in their order."""
        names = cls.__dataclass_fields__
        return cls(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})

    @property
    def stars(self):
        """True for point sources, `numpy.ndarray` (n,) of bool."""
        return (self.index <= 0) | (self.radius <= 0)


def draw_sources(sources, shape, survey):
    """Noiseless image of the sources, in surface brightness.

    Parameters
    ----------
    sources : `Sources`
        What to draw; sources off the image are drawn as far as they reach in.
    shape : tuple of int
        (ny, nx) of the image.
    survey : `~astro_objdet.skies.conditions.Survey`
        Pixel scale, PSF, and the noise that says where a source ends.

    Returns
    -------
    `numpy.ndarray` (band, ny, nx), float32
        Nanomaggy per square arcsec. Nothing in it is random.

    Raises
    ------
    InputError
        If the sources have another number of bands, or values that are not finite.
    """
    flux = np.asarray(sources.flux)
    if flux.shape != (len(sources), len(survey.bands)):
        raise InputError(
            f"sources must have a flux in each of the bands {', '.join(survey.bands)}: expected "
            f"shape {(len(sources), len(survey.bands))}, got {flux.shape}"
        )
    for name in Sources.__dataclass_fields__:
        if not np.isfinite(getattr(sources, name)).all():
            raise InputError(f"{name} of the sources must be finite numbers")
    image = np.zeros((len(survey.bands), *shape), dtype=np.float32)
    optics = _Optics.of(survey)
    for row, star in enumerate(sources.stars):
        (_draw_star if star else _draw_galaxy)(image, sources, row, optics)
    return image


def moffat_profile(radius2, fwhm, beta):
    """Surface brightness of a Moffat profile of unit flux.

    Parameters
    ----------
    radius2 : array
        Squared distance from the centre in square arcsec.
    fwhm, beta : float
        Full width at half maximum in arcsec, exponent.

    Returns
    -------
    array
        Per square arcsec.
    """
    core2 = (fwhm / 2) ** 2 / (2 ** (1 / beta) - 1)
    return (beta - 1) / (math.pi * core2) * (1 + radius2 / core2) ** -beta


@dataclass
class _Optics:
    """What drawing needs of a survey, made once per image."""

    scale: float
    fwhm: np.ndarray
    beta: float
    limits: np.ndarray
    transforms: dict = field(default_factory=dict)

    @classmethod
    def of(cls, survey):
        limits = _LIMIT * np.asarray(survey.noise)
        return cls(survey.pixel_scale, np.asarray(survey.optical_fwhm()), survey.psf_beta, limits)

    @property
    def samples(self):
        """Samples per pixel that the PSF needs: some three in its FWHM."""
        return max(1, math.ceil(3 * self.scale / self.fwhm.min() - 0.3))

    def moffat_reach(self, flux):
        """Radius in arcsec where the light of a point source falls below the limits."""
        core2 = (self.fwhm / 2) ** 2 / (2 ** (1 / self.beta) - 1)
        ratio = flux / self.limits * (self.beta - 1) / (math.pi * core2)
        return math.sqrt((core2 * (np.maximum(ratio, 1) ** (1 / self.beta) - 1)).max())

    def psf_transforms(self, size):
        """Transforms of the bands' PSFs and the pixel on half a plane, (band, ky, kx)."""
        if size in self.transforms:
            return self.transforms[size]
        pixel = galsim.Pixel(self.scale)
        psfs = [galsim.Convolve(galsim.Moffat(beta=self.beta, fwhm=f), pixel) for f in self.fwhm]
        images = [self.transform(psf, size).real.astype(np.float32) for psf in psfs]
        if size <= _SIZES[-1]:
            self.transforms[size] = images
        return images

    def transform(self, profile, size):
        """Fourier transform of a GalSim profile on half a plane, zero frequency first."""
        bounds = galsim.BoundsI(0, size // 2, -size // 2, size // 2 - 1)
        step = 2 * math.pi / (size * self.scale / self.samples)
        plane = profile.drawKImage(bounds=bounds, scale=step, recenter=False).array
        if size > 2 * _SIZES[-1]:
            # large ones are diffuse: single precision does, in half of the time
            plane = plane.astype(np.complex64)
        return np.roll(plane, -(size // 2), axis=0)


@lru_cache(maxsize=64)
def _sersic_constants(index):
    """b, and central surface brightness of unit flux and unit half-light radius."""
    b = gammaincinv(2 * index, 0.5)
    return b, b ** (2 * index) / (2 * math.pi * index * gamma(2 * index))


def _sersic_reach(ratio, radius, axis_ratio, index):
    """Semi-major axis in arcsec where flux / limit = ``ratio`` falls below the limit."""
    b, centre = _sersic_constants(index)
    ratio = ratio * centre / (radius**2 * axis_ratio)
    return radius * (math.log(max(ratio, 1.0)) / b) ** index


def stamp_around(image, x, y, half):
    """Slices of the rows and columns within ``half`` pixels of (x, y), None off the image."""
    _, ny, nx = image.shape
    x0, x1 = max(0, math.floor(x - half)), min(nx, math.ceil(x + half) + 1)
    y0, y1 = max(0, math.floor(y - half)), min(ny, math.ceil(y + half) + 1)
    return (slice(y0, y1), slice(x0, x1)) if x0 < x1 and y0 < y1 else None


def _draw_star(image, sources, row, optics):
    """Add a point source, integrated over its pixels."""
    scale, flux = optics.scale, sources.flux[row]
    half = math.ceil(max(optics.moffat_reach(flux) / scale, 2))
    x, y = float(sources.x[row]), float(sources.y[row])
    window = stamp_around(image, math.floor(x), math.floor(y), half)
    if window is None:
        return
    dy2, dx2 = (
        [((np.arange(part.start, part.stop) - centre + t / 2) * scale) ** 2 for t in _NODES]
        for part, centre in zip(window, (y, x), strict=True)
    )
    for band, fwhm in enumerate(optics.fwhm):
        stamp = 0
        for v, weight_y in zip(dy2, _WEIGHTS, strict=True):
            for u, weight_x in zip(dx2, _WEIGHTS, strict=True):
                profile = moffat_profile(v[:, None] + u, fwhm, optics.beta)
                stamp = stamp + weight_x * weight_y / 4 * profile
        image[band][window] += flux[band] * stamp


def _draw_galaxy(image, sources, row, optics):
    """Add a Sersic profile by one Fourier transform for all bands."""
    scale, flux, samples = optics.scale, sources.flux[row], optics.samples
    index = min(SERSIC_INDICES, key=lambda n: abs(n - sources.index[row]))
    q = float(np.clip(sources.axis_ratio[row], 0.05, 1))
    largest = (_LARGEST // samples // 2 - 2) * scale
    radius = min(float(sources.radius[row]), largest / 2)
    end = min(_END * radius, largest)
    visible = _sersic_reach(np.max(flux / optics.limits), radius, q, index)
    reach = max(min(visible, end), optics.moffat_reach(flux), 4 * scale)
    half = math.ceil(min(reach, largest) / scale)
    x, y = float(sources.x[row]), float(sources.y[row])
    window = stamp_around(image, math.floor(x), math.floor(y), half)
    if window is None:
        return
    dy, dx = (
        np.arange(part.start, part.stop) - math.floor(centre)
        for part, centre in zip(window, (y, x), strict=True)
    )
    round_ = math.sqrt(q)
    profile = galsim.Sersic(n=index, half_light_radius=radius * round_, trunc=end * round_)
    profile = profile.shear(q=q, beta=float(sources.angle[row]) * galsim.radians)
    profile = profile.shift((x % 1) * scale, (y % 1) * scale)
    size = _transform_size((2 * half + 1) * samples)
    transform = optics.transform(profile, size)
    rows, columns = (dy * samples % size)[:, None], dx * samples % size
    for band, psf in enumerate(optics.psf_transforms(size)):
        stamp = scipy.fft.irfft2(transform * psf, s=(size, size), overwrite_x=True)
        image[band][window] += stamp[rows, columns] * (flux[band] * (samples / scale) ** 2)


def _transform_size(samples):
    """Even side of a Fourier transform of at least that many samples."""
    for size in _SIZES:
        if samples <= size:
            return size
    return 2 * scipy.fft.next_fast_len(math.ceil(samples / 2), real=True)
