"""Render a survey field in g, r and i with a truth table of its clusters."""

import math
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.table import QTable
from astropy.wcs import WCS

from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.errors import InputError, check_choice, check_count
from astro_objdet.skies.artefacts import add_artefacts, add_noise
from astro_objdet.skies.conditions import SURVEYS, Survey
from astro_objdet.skies.drawing import Sources, draw_sources
from astro_objdet.skies.populations.field import field_galaxies
from astro_objdet.skies.populations.haloes import (
    RICHNESS_CUT,
    LargeScale,
    draw_haloes,
    draw_richness,
)
from astro_objdet.skies.populations.members import cluster_galaxies
from astro_objdet.skies.populations.stars import draw_stars
from astro_objdet.skies.samples import cutout_wcs

__all__ = ["BOX_HALF_WIDTH_KPC", "RenderedField", "render_field"]

#: Half the side of a cluster's box: the optical mean core radius (paper I, section 3.1).
BOX_HALF_WIDTH_KPC = 250.0

#: Haloes up to this far outside of the field, in arcsec, reach in.
REACH = 240.0

#: Share of clusters that are merging with another one of their redshift.
MERGING = 0.12


@dataclass
class RenderedField:
    """One rendered field.

    Attributes
    ----------
    image : `numpy.ndarray` (3, ny, nx), float32
        Bands g, r, i in nanomaggy per pixel; NaN where masked.
    truth : `astropy.table.QTable`
        The clusters and groups whose central galaxy lies in the field, where less than
        half of the inner 50 kpc is masked: ra, dec, redshift, richness, i_central (mag),
        x, y (pixel, first centre 0), half_width (pixel; 250 kpc).
    wcs : `astropy.wcs.WCS`
        Gnomonic, north up, east left.
    survey : `Survey`
        With the PSF of this field.
    artefacts : dict
        What was drawn over the sky: trails, masked edges, saturated stars.
    """

    image: np.ndarray
    truth: QTable
    wcs: WCS
    survey: Survey
    artefacts: dict


def render_field(
    survey="sdss",
    shape=(1024, 1024),
    *,
    seed,
    clusters=None,
    groups=None,
    redshift_range=(0.09, 0.42),
    center=(180.0, 30.0),
    noise=True,
    artefacts=True,
    margin=0,
    bright_excess=1.0,
    faintest=None,
):
    """Render one field with clusters, groups, galaxies and stars.

    Parameters
    ----------
    survey : str or `Survey`
        Name in `SURVEYS`, or conditions of your own. A name stands for a field of
        that survey, with its PSF drawn from the survey's spread.
    shape : tuple of int
        (ny, nx).
    seed : int, sequence of int or `numpy.random.Generator`
        The same seed gives the same bytes.
    clusters : int, optional
        How many, spread evenly over ``redshift_range``; without it as many as
        redMaPPer finds on the sky, where it finds them.
    groups : int, optional
        How many groups poorer than the richness cut of 20; without it nature's number.
    redshift_range : tuple of float
    center : tuple of float
        RA and Dec of the field's middle in degrees (ICRS).
    noise : bool
        Whether to add the noise of sky and photons.
    artefacts : bool
        Whether to add what goes wrong in an image: saturated stars with spikes and
        haloes, now and then a satellite trail or a masked edge.
    margin : int
        Pixels at the border that no cluster asked for falls into.
    bright_excess : float
        Factor on the number of bright stars and nearby galaxies, which a detector
        has to learn to pass over and rarely sees.
    faintest : float, optional
        Faintest r magnitude to draw; by default the survey's 5 sigma depth.

    Returns
    -------
    `RenderedField`

    Raises
    ------
    InputError
        For an unknown survey, or a parameter that breaks its rule.
    """
    shape = _checked_shape(shape, margin)
    for name, value in (("clusters", clusters), ("groups", groups)):
        if value is not None:
            check_count(name, value, 0)
    check_rendering(redshift_range, bright_excess, faintest)
    if not (_are_numbers(center, 2) and -90 <= center[1] <= 90):
        raise InputError(f"center must be RA and Dec in degrees with |dec| ≤ 90, got {center!r}")
    rng = _generator(seed)
    if isinstance(survey, str):
        check_choice("survey", survey, SURVEYS)
        survey = SURVEYS[survey].drawn(rng)
    scale = survey.pixel_scale
    faintest = faintest_drawn(survey) if faintest is None else faintest
    area = shape[0] * shape[1] * (scale / 3600) ** 2
    large_scale = LargeScale(rng, area)
    parts = [
        field_galaxies(rng, shape, scale, large_scale, faintest, bright_excess),
        draw_stars(rng, shape, scale, center, faintest, bright_excess),
    ]
    rows = _haloes(rng, shape, scale, large_scale, clusters, groups, redshift_range, margin)
    central = []
    for x, y, z, rich in rows:
        galaxies = cluster_galaxies(rng, x, y, z, rich, scale, faintest)
        central.append(22.5 - 2.5 * np.log10(galaxies.flux[:2, 2].sum()))
        parts.append(galaxies)
    sources = Sources.join(parts)
    image = draw_sources(sources, shape, survey)
    done = add_artefacts(image, sources, survey, rng) if artefacts else {}
    if noise:
        image = add_noise(image, survey, rng)
    image *= np.float32(scale**2)
    wcs = cutout_wcs(*center, shape, scale)
    truth = _truth_table(np.column_stack([rows, central]), image, wcs, scale)
    return RenderedField(image, truth, wcs, survey, done)


def faintest_drawn(survey):
    """r magnitude that sources of a survey are drawn down to, unless another one is asked for."""
    return min(survey.depth()[1], 25.5)


def check_rendering(redshift_range, bright_excess, faintest):
    """Raise `InputError` for values of these parameters that `render_field` cannot use."""
    if not _are_numbers(redshift_range, 2) or not 0 < redshift_range[0] < redshift_range[1] < 1:
        raise InputError(f"redshift_range must rise within (0, 1), got {redshift_range!r}")
    if not _are_numbers([bright_excess], 1) or bright_excess < 0:
        raise InputError(f"bright_excess must be a finite number from 0 up, got {bright_excess!r}")
    if faintest is not None and not _are_numbers([faintest], 1):
        raise InputError(f"faintest must be a finite magnitude, got {faintest!r}")


def _are_numbers(values, count):
    """Whether it is a sequence of so many finite numbers."""
    try:
        return len(values) == count and all(math.isfinite(value) for value in values)
    except TypeError:
        return False


def _checked_shape(shape, margin):
    if not _are_numbers(shape, 2):
        raise InputError(f"shape must be (ny, nx), got {shape!r}")
    shape = tuple(check_count(f"shape[{k}]", value) for k, value in enumerate(shape))
    if 2 * check_count("margin", margin, 0) >= min(shape):
        raise InputError(f"margin must leave pixels of the shape {shape} between, got {margin}")
    return shape


def _generator(seed):
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise InputError(
            "seed must be a whole number from 0 up, a sequence of them, or a "
            f"numpy.random.Generator, got {seed!r}"
        ) from None


def _haloes(rng, shape, scale, large_scale, clusters, groups, redshift_range, margin):
    """Rows (x, y, redshift, richness) of the clusters and groups of a field."""
    pad = REACH / scale
    size = np.array(shape) + 2 * pad
    z, rich = draw_haloes(rng, size.prod() * (scale / 3600) ** 2, large_scale)
    x = rng.uniform(-pad, shape[1] + pad, len(z)) - 0.5
    y = rng.uniform(-pad, shape[0] + pad, len(z)) - 0.5
    nature = np.column_stack([x, y, z, rich])
    rich_ones = nature[rich >= RICHNESS_CUT]
    poor_ones = nature[rich < RICHNESS_CUT]
    # companions of mergers above the cut make up for those left out here
    rich_ones = rich_ones[rng.random(len(rich_ones)) > MERGING / 2]
    if clusters is not None:
        rich_ones = _placed(rng, draw_richness(rng, clusters), shape, redshift_range, margin)
    if groups is not None:
        poor_ones = _placed(rng, _group_richness(rng, groups), shape, redshift_range, margin)
    mergers = [_merger(rng, row, scale) for row in rich_ones if rng.random() < MERGING]
    return np.vstack([rich_ones, poor_ones, *mergers])


def _placed(rng, richness, shape, redshift_range, margin):
    """Rows of haloes with their centres on the field."""
    n = len(richness)
    x = rng.uniform(margin, shape[1] - margin, n) - 0.5
    y = rng.uniform(margin, shape[0] - margin, n) - 0.5
    return np.column_stack([x, y, rng.uniform(*redshift_range, n), richness])


def _merger(rng, row, scale):
    """A poorer system of the same redshift, 0.4 to 1.8 Mpc from a cluster."""
    x, y, z, rich = row
    far = rng.uniform(400, 1800) / kpc_per_arcsec(z) / scale
    phi = rng.uniform(0, 2 * np.pi)
    moved = (x + far * np.cos(phi), y + far * np.sin(phi))
    return np.array([[*moved, z + rng.normal(0, 0.002), max(rich * rng.uniform(0.2, 0.9), 4)]])


def _group_richness(rng, count):
    """Richness of poor groups, 3 to 14, falling steeply."""
    return 3 * (1 - rng.random(count) * (1 - (14 / 3) ** -1.5)) ** (-1 / 1.5)


def _truth_table(rows, image, wcs, pixel_scale):
    """Those of the haloes whose central galaxy can be seen on the image."""
    rows = np.asarray(rows, dtype=float).reshape(-1, 5)
    seen = [_seen(image, x, y, 50 / kpc_per_arcsec(z) / pixel_scale) for x, y, z, *_ in rows]
    x, y, z, rich, i_central = rows[np.array(seen, dtype=bool)].T
    sky = wcs.pixel_to_world(x, y)
    truth = QTable()
    truth["ra"] = sky.ra.to(u.deg)
    truth["dec"] = sky.dec.to(u.deg)
    truth["redshift"] = z
    truth["richness"] = rich
    truth["i_central"] = i_central * u.mag
    truth["x"] = x * u.pixel
    truth["y"] = y * u.pixel
    half_width = BOX_HALF_WIDTH_KPC / kpc_per_arcsec(z) / pixel_scale
    truth["half_width"] = half_width * u.pixel
    return truth


def _seen(image, x, y, half):
    """Whether a centre is on the image and most of the square around it not masked."""
    ny, nx = image.shape[1:]
    if not (-0.5 < x < nx - 0.5 and -0.5 < y < ny - 0.5):
        return False
    x0, x1 = max(0, round(x - half)), round(x + half) + 1
    y0, y1 = max(0, round(y - half)), round(y + half) + 1
    return bool(np.isfinite(image[:, y0:y1, x0:x1]).all(axis=0).mean() > 0.5)
