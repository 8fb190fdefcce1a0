"""What `compare_sky.py` measures: catalogues of the rendered sky, images, published numbers."""

from dataclasses import dataclass

import numpy as np
from astropy.convolution import Gaussian2DKernel, convolve_fft
from astropy.stats import mad_std
from photutils.segmentation import SourceCatalog, detect_sources
from scipy.ndimage import binary_dilation
from scipy.optimize import least_squares

from astro_objdet.skies.populations.field import field_galaxies
from astro_objdet.skies.populations.haloes import LargeScale, draw_haloes
from astro_objdet.skies.populations.members import cluster_galaxies

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
#: Stars of g < 21 per square degree at 49 < |b| < 64: 580,000 on 279 deg2 (Chen et al. 2001).
SDSS_STARS = 2079
BANDS = ("g", "r", "i")
SDSS_PIXEL = 0.396


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


def galaxies_on_sky(rng, side=1.0, faintest=25.5):
    """(g, r, i) of galaxies in and out of haloes on a square of ``side`` degrees, (3, n)."""
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
    return np.concatenate([magnitudes(field), *haloes], axis=1)


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

    def segments(self, sigma=3.0):
        """Sources of the weighted sum of the bands: five joined pixels above the noise."""
        weights = 1 / np.array([mad_std(b, ignore_nan=True) for b in self.bands])
        total = np.nan_to_num(np.tensordot(weights, self.bands, 1))
        total -= np.median(total)
        smooth = convolve_fft(total, Gaussian2DKernel(0.6 / self.scale), boundary="wrap")
        self._smooth = smooth
        return detect_sources(smooth, sigma * mad_std(smooth), n_pixels=5)

    def sources(self, sigma=3.0):
        """Magnitudes (3, n) in Kron apertures of all bands together, FWHM in arcsec, x, y."""
        segments = self.segments(sigma)
        bands = [np.nan_to_num(b - np.nanmedian(b)) for b in self.bands]
        first = SourceCatalog(np.sum(bands, axis=0), segments, convolved_data=self._smooth)
        fluxes = [SourceCatalog(b, segments, detection_catalog=first).kron_flux for b in bands]
        mags = 22.5 - 2.5 * np.log10(np.maximum(fluxes, 1e-4))
        return mags, first.fwhm.value * self.scale, first.x_centroid, first.y_centroid

    def psf_fwhm(self, brightest, faintest, count=12):
        """Median FWHM, per band, of Moffat profiles fitted to the most compact sources.

        Of the sources with r between the magnitudes, the ``count`` of smallest width.
        """
        mags, fwhm, x, y = self.sources(30.0)
        half = max(6, int(np.ceil(4 / self.scale)))
        ny, nx = self.bands[0].shape
        inside = (np.minimum(x, y) > half) & (x < nx - half - 1) & (y < ny - half - 1)
        stars = np.flatnonzero(inside & (mags[1] > brightest) & (mags[1] < faintest))
        stars = stars[np.argsort(fwhm[stars])][:count]
        widths = []
        for band in self.bands:
            stamps = [_stamp(band, round(x[k]), round(y[k]), half) for k in stars]
            fits = [_moffat_fwhm(stamp) for stamp in stamps if np.isfinite(stamp).all()]
            widths.append(np.median(fits) * self.scale if fits else np.nan)
        return np.array(widths)


def _stamp(band, column, row, half):
    return band[row - half : row + half + 1, column - half : column + half + 1]


def _moffat_fwhm(stamp):
    """FWHM in pixels of a Moffat profile with a free exponent, centre and sky."""
    half = stamp.shape[0] // 2
    v, u = np.indices(stamp.shape) - half

    def profile(p):
        core2 = (p[3] / 2) ** 2 / (2 ** (1 / p[4]) - 1)
        return p[0] * (1 + ((u - p[1]) ** 2 + (v - p[2]) ** 2) / core2) ** -p[4] + p[5]

    peak = stamp.max()
    start = (peak, 0.0, 0.0, 3.0, 3.0, 0.0)
    bounds = ([0, -2, -2, 0.5, 1.5, -peak], [10 * peak, 2, 2, 12, 8, peak])
    fit = least_squares(lambda p: (profile(p) - stamp).ravel(), start, bounds=bounds)
    return fit.x[3]


def binned(image, factor):
    """Sum of factor x factor pixels."""
    n, ny, nx = image.shape
    cut = image[:, : ny // factor * factor, : nx // factor * factor]
    return cut.reshape(n, ny // factor, factor, nx // factor, factor).sum(axis=(2, 4))


def spread(values):
    """16, 50 and 84 per cent of some values, rounded; NaN of none."""
    return np.percentile(values, (16, 50, 84)).round(2) if len(values) else np.full(3, np.nan)
