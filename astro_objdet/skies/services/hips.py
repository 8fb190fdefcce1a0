"""Images from the HiPS sky maps of the CDS, through astroquery's hips2fits client."""

from astro_objdet.skies.services.bandimages import BandImage, astroquery_missing, fetched_or_kept
from astro_objdet.skies.services.replies import read_image

__all__ = ["hips_image"]


def hips_image(survey, band, cutout, line, cache):
    """One band of a survey on the grid asked for.

    Parameters
    ----------
    survey : ImageSurvey
    band : str
    cutout : Cutout
    line : Line
    cache : ReplyCache or None

    Returns
    -------
    BandImage

    Raises
    ------
    ImageReplyError
        If it did not come whole.
    """
    try:
        from astroquery.hips2fits import hips2fitsClass
    except ImportError as error:
        raise astroquery_missing(error) from error
    client = hips2fitsClass()
    client._request = line.request
    # Of the parameters for pictures those are sent that the client itself has as defaults.
    options = {"format": "fits", "min_cut": 0.5, "max_cut": 99.5, "stretch": "linear"}
    options |= {"hips": survey.ids[band], "wcs": cutout.wcs, "cmap": "Greys_r"}
    request = client.query_with_wcs_async(get_query_payload=True, **options)
    data, wcs = fetched_or_kept(
        line,
        cache,
        {"service": "hips2fits"} | {name: str(value) for name, value in request.items()},
        lambda: client.query_with_wcs_async(**options),
        lambda content: read_image(content, shape=cutout.shape, centre=(cutout.ra, cutout.dec)),
    )
    return BandImage(data, wcs)
