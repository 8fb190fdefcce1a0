"""Render a survey field in g, r and i with a truth table of its clusters.

A plain renderer for the first weights, the demo field and the tests: sources
are sums of Gaussians (`astro_objdet.skies.drawing`) drawn from simple
populations (`astro_objdet.skies.populations`).
"""

from dataclasses import dataclass, replace

import numpy as np
from astropy import units as u
from astropy.table import QTable
from astropy.wcs import WCS

from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.errors import InputError, check_choice, check_positive
from astro_objdet.skies.drawing import Sources, draw_sources
from astro_objdet.skies.populations import (
    cluster_galaxies,
    draw_richness,
    field_galaxies,
    stars,
)

__all__ = ["SURVEYS", "RenderedField", "Survey", "render_field"]

#: Half the side of a cluster's box: the optical mean core radius (paper I, section 3.1).
BOX_HALF_WIDTH_KPC = 250.0


@dataclass(frozen=True)
class Survey:
    """What an imaging survey does to the sky; values are per band g, r, i.

    Attributes
    ----------
    name : str
    pixel_scale : float
        Arcsec per pixel.
    psf_fwhm : tuple of float
        Arcsec.
    noise : tuple of float
        Sky noise of one pixel, in nanomaggy per square arcsec.
    """

    name: str
    pixel_scale: float
    psf_fwhm: tuple
    noise: tuple

    bands = ("g", "r", "i")

    def binned(self, factor):
        """The same survey averaged over ``factor`` x ``factor`` pixels."""
        return replace(
            self,
            pixel_scale=self.pixel_scale * factor,
            noise=tuple(n / factor for n in self.noise),
        )


#: Median conditions; noise from the published 5 sigma point-source depths
#: (SDSS DR8: g 23.1, r 22.7, i 22.2; DES DR2: 24.7, 24.4, 23.8).
SURVEYS = {
    "sdss": Survey("sdss", 0.396, (1.44, 1.32, 1.26), (0.102, 0.160, 0.255)),
    "des": Survey("des", 0.263, (1.11, 0.95, 0.88), (0.038, 0.055, 0.100)),
}


@dataclass
class RenderedField:
    """One rendered field.

    Attributes
    ----------
    image : `numpy.ndarray` (3, ny, nx), float32
        Bands g, r, i in nanomaggy per pixel.
    truth : `astropy.table.QTable`
        The clusters and groups whose central galaxy lies in the field: ra, dec,
        redshift, richness, x, y (pixel, first centre 0), half_width (pixel).
    wcs : `astropy.wcs.WCS`
        Gnomonic, north up, east left.
    survey : `Survey`
    """

    image: np.ndarray
    truth: QTable
    wcs: WCS
    survey: Survey


def render_field(
    survey="sdss",
    shape=(1024, 1024),
    *,
    seed,
    clusters=1,
    groups=1,
    redshift_range=(0.09, 0.42),
    center=(180.0, 30.0),
    noise=True,
    margin=0,
    bright_excess=1.0,
):
    """Render one field with clusters, unlabelled groups, galaxies and stars.

    Parameters
    ----------
    survey : str or `Survey`
        Name in `SURVEYS`, or conditions of your own.
    shape : tuple of int
        (ny, nx).
    seed : int, sequence of int or `numpy.random.Generator`
        The same seed gives the same bytes.
    clusters, groups : int
        How many of each; groups are poorer than the richness cut of 20.
    redshift_range : tuple of float
        Clusters are spread evenly over it.
    center : tuple of float
        RA and Dec of the field's middle in degrees (ICRS).
    noise : bool
        Whether to add sky noise.
    margin : int
        Pixels at the border that no cluster centre falls into.
    bright_excess : float
        Factor on the number of bright stars and nearby galaxies, which a detector
        has to learn to pass over and rarely sees.

    Returns
    -------
    `RenderedField`

    Raises
    ------
    InputError
        For an unknown survey or an empty shape.
    """
    if isinstance(survey, str):
        check_choice("survey", survey, SURVEYS)
        survey = SURVEYS[survey]
    for name, value in zip(("shape[0]", "shape[1]"), shape, strict=True):
        check_positive(name, value)
    if not 0 < redshift_range[0] < redshift_range[1] < 1:
        raise InputError(f"redshift_range must rise within (0, 1), got {redshift_range}")
    rng = np.random.default_rng(seed)
    scale = survey.pixel_scale
    parts = [
        draw(rng, shape, scale, bright_excess=bright_excess) for draw in (field_galaxies, stars)
    ]
    rows = []
    low, high = redshift_range
    richness = [*draw_richness(rng, clusters), *_group_richness(rng, groups)]
    for number, rich in enumerate(richness):
        z = rng.uniform(low, high) if number < clusters else rng.uniform(0.04, high)
        x = rng.uniform(margin, shape[1] - margin) - 0.5
        y = rng.uniform(margin, shape[0] - margin) - 0.5
        parts.append(cluster_galaxies(rng, x, y, z, rich, scale))
        rows.append((x, y, z, rich))
    image = draw_sources(Sources.join(parts), shape, scale, survey.psf_fwhm)
    if noise:
        sigma = np.array(survey.noise, dtype=np.float32)[:, None, None]
        image += sigma * rng.standard_normal(image.shape, dtype=np.float32)
    image *= np.float32(scale**2)
    wcs = _tangent_wcs(center, shape, scale)
    return RenderedField(image, _truth_table(rows, wcs, scale), wcs, survey)


def _group_richness(rng, count):
    """Richness of poor groups, 3 to 14, falling steeply."""
    return 3 * (1 - rng.random(count) * (1 - (14 / 3) ** -1.5)) ** (-1 / 1.5)


def _tangent_wcs(center, shape, pixel_scale):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = center
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    wcs.wcs.cdelt = [-pixel_scale / 3600, pixel_scale / 3600]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def _truth_table(rows, wcs, pixel_scale):
    x, y, z, rich = np.array(rows, dtype=float).reshape(-1, 4).T
    sky = wcs.pixel_to_world(x, y)
    truth = QTable()
    truth["ra"] = sky.ra.to(u.deg)
    truth["dec"] = sky.dec.to(u.deg)
    truth["redshift"] = z
    truth["richness"] = rich
    truth["x"] = x * u.pixel
    truth["y"] = y * u.pixel
    half_width = BOX_HALF_WIDTH_KPC / kpc_per_arcsec(z) / pixel_scale
    truth["half_width"] = half_width * u.pixel
    return truth
