"""What imaging surveys do to the sky: pixels, seeing, noise, saturation and zero point.

The noise of a pixel follows from the published depth. Its rms per square arcsec is
n; a flux summed over pixels of side p with the best weights for a point source
then has the error n p sqrt(A), where A is the noise-equivalent area of the PSF,
1 / integral of PSF^2 (King 1983, PASP 95, 163), and in an aperture of area A it
has the same with that area.
"""

import math
from dataclasses import dataclass, replace

from astro_objdet.errors import InputError, check_positive

__all__ = ["SURVEYS", "Survey", "noise_equivalent_area"]


@dataclass(frozen=True)
class Survey:
    """Conditions of an imaging survey; tuples hold one value per band.

    Attributes
    ----------
    name : str
    pixel_scale : float
        Arcsec per pixel.
    psf_fwhm : tuple of float
        Full width at half maximum of stars in the survey's own pixels, arcsec; in
        `SURVEYS` the median.
    noise : tuple of float
        Sky noise (rms) of one pixel in nanomaggy per square arcsec.
    psf_spread : float
        Rms of ln(FWHM) from field to field, common to the bands.
    psf_beta : float
        Exponent of Moffat's profile.
    electrons : tuple of float
        Electrons per nanomaggy, all exposures together.
    saturation : tuple of float
        AB magnitude of a star whose brightest pixel is just full.
    zero_point : float
        AB magnitude of one unit in the survey's own images.
    aureole : tuple of float
        Share of a star's light in a square arcsec at 10 arcsec from it.
    spikes : float
        Strength of the diffraction spikes, relative to SDSS's.
    ghost_radius : float
        Radius in arcsec of the ring that a reflection in the camera makes of a
        bright star; 0 for none.
    binning : float
        How many of the survey's own pixels a pixel is wide.
    bands : tuple of str

    Raises
    ------
    InputError
        For values that are not above 0, or not one per band.
    """

    name: str
    pixel_scale: float
    psf_fwhm: tuple
    noise: tuple
    psf_spread: float = 0.1
    psf_beta: float = 3.0
    electrons: tuple = (1000.0, 1000.0, 1000.0)
    saturation: tuple = (14.0, 14.0, 14.0)
    zero_point: float = 22.5
    aureole: tuple = (3e-5, 3e-5, 3e-5)
    spikes: float = 1.0
    ghost_radius: float = 0.0
    binning: float = 1
    bands: tuple = ("g", "r", "i")

    def __post_init__(self):
        check_positive("pixel_scale", self.pixel_scale)
        object.__setattr__(self, "bands", tuple(self.bands))
        for name in ("psf_fwhm", "noise", "electrons", "saturation", "aureole"):
            values = tuple(float(v) for v in getattr(self, name))
            if len(values) != len(self.bands):
                raise InputError(
                    f"{name} must have a value for each of the bands {', '.join(self.bands)}, "
                    f"got {len(values)}"
                )
            for value in values:
                check_positive(name, value)
            object.__setattr__(self, name, values)
        if not self.psf_beta > 1.1:
            raise InputError(f"psf_beta must be above 1.1, got {self.psf_beta!r}")

    def binned(self, factor):
        """The same survey averaged over ``factor`` x ``factor`` pixels.

        Parameters
        ----------
        factor : float
            From 1 up. The noise of a pixel is that of the mean, as if the survey's pixels could
            be cut.
        """
        return replace(
            self,
            pixel_scale=self.pixel_scale * factor,
            noise=tuple(n / factor for n in self.noise),
            binning=self.binning * factor,
        )

    def drawn(self, rng):
        """The same survey with the seeing of one field.

        Parameters
        ----------
        rng : `numpy.random.Generator`
        """
        width = math.exp(self.psf_spread * rng.standard_normal())
        return replace(
            self,
            psf_fwhm=tuple(f * width for f in self.psf_fwhm),
            # what a pixel holds stays the same
            saturation=tuple(m - 5 * math.log10(width) for m in self.saturation),
        )

    def depth(self):
        """Magnitudes, per band, of a point source of five times its error.

        Returns
        -------
        tuple of float
        """
        return tuple(
            22.5 - 2.5 * math.log10(5 * n * self.pixel_scale * math.sqrt(area))
            for n, area in zip(
                self.noise,
                (noise_equivalent_area(f, self.psf_beta) for f in self.psf_fwhm),
                strict=True,
            )
        )

    def optical_fwhm(self):
        """FWHM, per band, of the light that falls on the pixels, arcsec.

        The widths of `psf_fwhm` are measured in the survey's own pixels, and a square
        one of side p adds the variance p^2 / 12.
        """
        pixel = 8 * math.log(2) / 12 * (self.pixel_scale / self.binning) ** 2
        return tuple(math.sqrt(max(f * f - pixel, 0.25 * f * f)) for f in self.psf_fwhm)


def noise_equivalent_area(fwhm, beta):
    """1 / integral of the square of a Moffat PSF of unit flux.

    Parameters
    ----------
    fwhm : float
        Arcsec.
    beta : float

    Returns
    -------
    float
        Square arcsec.
    """
    core = fwhm / 2 / math.sqrt(2 ** (1 / beta) - 1)
    return math.pi * core**2 * (2 * beta - 1) / (beta - 1) ** 2


def _preset(depth, *, times=5, aperture=None, **values):
    """A `Survey` whose noise follows from the magnitude of ``times`` times the error.

    ``aperture`` is a diameter in arcsec; without it the depth is a point source's.
    """
    noise = []
    for magnitude, fwhm in zip(depth, values["psf_fwhm"], strict=True):
        error = 10 ** ((22.5 - magnitude) / 2.5) / times
        area = noise_equivalent_area(fwhm, values["psf_beta"])
        if aperture is not None:
            area = math.pi * (aperture / 2) ** 2
        noise.append(error / (values["pixel_scale"] * math.sqrt(area)))
    return Survey(noise=tuple(noise), **values)


def _electrons(zero_points, seconds):
    """Electrons per nanomaggy from the magnitudes of one electron per second."""
    return tuple(10 ** ((m - 22.5) / 2.5) * t for m, t in zip(zero_points, seconds, strict=True))


# Depth, width, and saturation of SDSS are those of its imaging ("Scope", DR12;
# Alam et al. 2015, ApJS 219, 12; York et al. 2000, AJ 120, 1579); its electrons are the
# cameras' mean gains (Gunn et al. 1998, AJ 116, 3040) times the counts of a nanomaggy
# in 53.9 s (some 0.0039, 0.0050 and 0.0067 nanomaggy per count in the frames). With beta
# = 3.5 the depth gives 0.172 in r, the photon noise of a sky of r = 20.9 mag per square
# arcsec, which is SDSS's; with smaller beta it would be less than that. The aureole is
# measured on stars of r = 12 to 14 in frames around NGC 6976: light scattered in the
# thinned detectors makes it red.
_SDSS = _preset(
    (23.13, 22.70, 22.20),
    name="sdss",
    pixel_scale=0.396,
    psf_fwhm=(1.44, 1.32, 1.26),
    psf_spread=0.13,
    psf_beta=3.5,
    electrons=(990.0, 950.0, 740.0),
    saturation=(14.0, 14.0, 14.0),
    zero_point=22.5,
    aureole=(2e-5, 4e-5, 9e-5),
)
# DES DR2 (Abbott et al. 2021, ApJS 255, 20): widths, and the magnitudes of ten times the error
# in 1.95 arcsec apertures (abstract). Zero points of 90 s exposures and saturation of
# point sources are of the notebook behind that paper's Table 1
# (DouglasLeeTucker/DESDR2_ABoffsets); seven exposures overlap on average.
_DES = _preset(
    (24.7, 24.4, 23.8),
    times=10,
    aperture=1.95,
    name="des",
    pixel_scale=0.263,
    psf_fwhm=(1.11, 0.95, 0.88),
    psf_spread=0.07,
    psf_beta=3.0,
    electrons=_electrons((31.592, 31.750, 31.675), (7, 7, 7)),
    saturation=(15.2, 15.7, 15.8),
    spikes=0.3,
    zero_point=30.0,
    ghost_radius=45.0,
)
# HSC-SSP Wide (PDR2: Aihara et al. 2019, PASJ 71, 114, Table 2): seeing, depth, saturation;
# 10, 10 and 20 minutes. The electrons are those that fill a pixel of 150,000 (instrument page)
# at the saturation magnitude in one of the exposures of 150, 150 and 200 s.
_HSC = _preset(
    (26.6, 26.2, 26.2),
    name="hsc",
    pixel_scale=0.168,
    psf_fwhm=(0.77, 0.76, 0.58),
    psf_spread=0.12,
    psf_beta=3.0,
    electrons=(2.1e5, 1.7e5, 2.8e5),
    saturation=(17.6, 17.4, 18.1),
    spikes=0.3,
    zero_point=27.0,
    ghost_radius=40.0,
)
# LSST after ten years (Ivezic et al. 2019, ApJ 873, 111, Table 2): depth and saturation; 80, 184
# and 184 visits of 30 s, zero points of SMTN-002. Its effective widths of 0.87, 0.83 and
# 0.80 arcsec are 0.822 FWHM + 0.052 of the profile's own.
_LSST = _preset(
    (27.4, 27.5, 26.8),
    name="lsst",
    pixel_scale=0.2,
    psf_fwhm=(0.77, 0.73, 0.71),
    psf_spread=0.04,
    psf_beta=3.0,
    electrons=_electrons((28.51, 28.36, 28.17), (80 * 30, 184 * 30, 184 * 30)),
    saturation=(15.7, 15.8, 15.8),
    spikes=0.3,
    zero_point=31.4,
    ghost_radius=40.0,
)

#: The surveys by name: SDSS, DES DR2, HSC-SSP Wide, and LSST after ten years, as closely as
#: a rendering needs them. ``psf_spread`` is a rounded reading of the papers' figures of the
#: seeing, ``ghost_radius`` of images.
SURVEYS = {survey.name: survey for survey in (_SDSS, _DES, _HSC, _LSST)}
