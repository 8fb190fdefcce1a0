"""Images of the sky by position, from services of the public surveys.

Requests have time-outs and bounded retries, what came whole is kept, and a table says what failed
and why. Each service is a file of `astro_objdet.skies.services`.
"""

import contextlib
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData
from astropy.table import QTable

from astro_objdet.catalogs.columns import position_names, sky_positions
from astro_objdet.errors import (
    InputError,
    NetworkError,
    UncalibratedWarning,
    check_count,
    check_fraction,
    in_unit,
)
from astro_objdet.images.grid import pixel_geometry
from astro_objdet.skies.samples import PAPER_PIXEL_SCALE, PAPER_SIZE
from astro_objdet.skies.services.bandimages import Cutout
from astro_objdet.skies.services.cache import ReplyCache
from astro_objdet.skies.services.entries import (
    ImageSurvey,
    find_image_survey,
    list_image_surveys,
)
from astro_objdet.skies.services.frames import frames_image
from astro_objdet.skies.services.hips import hips_image
from astro_objdet.skies.services.replies import ImageReplyError
from astro_objdet.skies.services.skyview import skyview_image
from astro_objdet.skies.services.transport import Line

__all__ = [
    "ImageSurvey",
    "fetch_images",
    "fetch_table",
    "find_image_survey",
    "list_image_surveys",
]

_SERVICES = {"skyview": skyview_image, "frames": frames_image, "hips2fits": hips_image}
_GONE = "outside the survey's footprint"
_FAILURES = ("row", "ra", "dec", "band", "service", "reason", "attempts", "url")
# Images fetched ahead of the one that is being used, for each connection.
_AHEAD = 2


def fetch_images(
    ra, dec, *, survey="sdss", bands=("g", "r", "i"), size=PAPER_SIZE,
    pixel_scale=PAPER_PIXEL_SCALE, cache=True, timeout=60, retries=3, covered=0.5, sleep=None,
):  # fmt: skip
    """Fetch images of one place, north up, or take the copies kept of them.

    Parameters
    ----------
    ra, dec : float or `~astropy.units.Quantity`
        Of the middle, degrees, ICRS.
    survey : str or ImageSurvey, optional
        A name of `list_image_surveys`, or an entry of one's own.
    bands : iterable of str, optional
    size : int, optional
        Side in pixels.
    pixel_scale : float or `~astropy.units.Quantity`, optional
        Arcsec.
    cache : bool or path-like, optional
        Whether to take and to keep the service's replies, or the folder for them; by default
        ``astro_objdet/images`` in astropy's cache folder.
    timeout : float, optional
        Seconds without a byte after which a request is given up.
    retries : int, optional
        How often to ask again after a failure that may pass, with pauses of about 1, 2, 4 …
        seconds or as long as the service asks for.
    covered : float, optional
        Least part of an image that must have data.
    sleep : callable, optional
        Waits for a number of seconds.

    Returns
    -------
    dict of str to `~astropy.nddata.CCDData`
        By band. The unit is nanomaggy per pixel where the values' scale is documented, else adu;
        ``.wcs`` is the image's, ``.mask`` is true where there are no data, and ``.meta`` says
        where it comes from.

    Raises
    ------
    InputError
        If a parameter cannot be used, or astroquery is not installed.
    NetworkError
        If an image did not come; names service, place, band, reason and what to do.

    Warns
    -----
    UncalibratedWarning
        If the values of a band are not proportional to flux.
    """
    entry, bands = _checked(survey, bands)
    check_fraction("covered", covered)
    cutout = _cutout(ra, dec, size, pixel_scale)
    line = Line(timeout, retries, sleep=sleep)
    kept = _cache(cache)
    images = {}
    for band in bands:
        try:
            images[band] = _image(entry, band, cutout, line, kept, covered)
        except ImageReplyError as error:
            raise NetworkError(_told(entry, band, cutout, error)) from None
    return images


def fetch_table(
    positions, use=None, *, survey="sdss", bands=("g", "r", "i"), size=PAPER_SIZE,
    pixel_scale=PAPER_PIXEL_SCALE, columns=None, skip=(), connections=4, give_up=20,
    cache=True, timeout=60, retries=3, covered=0.5, sleep=None,
):  # fmt: skip
    """Fetch images of all places in a table.

    Parameters
    ----------
    positions : `~astropy.table.Table`
        As from `~astro_objdet.skies.samples.random_offsets`, or with any columns of positions.
    use : callable, optional
        Called with the row and the images (dict of `fetch_images`), in the order of the rows and
        in the thread of the caller. Without it the images are only kept.
    survey, bands, size, pixel_scale, cache, timeout, retries, covered, sleep
        As for `fetch_images`.
    columns : pair of str, optional
        Names of the columns of the middle's right ascension and declination; by default
        centre_ra and centre_dec if they are there, or else as they are recognised.
    skip : iterable of int, optional
        Rows that are there already, of a set that was half built.
    connections : int, optional
        How many images to fetch at a time.
    give_up : int, optional
        After so many places in a row that the service failed at, the others are not asked for.

    Returns
    -------
    `~astropy.table.QTable`
        What failed: row, ra, dec (deg), band, service, reason, attempts, url. A place where one
        band failed is not used; its bands after that are not asked for.

    Raises
    ------
    InputError
        If a parameter cannot be used, or astroquery is not installed.

    Warns
    -----
    UncalibratedWarning
        As `fetch_images`.
    """
    entry, bands = _checked(survey, bands)
    check_fraction("covered", covered)
    for name, value in (("connections", connections), ("give_up", give_up)):
        check_count(name, value)
    _cutout(0, 0, size, pixel_scale)
    ra, dec, failed = _places(positions, columns, entry)
    done = {int(row) for row in skip} | {failure["row"] for failure in failed}
    line, kept = Line(timeout, retries, sleep=sleep), _cache(cache)

    def fetch(row):
        cutout = _cutout(ra[row], dec[row], size, pixel_scale)
        return _bands_of(entry, bands, cutout, line, kept, covered)

    in_a_row = 0
    with contextlib.closing(_in_order(fetch, len(ra), done, connections, line)) as results:
        for row, (images, failure) in results:
            if failure is None:
                in_a_row = 0
                if use is not None:
                    use(row, images)
                continue
            failed.append({"row": row, "ra": ra[row], "dec": dec[row]} | failure)
            in_a_row = 0 if failure["reason"].endswith(_GONE) else in_a_row + 1
            if in_a_row >= give_up:
                break
    if in_a_row >= give_up:
        failed += _given_up(failed, ra, dec, done, entry, in_a_row)
    return _failure_table(failed)


def _checked(survey, bands):
    entry = find_image_survey(survey)
    if entry.service not in _SERVICES:
        raise InputError(f"service of a survey must be one of {', '.join(_SERVICES)}")
    bands = [bands] if isinstance(bands, str) and bands in entry.ids else list(bands)
    missing = [band for band in bands if band not in entry.ids]
    if missing or not bands:
        raise InputError(
            f"bands must be of {', '.join(entry.bands)} for survey {entry.name!r}, got {bands!r}"
        )
    compressed = [band for band in bands if band in entry.compressed]
    if compressed:
        warnings.warn(
            f"survey {entry.name!r}: values in {', '.join(compressed)} are not proportional to "
            f"flux ({entry.note})",
            UncalibratedWarning,
            stacklevel=3,
        )
    return entry, bands


def _cutout(ra, dec, size, pixel_scale):
    ra, dec = (float(in_unit(name, value, "deg")) for name, value in (("ra", ra), ("dec", dec)))
    cutout = Cutout(ra, dec, size, float(in_unit("pixel_scale", pixel_scale, "arcsec")))
    # It checks them all.
    cutout.wcs  # noqa: B018
    return cutout


def _cache(cache):
    if cache is False or cache is None:
        return None
    return ReplyCache(None if cache is True else cache)


def _image(entry, band, cutout, line, cache, covered):
    """One band as CCDData."""
    image = _SERVICES[entry.service](entry, band, cutout, line, cache)
    data = image.data
    # Some services write 0 where they have nothing; sky that was measured is never exactly that.
    bad = ~np.isfinite(data) | (data == 0)
    part = 1 - float(np.mean(bad))
    if part < covered:
        raise ImageReplyError(f"only {part:.0%} of the image has data, the rest is {_GONE}")
    unit = u.adu
    if entry.unit == "nmgy":
        area = pixel_geometry(image.wcs, data.shape)[2]
        data, unit = data * np.float32(area / entry.native_scale**2), u.nmgy
    meta = {
        "SURVEY": entry.name,
        "FILTER": band,
        "SERVICE": entry.service,
        "IMAGEID": entry.ids[band],
        "COVERED": part,
        "NOTE": entry.note,
        "BIBCODE": entry.reference,
    }
    return CCDData(data, unit=unit, mask=bad, wcs=image.wcs, meta=meta)


def _bands_of(entry, bands, cutout, line, cache, covered):
    """All bands of a place, or what failed."""
    images = {}
    for band in bands:
        try:
            images[band] = _image(entry, band, cutout, line, cache, covered)
        except ImageReplyError as error:
            told = {"band": band, "service": entry.service, "reason": str(error)}
            return None, told | {"attempts": error.attempts, "url": error.url}
    return images, None


def _in_order(fetch, n, done, connections, line):
    """Rows and what ``fetch`` returns for them, several at a time, in the order of the rows."""
    rows = (row for row in range(n) if row not in done)
    waiting = deque()
    pool = ThreadPoolExecutor(connections, thread_name_prefix="images")
    try:
        for row in rows:
            waiting.append((row, pool.submit(fetch, row)))
            if len(waiting) >= _AHEAD * connections:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        # An error or Ctrl-C does not wait for what nobody will use.
        line.stop()
        pool.shutdown(wait=False, cancel_futures=True)


def _places(positions, columns, entry):
    """Right ascension and declination of each row, and rows without them as failures."""
    if columns is None and {"centre_ra", "centre_dec"} <= set(positions.colnames):
        columns = ("centre_ra", "centre_dec")
    lon, lat = position_names(columns, "columns")
    place = sky_positions(positions, side="positions", ra=lon, dec=lat)
    failed = [
        {
            "row": int(row), "ra": np.nan, "dec": np.nan, "band": "", "service": entry.service,
            "reason": str(reason), "attempts": 0, "url": "",
        }
        for row, reason in enumerate(place.reason)
        if reason
    ]  # fmt: skip
    return place.ra, place.dec, failed


def _given_up(failed, ra, dec, done, entry, in_a_row):
    """Failures for the rows that were not asked for any more."""
    last = failed[-1]["row"]
    reason = f"not asked for after {in_a_row} failures in a row"
    told = {"band": "", "service": entry.service, "reason": reason, "attempts": 0, "url": ""}
    return [
        {"row": row, "ra": ra[row], "dec": dec[row]} | told
        for row in range(last + 1, len(ra))
        if row not in done
    ]


def _failure_table(failed):
    failed = sorted(failed, key=lambda failure: failure["row"])
    columns = {name: [failure[name] for failure in failed] for name in _FAILURES}
    types = {"row": int, "ra": float, "dec": float, "attempts": int}
    table = QTable({name: np.array(columns[name], types.get(name, str)) for name in _FAILURES})
    table["ra"], table["dec"] = table["ra"] * u.deg, table["dec"] * u.deg
    return table


def _told(entry, band, cutout, error):
    """What failed and what to do, for one image."""
    if str(error).endswith(_GONE):
        advice = "take another survey (list_image_surveys) or another place"
    elif error.again:
        advice = (
            "try again later: what came whole is kept; or give a longer timeout or more retries"
        )
    else:
        advice = (
            "see whether the service still has it under this name: ids of images can be changed "
            "by dataclasses.replace on find_image_survey(...)"
        )
    times = f" after {error.attempts} attempts" if error.attempts > 1 else ""
    asked = f" ({error.url})" if error.url else ""
    return (
        f"survey {entry.name!r}, service {entry.service}: band {band} ({entry.ids[band]}) at "
        f"RA {cutout.ra:.5f}, Dec {cutout.dec:+.5f} did not come{times}: {error}{asked}; {advice}"
    )
