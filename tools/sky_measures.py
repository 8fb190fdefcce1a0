"""What `compare_sky.py` measures: catalogues of the rendered sky, images, published numbers."""

from dataclasses import dataclass

import numpy as np
from astropy.convolution import Gaussian2DKernel, convolve_fft
from astropy.stats import mad_std
from photutils.segmentation import SourceCatalog, detect_sources
from scipy.ndimage import binary_dilation, map_coordinates
from scipy.optimize import least_squares

from astro_objdet.skies.artefacts import add_noise
from astro_objdet.skies.drawing import draw_sources
from astro_objdet.skies.populations.field import field_galaxies
from astro_objdet.skies.populations.haloes import LargeScale, draw_haloes
from astro_objdet.skies.populations.members import cluster_galaxies
from astro_objdet.skies.simulate import SURVEYS, render_field

#: Galaxies per square degree brighter than a magnitude, band, where it was counted.
PUBLISHED_BRIGHTER = (
    ("r", 17.77, 90, "SDSS spectroscopic targets (Strauss et al. 2002)"),
    ("r", 21.0, 2959, "SDSS DR16, model magnitudes, 16 deg2 around RA 150, Dec 2"),
    ("r", 21.25, 3370, "SDSS commissioning (Yasuda et al. 2001), Table 2, sum of its bins"),
    ("i", 24.0, 75600, "VIRMOS 0226-04 (McCracken et al. 2003), 90,729 on 1.2 deg2"),
)
#: i magnitude and log10 of galaxies per mag and square degree: COSMOS2020
#: (Weaver et al. 2022, Table 2, Farmer).
COSMOS2020 = np.array(
    [
        np.arange(19.25, 24.3, 0.5),
        [3.01, 3.23, 3.44, 3.64, 3.85, 4.03, 4.21, 4.38, 4.54, 4.71, 4.86],
    ]
)
BANDS = ("g", "r", "i")
SDSS_PIXEL = 0.396
#: The viewer's softening in nanomaggy per pixel of 0.262 arcsec for its red, green, blue plane.
SOFTENING = np.array([0.025, 0.01385, 0.0066])
I_TO_Z = 1.26
DES_SCALE, VIEWER_PIXEL, DES_CENTER = 0.45, 0.262, (29.3, -58.35)


def bahcall_soneira(longitude, latitude, v):
    """Stars per square degree brighter than V (Bahcall & Soneira 1980, Eq. B1).

    Their fit to their model: 15 per cent, from 20 degrees of latitude.
    """
    l_, b = np.radians(longitude), np.radians(abs(latitude))
    mu = np.clip(0.0075 * (v - 12) + 0.03, 0.03, 0.09)
    gamma = np.clip(0.04 * (12 - v) + 0.36, 0.04, 0.36)
    towards = np.cos(b) * np.cos(l_)
    disc = 925 * 10 ** (0.035 * (v - 15.75)) / (1 + 10 ** (-0.132 * (v - 15.75))) ** 3
    disc /= (np.sin(b) - mu * towards) ** (3 - 5 * gamma)
    halo = 1050 * 10 ** (0.087 * (v - 17.5)) / (1 + 10 ** (-0.18 * (v - 17.5))) ** 2.5
    return disc + halo / (1 - towards) ** (1.45 - 0.2 * towards)


def magnitudes(sources):
    """(g, r, i) of whole galaxies, (3, n): parts that share a centre are summed."""
    # knots of spiral arms, the only round ones: a fifth of the light of few bright discs
    kept = (sources.axis_ratio < 1) | (sources.radius == 0)
    centre = np.column_stack([sources.x, sources.y])[kept]
    _, whole = np.unique(centre, axis=0, return_inverse=True)
    flux = np.zeros((whole.max(initial=-1) + 1, 3))
    np.add.at(flux, whole.ravel(), sources.flux[kept])
    return 22.5 - 2.5 * np.log10(flux.T)


def galaxies_on_sky(rng, side=1.0, faintest=24.0):
    """(g, r, i) of field galaxies and of those in haloes, on a square of ``side`` degrees."""
    scale = SDSS_PIXEL
    shape = (round(side * 3600 / scale),) * 2
    large_scale = LargeScale(rng, side**2)
    field = field_galaxies(rng, shape, scale, large_scale, faintest)
    inside = (np.abs(field.x - shape[1] / 2) < shape[1] / 2) & (
        np.abs(field.y - shape[0] / 2) < shape[0] / 2
    )
    field = type(field)(**{k: v[inside] for k, v in vars(field).items()})
    z, rich = draw_haloes(rng, side**2, large_scale)
    haloes = [
        magnitudes(cluster_galaxies(rng, 0, 0, *halo, scale, faintest))
        for halo in zip(z, rich, strict=True)
    ]
    return magnitudes(field), np.concatenate([np.empty((3, 0)), *haloes], axis=1)


@dataclass
class Image:
    """Bands g, r, i (or g, r, z) in nanomaggy per pixel, pixel scale in arcsec."""

    bands: np.ndarray
    scale: float

    @property
    def area(self):
        """Square degrees."""
        return self.bands[0].size * (self.scale / 3600) ** 2

    def sky_noise(self):
        """Rms of pixels away from sources, per band, nanomaggy per square arcsec."""
        away = ~binary_dilation(self.segments().data > 0, iterations=4)
        return np.array([mad_std(b[away & np.isfinite(b)]) for b in self.bands]) / self.scale**2

    def segments(self):
        """Sources of the weighted sum of the bands, three sigma in five joined pixels."""
        weights = 1 / np.array([mad_std(b, ignore_nan=True) for b in self.bands])
        total = np.nan_to_num(np.tensordot(weights, self.bands, 1))
        total -= np.median(total)
        smooth = convolve_fft(total, Gaussian2DKernel(0.6 / self.scale), boundary="wrap")
        threshold = 3 * mad_std(smooth)
        found = detect_sources(smooth, threshold, n_pixels=5)
        self._smooth = smooth
        return found

    def sources(self):
        """Magnitudes (3, n) in Kron apertures of all bands together, FWHM in arcsec, x, y."""
        segments = self.segments()
        bands = [np.nan_to_num(b - np.nanmedian(b)) for b in self.bands]
        first = SourceCatalog(np.sum(bands, axis=0), segments, convolved_data=self._smooth)
        fluxes = [
            SourceCatalog(b, segments, detection_catalog=first).kron_flux for b in bands
        ]
        mags = 22.5 - 2.5 * np.log10(np.maximum(fluxes, 1e-4))
        return mags, first.fwhm.value * self.scale, first.x_centroid, first.y_centroid

    def psf_fwhm(self, brightest, faintest, count=12):
        """Median FWHM, per band, of Moffat profiles fitted to the most compact sources.

        Of the sources with r between the magnitudes, the ``count`` of smallest width.
        """
        mags, fwhm, x, y = self.sources()
        half = max(6, int(np.ceil(4 / self.scale)))
        ny, nx = self.bands[0].shape
        inside = (np.minimum(x, y) > half) & (x < nx - half - 1) & (y < ny - half - 1)
        stars = np.flatnonzero(inside & (mags[1] > brightest) & (mags[1] < faintest))
        stars = stars[np.argsort(fwhm[stars])][:count]
        widths = []
        for band in self.bands:
            fits = [
                _moffat_fwhm(_stamp(band, x[k], y[k], half), x[k] % 1, y[k] % 1) for k in stars
            ]
            widths.append(np.median(fits) * self.scale if fits else np.nan)
        return np.array(widths)


def _stamp(band, x, y, half):
    column, row = int(x), int(y)
    return band[row - half : row + half + 1, column - half : column + half + 1]


def _moffat_fwhm(stamp, dx, dy):
    """FWHM in pixels of a Moffat profile with a free exponent, centre and sky."""
    half = stamp.shape[0] // 2
    v, u = np.indices(stamp.shape) - half

    def profile(p):
        core2 = (p[3] / 2) ** 2 / (2 ** (1 / p[4]) - 1)
        return p[0] * (1 + ((u - p[1]) ** 2 + (v - p[2]) ** 2) / core2) ** -p[4] + p[5]

    peak = stamp[half, half]
    start = (peak, dx, dy, 3.0, 3.0, 0.0)
    bounds = ([0, -2, -2, 0.5, 1.5, -abs(peak)], [10 * abs(peak) + 1e-9, 2, 2, 12, 8, abs(peak)])
    fit = least_squares(lambda p: (profile(p) - stamp).ravel(), start, bounds=bounds)
    return fit.x[3]


def binned(image, factor):
    """Sum of factor x factor pixels."""
    n, ny, nx = image.shape
    cut = image[:, : ny // factor * factor, : nx // factor * factor]
    return cut.reshape(n, ny // factor, factor, nx // factor, factor).sum(axis=(2, 4))


def des_cluster(redshift, richness, size, seed):
    """A rendered DES `Image` of 0.45 arcsec per pixel with a cluster in its middle."""
    survey = SURVEYS["des"]
    scale = survey.pixel_scale
    native = int(np.ceil(size * DES_SCALE / scale)) + 4
    rng = np.random.default_rng(seed)
    field = render_field(
        survey, (native, native), seed=rng, clusters=0, center=DES_CENTER, noise=False
    )
    middle = (native - 1) / 2
    faintest = survey.depth()[1]
    members = cluster_galaxies(rng, middle, middle, redshift, richness, scale, faintest)
    light = field.image / scale**2 + draw_sources(members, (native, native), survey)
    flux = np.nan_to_num(add_noise(light, survey, rng)) * scale**2
    # as a viewer does: interpolated from the survey's pixels, not averaged
    step = DES_SCALE / scale
    grid = (np.indices((size, size)) - (size - 1) / 2) * step + middle
    return Image(np.array([map_coordinates(b, grid, order=3) * step**2 for b in flux]), DES_SCALE)


def viewer_picture(image, gain=1.0, red=I_TO_Z):
    """(3, y, x) uint8 z, r, g: arcsinh between -1 and 100 of the softening."""
    planes = image.bands[::-1] * np.array([red, 1, 1])[:, None, None]
    per_pixel = planes * gain * (VIEWER_PIXEL / image.scale) ** 2 / SOFTENING[:, None, None]
    low, high = np.arcsinh([-1, 100])
    return np.round(np.clip((np.arcsinh(per_pixel) - low) / (high - low), 0, 1) * 255)


def from_picture(planes, scale=DES_SCALE, gain=1.0):
    """The `Image` in g, r, z behind a picture; clipped where that is."""
    low, high = np.arcsinh([-1, 100])
    flux = np.sinh(np.asarray(planes, dtype=float) / 255 * (high - low) + low)
    flux = flux * SOFTENING[:, None, None] * (scale / VIEWER_PIXEL) ** 2 / gain
    return Image(flux[::-1], scale)
