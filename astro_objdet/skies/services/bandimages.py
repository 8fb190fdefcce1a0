"""One band of one place: what each service is asked for, and how its replies become an image."""

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from astro_objdet.errors import InputError
from astro_objdet.skies.samples import cutout_wcs
from astro_objdet.skies.services.replies import ImageReplyError

__all__ = ["BandImage", "Cutout", "astroquery_missing", "fetched_or_kept"]


@dataclass(frozen=True)
class Cutout:
    """The grid that an image is wanted on: north up, TAN.

    Attributes
    ----------
    ra, dec : float
        Of its middle, degrees, ICRS.
    size : int
        Side in pixels.
    pixel_scale : float
        Arcsec.
    """

    ra: float
    dec: float
    size: int
    pixel_scale: float

    @property
    def wcs(self):
        """`~astropy.wcs.WCS`."""
        return cutout_wcs(self.ra, self.dec, self.size, self.pixel_scale)

    @property
    def shape(self):
        """(ny, nx)."""
        return self.size, self.size

    def finer(self, native_scale):
        """This grid divided into pixels close to the survey's own, and into how many each.

        Asking for larger pixels than a survey has would take single ones of it, noise and all.
        """
        parts = max(1, round(self.pixel_scale / native_scale))
        return Cutout(self.ra, self.dec, self.size * parts, self.pixel_scale / parts), parts


@dataclass(frozen=True)
class BandImage:
    """One band.

    Attributes
    ----------
    data : `~numpy.ndarray` of float32, shape (ny, nx)
        Values as of the survey's own pixels; NaN where there is none.
    wcs : `~astropy.wcs.WCS`
    """

    data: np.ndarray
    wcs: WCS

    def averaged(self, parts, wcs):
        """Mean of ``parts`` × ``parts`` pixels each, of those that have a value."""
        if parts == 1:
            return self
        ny, nx = (length // parts for length in self.data.shape)
        blocks = self.data.reshape(ny, parts, nx, parts)
        good = np.isfinite(blocks)
        number = good.sum(axis=(1, 3))
        total = np.where(good, blocks, 0).sum(axis=(1, 3), dtype=np.float64)
        data = np.full((ny, nx), np.nan, dtype=np.float32)
        # As for other images of the package: half of a pixel must be there.
        np.divide(total, number, out=data, where=2 * number >= parts**2, casting="unsafe")
        return BandImage(data, wcs)


def fetched_or_kept(line, cache, request, ask, read):
    """The reply to a request, from the cache or the service, as ``read`` makes it of its bytes.

    Parameters
    ----------
    line : Line
    cache : ReplyCache or None
    request : dict
        Of plain values: all that the reply depends on.
    ask : callable
        Returns a `Reply`.
    read : callable
        From bytes to what is wanted of them; raises `ImageReplyError` for a reply that is not
        whole, which is then asked for anew and not kept.

    Returns
    -------
    object
        What ``read`` returns.

    Raises
    ------
    ImageReplyError
        If no whole reply came.
    """
    kept = None if cache is None else cache.get(request)
    if kept is not None:
        try:
            return read(kept)
        except ImageReplyError:
            # As good as none.
            pass

    def attempt():
        reply = ask()
        try:
            return reply.content, read(reply.content)
        except ImageReplyError as error:
            error.url = error.url or reply.url
            raise

    content, value = line.persist(attempt, str(sorted(request.items())))
    if cache is not None:
        cache.put(request, content)
    return value


def astroquery_missing(error):
    """The error that says what to install."""
    return InputError(
        "images are fetched through astroquery, which is not installed: "
        f"pip install astroquery ({error})"
    )
