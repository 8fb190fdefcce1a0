"""Draw sources into real images, with the same code that renders skies."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs import WCS

from astro_objdet.errors import InputError, check_choice
from astro_objdet.images import read_bands
from astro_objdet.images.grid import same_grid
from astro_objdet.skies.conditions import SURVEYS, Survey
from astro_objdet.skies.drawing import Sources, draw_sources

__all__ = ["Injection", "inject"]


@dataclass
class Injection:
    """What `inject` made.

    Attributes
    ----------
    images : dict of str to `~astropy.nddata.CCDData`
        The bands with the sources drawn in.
    truth : `~astropy.table.QTable`
        One row per source: ``position`` (row of the positions), ``ra``, ``dec`` (deg; where
        there is a WCS), ``x``, ``y`` (pixel of the first band), ``flux_<band>`` (nmgy),
        ``radius`` (arcsec), ``axis_ratio``, ``angle`` (deg from +x), ``index``.
    """

    images: dict
    truth: QTable


def inject(image, sources, survey, positions=None, *, rng, psf_fwhm=None, photon_noise=True, **how):
    """Return a copy of an image with sources drawn in.

    Parameters
    ----------
    image : mapping of str to `~astropy.nddata.CCDData`, `BandStack`, or other
        Of a mapping of CCDData, each band keeps its grid, unit, mask, header and type. All
        else that `~astro_objdet.images.read_bands` takes comes back in nanomaggies.
    sources : `Sources`, callable, or sequence of these
        A callable gets ``rng`` and returns `Sources`. One for all positions, or one for each.
        With positions, x and y are arcsec west and north of the position, as in
        an image of 1 arcsec per pixel with north up and east left, and so is the angle;
        without, they are pixels of the image.
    survey : str or `Survey`
        Where the image comes from: bands of the sources' fluxes, Moffat's exponent,
        electrons per nanomaggy, and the PSF where the image does not tell.
    positions : `~astropy.coordinates.SkyCoord` or array (n, 2), optional
        On the sky; numbers are ra and dec (ICRS) in degrees.
    rng : `numpy.random.Generator`
    psf_fwhm : Quantity, float in arcsec or mapping, optional
        Over what the image says.
    photon_noise : bool
        Whether the sources' light comes in whole electrons.
    **how
        ``bands``, ``unit``, ``zero_point``, ``hdu`` and ``mask`` of `read_bands`.

    Returns
    -------
    `Injection`

    Raises
    ------
    InputError
        For an image without flux scale or, with positions, without WCS; bands that
        the sources have no flux in; positions that the WCS cannot reach.
    """
    if isinstance(survey, str):
        check_choice("survey", survey, SURVEYS)
        survey = SURVEYS[survey]
    if isinstance(image, Mapping):
        each = [
            _Band(name, read_bands({name: plane}, **_of_band(how, name)), plane)
            for name, plane in image.items()
        ]
    else:
        stack = read_bands(image, **how)
        each = [_Band(name, stack.select(name)) for name in stack.bands]
    for band in each:
        _check_band(band, survey, positions is not None)
    sets, rows = _source_sets(sources, positions, rng)
    if positions is None:
        _check_one_grid(each)
        on_grid = [sets[0]] * len(each)
    else:
        centres = _sky(positions)
        local = [_LocalFrame(centre) for centre in centres]
        on_grid = [
            Sources.join([f.on_grid(s, b.stack) for f, s in zip(local, sets, strict=True)])
            for b in each
        ]
    images = {}
    for band, placed in zip(each, on_grid, strict=True):
        light = _light(placed, band, survey, psf_fwhm, rng if photon_noise else None)
        images[band.name] = band.with_light(light)
    return Injection(images, _truth(each[0], on_grid[0], survey.bands, rows))


def _of_band(how, band):
    """The options of one band, from mappings of bands."""
    return {k: v.get(band) if isinstance(v, Mapping) else v for k, v in how.items()}


@dataclass
class _Band:
    """One band of the image: its stack in nanomaggies, and what came in."""

    name: str
    stack: object
    given: object = None

    def with_light(self, light):
        """A copy with ``light`` (nanomaggies per pixel) added, in the unit that came."""
        data, mask = (plane[0] for plane in self.stack.read_all())
        if not isinstance(self.given, CCDData):
            bad = mask if mask.any() else None
            values = np.where(mask, np.nan, data + light).astype(np.float32)
            return CCDData(values, unit=self.stack.unit, wcs=self.stack.wcs, mask=bad)
        copy = self.given.copy()
        raw = np.asarray(copy.data)
        # pixels far from 0 say best how many nanomaggies a unit is
        size = np.where(mask | (raw == 0), 0, np.abs(data))
        bright = (size > 0) & (size >= np.quantile(size, 0.99))
        if not bright.any():
            raise InputError(f"band {self.name} holds nothing but zeros")
        factor = np.median(data[bright] / raw[bright].astype(float))
        kind = raw.dtype if raw.dtype.kind == "f" else np.float32
        copy.data = (raw + light / factor).astype(kind)
        return copy


def _check_band(band, survey, needs_wcs):
    check_choice("band", band.name, survey.bands)
    if band.stack.unit is None:
        raise InputError(f"band {band.name} has no flux scale: give unit or zero_point")
    if needs_wcs and band.stack.wcs is None:
        raise InputError(f"band {band.name} has no WCS to put positions on")


def _check_one_grid(each):
    first = each[0].stack
    for band in each[1:]:
        grids = (first.wcs, first.shape[1:], band.stack.wcs, band.stack.shape[1:])
        alike = grids[1] == grids[3] if None in (grids[0], grids[2]) else same_grid(*grids)
        if not alike:
            raise InputError("bands on different grids need positions on the sky")


def _sky(positions):
    """`SkyCoord` (n,) of positions, ICRS."""
    if not isinstance(positions, SkyCoord):
        values = np.asarray(positions, dtype=float)
        if values.ndim != 2 or values.shape[1] != 2 or not np.isfinite(values).all():
            raise InputError(
                f"positions must be finite pairs of ra and dec in deg, got shape {values.shape}"
            )
        try:
            positions = SkyCoord(values[:, 0], values[:, 1], unit=u.deg)
        except ValueError as err:
            raise InputError(f"positions must be ra and dec in deg: {err}") from err
    if positions.size == 0:
        raise InputError("positions must hold at least one")
    return positions.icrs.reshape(-1)


def _source_sets(sources, positions, rng):
    """A `Sources` for each position, and the row of the position for each source."""
    count = 1 if positions is None else len(_sky(positions))
    if isinstance(sources, Sources) or callable(sources):
        sources = [sources] * count
    if len(sources) != count:
        raise InputError(f"sources must be one, or one for each of {count} positions")
    sets = [s(rng) if callable(s) else s for s in sources]
    return sets, np.repeat(np.arange(count), [len(s) for s in sets])


class _LocalFrame:
    """Arcsec west and north of a position, as pixels of a plane that touches the sky there."""

    def __init__(self, centre):
        self.wcs = WCS(naxis=2)
        self.wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        self.wcs.wcs.cunit = ["deg", "deg"]
        self.wcs.wcs.crval = [centre.ra.deg, centre.dec.deg]
        self.wcs.wcs.crpix = [1, 1]
        self.wcs.wcs.cdelt = [-1 / 3600, 1 / 3600]
        self.wcs.wcs.radesys = "ICRS"
        self.name = centre.to_string("decimal")

    def on_grid(self, sources, stack):
        """The sources with x, y and angle in pixels of a stack."""
        # two steps of an arcsec show how the plane lies on the grid
        x, y = np.append([0, 1, 0], sources.x), np.append([0, 0, 1], sources.y)
        x, y = stack.wcs.world_to_pixel(self.wcs.pixel_to_world(x, y))
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise InputError(f"position {self.name} is out of reach of the image's WCS")
        cos, sin = np.cos(sources.angle), np.sin(sources.angle)
        along_x = cos * (x[1] - x[0]) + sin * (x[2] - x[0])
        along_y = cos * (y[1] - y[0]) + sin * (y[2] - y[0])
        return replace(sources, x=x[3:], y=y[3:], angle=np.arctan2(along_y, along_x))


def _light(sources, band, survey, psf_fwhm, rng):
    """Nanomaggies per pixel of the sources in one band, with their photon noise."""
    stack, index = band.stack, survey.bands.index(band.name)
    scale = survey.pixel_scale if stack.pixel_scale is None else stack.pixel_scale.value
    given = psf_fwhm.get(band.name) if isinstance(psf_fwhm, Mapping) else psf_fwhm
    width = stack.psf_fwhm.get(band.name) if given is None else given
    # widths measured in this image contain its pixels, the survey's those of the survey
    binning = 1.0 if width is not None else scale / survey.pixel_scale
    width = survey.psf_fwhm[index] if width is None else u.Quantity(width, u.arcsec).value
    noise = stack.noise()[0] / scale**2
    conditions = Survey(
        name=survey.name,
        pixel_scale=scale,
        psf_fwhm=(width,),
        noise=(noise if noise > 0 else survey.noise[index],),
        psf_beta=survey.psf_beta,
        electrons=(survey.electrons[index],),
        saturation=(survey.saturation[index],),
        aureole=(survey.aureole[index],),
        binning=binning,
        bands=(band.name,),
    )
    one_band = replace(sources, flux=np.asarray(sources.flux)[:, [index]])
    light = draw_sources(one_band, stack.shape[1:], conditions)[0] * scale**2
    if rng is None:
        return light
    electrons = survey.electrons[index]
    return rng.poisson(np.maximum(light, 0) * electrons) / electrons


def _truth(band, sources, names, rows):
    truth = QTable()
    truth["position"] = rows
    if band.stack.wcs is not None:
        sky = SkyCoord(band.stack.wcs.pixel_to_world(sources.x, sources.y)).icrs
        truth["ra"], truth["dec"] = sky.ra.to(u.deg), sky.dec.to(u.deg)
    truth["x"], truth["y"] = sources.x * u.pix, sources.y * u.pix
    for name, flux in zip(names, np.asarray(sources.flux).T, strict=True):
        truth[f"flux_{name}"] = flux * u.nmgy
    truth["radius"] = sources.radius * u.arcsec
    truth["axis_ratio"] = sources.axis_ratio
    truth["angle"] = np.degrees(sources.angle) * u.deg
    truth["index"] = sources.index
    return truth
