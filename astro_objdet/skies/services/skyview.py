"""Images from NASA's SkyView, through astroquery's client: what paper I was made from."""

import functools

from astropy import units as u
from astropy.coordinates import SkyCoord

from astro_objdet.skies.services.bandimages import BandImage, astroquery_missing, fetched_or_kept
from astro_objdet.skies.services.replies import ImageReplyError, read_image, said

__all__ = ["skyview_image"]


def skyview_image(survey, band, cutout, line, cache):
    """One band of a survey, with the parameters of `~astro_objdet.skies.services.hips.hips_image`.

    SkyView takes the nearest or interpolated pixel of the survey: it is asked for pixels close to
    the survey's own, which are averaged here.
    """
    fine, parts = cutout.finer(survey.native_scale)
    size = fine.size * fine.pixel_scale / 3600 * u.deg
    # The client's own rounding of positions would be 2 arcsec in right ascension.
    place = f"{fine.ra:.7f} {fine.dec:+.7f}"
    options = {
        "survey": survey.ids[band],
        "coordinates": "J2000",
        "projection": "Tan",
        "pixels": str(fine.size),
        "width": size,
        "height": size,
    }
    request = {"service": "skyview", "position": place}
    request |= {name: str(value) for name, value in options.items()}
    data, wcs = fetched_or_kept(
        line,
        cache,
        request,
        lambda: _reply(line, place, options),
        lambda content: read_image(content, shape=fine.shape, centre=(fine.ra, fine.dec)),
    )
    image = BandImage(data, wcs)
    coarse = wcs if parts == 1 else wcs.slice((slice(None, None, parts),) * 2)
    return image.averaged(parts, coarse)


def _reply(line, place, options):
    """The reply with the image that SkyView's page of results links to."""
    client = _client_class()(place)
    client._request = pages = _Pages(line)
    position = SkyCoord(place, unit="deg", frame="fk5")
    try:
        urls = client.get_image_list(position, cache=False, **options)
    except ImageReplyError:
        raise
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        # What the client makes of a page that is not the form or the list of results.
        raise ImageReplyError(
            f"a page that was not understood, {said(pages.last)!r} ({error})", again=True
        ) from None
    if not urls:
        raise ImageReplyError(
            f"a page without a link to the image: {said(pages.last)!r}", again=True
        )
    return line.request("GET", urls[0])


class _Pages:
    """Sends requests, and remembers the last page for messages."""

    def __init__(self, line):
        self._line = line
        self.last = b""

    def __call__(self, *arguments, **options):
        reply = self._line.request(*arguments, **options)
        self.last = reply.content
        return reply


@functools.cache
def _client_class():
    try:
        from astroquery.skyview import SkyViewClass
    except ImportError as error:
        raise astroquery_missing(error) from error

    class ExactSkyView(SkyViewClass):
        """SkyView's client, with all digits of the position."""

        def __init__(self, place):
            super().__init__()
            self._place = place

        def _submit_form(self, input=None, **options):
            return super()._submit_form({**input, "Position": self._place}, **options)

    return ExactSkyView
