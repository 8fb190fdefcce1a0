"""What goes wrong in an image of the sky: bright stars, trails, masked edges, noise.

All work on images (band, ny, nx) of float32 in nanomaggy per square arcsec.
"""

import math

import numpy as np

from astro_objdet.errors import check_choice, check_fraction
from astro_objdet.skies.drawing import moffat_profile, stamp_around

__all__ = ["add_artefacts", "add_noise", "bright_stars", "masked_edge", "satellite_trail"]

# Wavelengths of g, r and i relative to r: diffraction spreads with it.
_WAVELENGTHS = {"g": 0.77, "r": 1.0, "i": 1.22}
# The aureole of a star falls as r^-2.8 beyond a core (arcsec), as measured in SDSS frames
# from 6 to 34 arcsec; further out the sky subtraction takes it away.
_AUREOLE_CORE, _AUREOLE_SLOPE, _AUREOLE_END = 6.0, 1.4, (60.0, 150.0)
# A pair of opposite spikes of the spider's diffraction cross: share of the light in one of
# them, arcsec of its fall (the same frames), and the longest.
_SPIKE_LIGHT, _SPIKE_LENGTH, _SPIKE_END = 5e-3, 8.0, 300.0
# A ring of reflected light: share of the star's.
_GHOST_LIGHT = 4e-3
# Wings are drawn where they reach this share of the sky noise.
_FAINTEST = 0.1
# Of the charge above a full pixel, the share that runs along the column; longest trail.
_BLEEDING, _LONGEST_BLEED = 0.25, 60.0


def add_artefacts(image, sources, survey, rng, *, trail=0.05, edge=0.04):
    """Draw bright stars, and now and then a satellite's trail and a masked edge.

    Parameters
    ----------
    image : `numpy.ndarray` (band, ny, nx), float32
        Changed in place; NaN where masked.
    sources : `~astro_objdet.skies.drawing.Sources`
        Those in the image, of which bright stars get wings and saturate.
    survey : `~astro_objdet.skies.conditions.Survey`
    rng : `numpy.random.Generator`
    trail, edge : float
        Probability of a trail and of a masked edge.

    Returns
    -------
    dict
        ``stars``, ``trails`` and ``masked``: what `bright_stars`, `satellite_trail` and
        `masked_edge` say of what they drew.
    """
    check_fraction("trail", trail)
    check_fraction("edge", edge)
    done = {"stars": bright_stars(image, sources, survey, rng), "trails": [], "masked": []}
    if rng.random() < trail:
        done["trails"].append(satellite_trail(image, survey, rng))
    if rng.random() < edge:
        done["masked"].append(masked_edge(image, rng))
    return done


def add_noise(image, survey, rng):
    """Return the image with the noise of the sky and of the sources' photons.

    Parameters
    ----------
    image : `numpy.ndarray` (band, ny, nx), float32
        Without noise. NaN stays.
    survey : `~astro_objdet.skies.conditions.Survey`
        Its ``noise`` and ``electrons``.
    rng : `numpy.random.Generator`

    Returns
    -------
    `numpy.ndarray` (band, ny, nx), float32
    """
    noisy = rng.standard_normal(image.shape, dtype=np.float32)
    for band, (noise, electrons) in enumerate(zip(survey.noise, survey.electrons, strict=True)):
        # the variance of a count is the count: n electrons = value * pixel area * electrons
        per_value = 1 / (electrons * survey.pixel_scale**2)
        variance = np.maximum(image[band], 0) * np.float32(per_value) + np.float32(noise**2)
        noisy[band] *= np.sqrt(variance)
    noisy += image
    return noisy


def bright_stars(image, sources, survey, rng):
    """Give bright stars an aureole, spikes and a ghost, and saturate what is too bright.

    Parameters
    ----------
    image : `numpy.ndarray` (band, ny, nx), float32
        With the stars drawn; changed in place.
    sources : `~astro_objdet.skies.drawing.Sources`
    survey : `~astro_objdet.skies.conditions.Survey`
    rng : `numpy.random.Generator`
        For the direction of the spikes, which the field's stars share.

    Returns
    -------
    dict
        ``spike_angle`` (deg from +x), ``winged`` and ``saturated``: how many stars.
    """
    angle = rng.uniform(0, math.pi / 2)
    ghost = rng.uniform(0.7, 1.3) * survey.ghost_radius
    flux = np.where(sources.stars[:, None], sources.flux, 0)
    wings = np.maximum(np.multiply(survey.aureole, _aureole(0.0)), _spike_peak(survey))
    winged = np.flatnonzero((flux * wings > _FAINTEST * np.asarray(survey.noise)).any(axis=1))
    for row in winged:
        _add_aureole(image, sources.x[row], sources.y[row], flux[row], survey, ghost)
        _add_spikes(image, sources.x[row], sources.y[row], flux[row], survey, angle)
    levels = _full_pixels(survey)
    saturated = np.flatnonzero(
        (22.5 - 2.5 * np.log10(np.maximum(flux, 1e-9)) < np.array(survey.saturation)).any(axis=1)
    )
    for row in saturated:
        _bleed(image, sources.x[row], sources.y[row], survey, levels)
    for band, level in enumerate(levels):
        np.minimum(image[band], level, out=image[band])
    return {
        "spike_angle": math.degrees(angle),
        "winged": len(winged),
        "saturated": len(saturated),
    }


def _full_pixels(survey):
    """Surface brightness of a full pixel, per band."""
    return [
        10 ** ((22.5 - magnitude) / 2.5) * moffat_profile(0.0, fwhm, survey.psf_beta)
        for magnitude, fwhm in zip(survey.saturation, survey.psf_fwhm, strict=True)
    ]


def _add_aureole(image, x, y, flux, survey, ghost):
    """Add a star's aureole and the ghost of a bright one."""
    faintest = _FAINTEST * np.asarray(survey.noise)
    light = flux * survey.aureole
    far = (light / faintest).max() ** (1 / _AUREOLE_SLOPE) * (100 + _AUREOLE_CORE**2)
    reach = min(math.sqrt(max(far - _AUREOLE_CORE**2, 1)), _AUREOLE_END[1])
    ghostly = ghost and (flux * _GHOST_LIGHT / ghost**2 > faintest).any()
    window = stamp_around(image, x, y, max(reach, 1.1 * ghost * ghostly) / survey.pixel_scale)
    if window is None:
        return
    dx, dy = _offsets(window, x, y, survey.pixel_scale)
    profile = _aureole(dx**2 + dy**2)
    ring = _ring(dx - 0.05 * ghost, dy + 0.03 * ghost, ghost) if ghostly else None
    for band, share in enumerate(light.astype(np.float32)):
        image[band][window] += share * profile
        if ghostly:
            image[band][window] += np.float32(flux[band]) * ring


def _add_spikes(image, x, y, flux, survey, angle):
    """Add a star's diffraction cross."""
    width, peak = _spike_width(survey), flux * _spike_peak(survey)
    bright = np.maximum(peak / (_FAINTEST * np.asarray(survey.noise)), 1)
    reach = min(_SPIKE_LENGTH * (math.sqrt(bright.max()) - 1), _SPIKE_END)
    window = stamp_around(image, x, y, reach / survey.pixel_scale)
    if window is None or reach < survey.psf_fwhm[0]:
        return
    dx, dy = _offsets(window, x, y, survey.pixel_scale)
    for turned in (angle, angle + math.pi / 2):
        cos, sin = np.float32(math.cos(turned)), np.float32(math.sin(turned))
        across = dy * cos - dx * sin
        rows, columns = np.nonzero(np.abs(across) < 4 * width.max())
        across = across[rows, columns]
        along = np.abs(dx[columns] * cos + dy[rows, 0] * sin)
        ending = np.maximum(1 - (along / reach) ** 2, 0)
        for band, name in enumerate(survey.bands):
            # diffraction spreads with the wavelength
            length = _SPIKE_LENGTH * _WAVELENGTHS.get(name, 1.0)
            scale = peak[band] * _SPIKE_LENGTH / length
            light = scale * (1 + along / length) ** -2 * ending
            light *= np.exp(-0.5 * (across / width[band]) ** 2)
            image[band][window][rows, columns] += light.astype(np.float32)


def _spike_width(survey):
    """Sigma of the profile across a spike per band: that of the PSF, averaged over a pixel."""
    return np.hypot(0.35 * np.asarray(survey.psf_fwhm), survey.pixel_scale / math.sqrt(12))


def _spike_peak(survey):
    """Surface brightness, per band, at the foot of a spike of a star of unit flux."""
    return (
        survey.spikes
        * _SPIKE_LIGHT
        / (_SPIKE_LENGTH * _spike_width(survey) * math.sqrt(2 * math.pi))
    )


def _offsets(window, x, y, pixel_scale):
    """Arcsec from (x, y): a row of x and a column of y, float32."""
    rows, columns = window
    dx = ((np.arange(columns.start, columns.stop) - x) * pixel_scale).astype(np.float32)
    dy = ((np.arange(rows.start, rows.stop) - y) * pixel_scale).astype(np.float32)
    return dx, dy[:, None]


def _aureole(distance2):
    """Brightness of an aureole at a squared distance, in units of that at 10 arcsec."""
    core2 = _AUREOLE_CORE**2
    profile = ((distance2 + core2) / (100 + core2)) ** np.float32(-_AUREOLE_SLOPE)
    start, end = _AUREOLE_END
    ending = np.clip((np.sqrt(distance2) - start) / (end - start), 0, 1)
    return profile * (0.5 + 0.5 * np.cos(math.pi * ending))


def _ring(dx, dy, radius):
    """Surface brightness of an out-of-focus pupil of unit flux: a disc with a hole."""
    distance = np.hypot(dx, dy) / radius
    outer, hole = (np.clip((distance - edge) / 0.03, -30, 30) for edge in (1.0, 0.4))
    soft = 1 / (1 + np.exp(outer)) - 1 / (1 + np.exp(hole))
    return _GHOST_LIGHT / (math.pi * radius**2 * 0.84) * soft


def _bleed(image, x, y, survey, levels):
    """Let the charge of overfull pixels run along their columns."""
    longest = _LONGEST_BLEED / survey.pixel_scale
    window = stamp_around(image, x, y, 30 / survey.pixel_scale)
    if window is None:
        return
    rows, columns = window
    for band, level in enumerate(levels):
        over = np.maximum(image[band, rows, columns] / level - 1, 0)
        lengths = np.minimum(_BLEEDING * over.sum(axis=0), longest)
        middle = round(y)
        for column, length in zip(range(columns.start, columns.stop), lengths, strict=True):
            half = length / 2
            if half >= 1:
                run = image[
                    band, max(0, round(middle - half)) : max(0, round(middle + half)), column
                ]
                np.maximum(run, level, out=run)


def satellite_trail(image, survey, rng):
    """Draw the trail of a satellite across the image.

    Parameters
    ----------
    image : `numpy.ndarray` (band, ny, nx), float32
        Changed in place. The bands are exposed one after another, so that mostly one
        has the trail.
    survey : `~astro_objdet.skies.conditions.Survey`
    rng : `numpy.random.Generator`

    Returns
    -------
    dict
        ``x``, ``y`` (a pixel it runs through), ``angle`` (deg from +x), ``peak`` (surface
        brightness per band).
    """
    n_bands, ny, nx = image.shape
    x, y = rng.uniform(0, nx), rng.uniform(0, ny)
    angle = rng.uniform(0, math.pi)
    peak = np.zeros(n_bands)
    bands = [rng.integers(n_bands)] if rng.random() < 0.8 else range(n_bands)
    for band in bands:
        peak[band] = survey.noise[band] * survey.binning * 10 ** rng.uniform(0.0, 1.3)
    # a satellite is closer than a telescope focuses
    defocus, tumbling = rng.uniform(0.5, 1.5), rng.random() < 0.25
    period = rng.uniform(30, 200) / survey.pixel_scale
    dx, dy = np.arange(nx) - x, (np.arange(ny) - y)[:, None]
    across = (dy * math.cos(angle) - dx * math.sin(angle)) * survey.pixel_scale
    for band in np.flatnonzero(peak):
        width = math.hypot(survey.psf_fwhm[band], defocus)
        rows, columns = np.nonzero(np.abs(across) < 4 * width)
        light = peak[band] * (1 + (2 * across[rows, columns] / width) ** 2 * 0.26) ** -3.0
        if tumbling:
            along = dx[columns] * math.cos(angle) + dy[rows, 0] * math.sin(angle)
            light *= 0.5 + 0.5 * np.cos(2 * math.pi * along / period) ** 2
        image[band, rows, columns] += light.astype(np.float32)
    return {
        "x": float(x),
        "y": float(y),
        "angle": math.degrees(angle),
        "peak": [float(p) for p in peak],
    }


def masked_edge(image, rng, *, kind=None, value=math.nan):
    """Blank part of the image, as at the edge of a survey or of a detector.

    Parameters
    ----------
    image : `numpy.ndarray` (band, ny, nx), float32
        Changed in place.
    rng : `numpy.random.Generator`
    kind : str, optional
        "strip" along one side, slanting "corner", or dead "columns"; drawn without.
    value : float
        What stands in masked pixels: NaN, or 0 after the noise.

    Returns
    -------
    dict
        ``kind``, ``bands`` (indices), ``fraction`` (of the pixels of such a band).
    """
    kinds = ("strip", "corner", "columns")
    kind = kinds[rng.integers(3)] if kind is None else check_choice("kind", kind, kinds)
    n_bands, ny, nx = image.shape
    if kind == "columns":
        bad = np.zeros((ny, nx), dtype=bool)
        first = rng.integers(nx)
        bad[:, first : first + rng.integers(1, 4)] = True
    else:
        tilt = rng.normal(0, 0.02) if kind == "strip" else rng.uniform(0.3, 1.2)
        angle = rng.integers(4) * math.pi / 2 + tilt
        cos, sin = math.cos(angle), math.sin(angle)
        depth = (np.arange(nx) - nx / 2) * cos + ((np.arange(ny) - ny / 2) * sin)[:, None]
        bad = depth > depth.max() - rng.uniform(0.02, 0.2) * (depth.max() - depth.min())
    bands = list(range(n_bands)) if rng.random() < 0.7 else [int(rng.integers(n_bands))]
    for band in bands:
        image[band][bad] = value
    return {"kind": kind, "bands": bands, "fraction": float(bad.mean())}
