"""The surveys whose images can be fetched by name: which service has them, and in what unit.

No service could be asked where this list was made. Each entry says in ``source`` where its ids
and its unit were taken from; ids change, and `dataclasses.replace` makes an entry of one's own.
"""

import dataclasses
import difflib

from astro_objdet.errors import InputError

__all__ = ["ImageSurvey", "find_image_survey", "list_image_surveys"]

_CDS = (
    "This research has made use of hips2fits, a tool developed at CDS, Strasbourg, France aiming "
    "at extracting FITS images from HiPS sky maps with respect to a WCS."
)
_SDSS = "Cite SDSS and follow https://www.sdss.org/collaboration/citing-sdss/."
# Found alike in several public programs that ask hips2fits for these maps.
_HIPS_SOURCE = "ids as public programs ask hips2fits for them; the unit is the survey's own, "
_NO_UNIT = "pixel values as the service sends them; their flux scale was not found documented"


@dataclasses.dataclass(frozen=True)
class ImageSurvey:
    """Images of a survey, and the service that sends them.

    Attributes
    ----------
    name : str
        What it is asked for by.
    title : str
    service : str
        "skyview", "frames" or "hips2fits".
    ids : dict of str to str
        For each band what the service calls its images.
    native_scale : float
        Arcsec per pixel of the survey's own images, which pixel values are meant for: services
        that resample keep the values, not the flux.
    unit : str
        "nmgy" if the values are nanomaggies in one of the survey's own pixels, else "adu".
    note : str
        What is to be known of the values.
    compressed : tuple of str
        Bands whose values are no linear measure of flux.
    release : int or None
        Data release, for a service that needs it.
    reference : str
        Bibcode.
    source : str
        Where ids and unit were taken from.
    acknowledgement : str
        Terms of use.
    """

    name: str
    title: str
    service: str
    ids: dict
    native_scale: float
    unit: str = "adu"
    note: str = _NO_UNIT
    compressed: tuple = ()
    release: int | None = None
    reference: str = ""
    source: str = ""
    acknowledgement: str = ""

    def __post_init__(self):
        # A unit that is misspelt would pass for counts.
        if self.unit not in ("nmgy", "adu"):
            raise InputError(f"unit of a survey must be 'nmgy' or 'adu', got {self.unit!r}")

    @property
    def bands(self):
        """Names of the bands, tuple of str."""
        return tuple(self.ids)


def _hips(name, title, pattern, native_scale, reference, source, *, bands="gri", **more):
    ids = {band: pattern.format(band) for band in bands}
    return ImageSurvey(
        name, title, "hips2fits", ids, native_scale, reference=reference,
        source=_HIPS_SOURCE + source, acknowledgement=_CDS, **more,
    )  # fmt: skip


_SURVEYS = (
    ImageSurvey(
        "sdss",
        "SDSS corrected frames, DR17, put together on the grid asked for",
        "frames",
        {band: band for band in "ugriz"},
        0.396,
        unit="nmgy",
        note="nanomaggies; frames are sky-subtracted, the average where they overlap",
        release=17,
        reference="2022ApJS..259...35A",
        source="astroquery.sdss; the SDSS data model's page on frame files for the unit",
        acknowledgement=_SDSS,
    ),
    ImageSurvey(
        "skyview",
        "SDSS DR9 as NASA's SkyView has it: the images of paper I",
        "skyview",
        {band: f"SDSS{band}" for band in "ugriz"},
        0.396,
        reference="2012ApJS..203...21A",
        note=_NO_UNIT + "; SDSS itself gives nanomaggies per pixel",
        source="the list of surveys in astroquery's tests of its SkyView client",
        acknowledgement="We acknowledge the use of NASA's SkyView facility "
        "(https://skyview.gsfc.nasa.gov) located at NASA Goddard Space Flight Center. " + _SDSS,
    ),
    _hips(
        "sdss9",
        "SDSS DR9, HiPS",
        "CDS/P/SDSS9/{}",
        0.396,
        "2012ApJS..203...21A",
        "nanomaggies of the corrected frames",
        unit="nmgy",
        note="nanomaggies, of pixels of 0.396 arcsec",
    ),
    _hips(
        "legacy",
        "DESI Legacy Imaging Surveys DR10, HiPS; no i in the north",
        "CDS/P/DESI-Legacy-Surveys/DR10/{}",
        0.262,
        "2019AJ....157..168D",
        "nanomaggies of its coadds (Dey et al. 2019)",
        unit="nmgy",
        note="nanomaggies, of pixels of 0.262 arcsec; a public check found the cores "
        "of bright galaxies cut off in r",
        bands="griz",
    ),
    _hips(
        "des",
        "Dark Energy Survey DR2, HiPS",
        "CDS/P/DES-DR2/{}",
        0.263,
        "2021ApJS..255...20A",
        "counts",
        note=_NO_UNIT + "; the coadds of DES DR2 have the zero point 30 mag (AB)",
        bands="grizY",
    ),
    _hips(
        "panstarrs",
        "Pan-STARRS1 DR1, HiPS",
        "CDS/P/PanSTARRS/DR1/{}",
        0.25,
        "2016arXiv161205560C",
        "counts of stacks, each with a zero point of its own",
        note=_NO_UNIT + "; a public check measured r and i to be compressed by an arcsinh, g not",
        compressed=("r", "i", "z", "y"),
        bands="grizy",
    ),
    _hips(
        "hsc",
        "Hyper Suprime-Cam SSP PDR2 Wide, HiPS",
        "CDS/P/HSC/DR2/wide/{}",
        0.168,
        "2019PASJ...71..114A",
        "counts",
        note=_NO_UNIT + "; the coadds of HSC PDR2 have the zero point 27 mag (AB)",
        bands="grizy",
    ),
)


def list_image_surveys():
    """The surveys that images can be fetched of.

    Returns
    -------
    list of ImageSurvey
    """
    return list(_SURVEYS)


def find_image_survey(survey):
    """A survey of the list by its name, or one's own as it is.

    Raises
    ------
    InputError
        If there is none of that name; the message lists those there are.
    """
    if isinstance(survey, ImageSurvey):
        return survey
    by_name = {entry.name: entry for entry in _SURVEYS}
    if survey in by_name:
        return by_name[survey]
    close = difflib.get_close_matches(str(survey).lower(), by_name, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise InputError(f"survey must be one of {', '.join(by_name)}; got {survey!r}{hint}")
