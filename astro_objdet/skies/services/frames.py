"""SDSS: the corrected frames around a place, through astroquery's client, put together."""

import bz2

import numpy as np
from reproject import reproject_interp

from astro_objdet.images.grid import quiet_astropy
from astro_objdet.skies.services.bandimages import BandImage, astroquery_missing, fetched_or_kept
from astro_objdet.skies.services.replies import ImageReplyError, read_image, said
from astro_objdet.skies.services.transport import Reply

__all__ = ["frames_image"]

# Arcsec around an image where objects are looked for: the frame at a corner may have none inside.
_MARGIN = 60.0
_FIELDS = ("run", "rerun", "camcol", "field")


def frames_image(survey, band, cutout, line, cache):
    """One band of a survey, with the parameters of `~astro_objdet.skies.services.hips.hips_image`.

    All frames with primary objects in or next to the image are taken, brought onto its grid by
    interpolation on pixels close to the survey's own, and averaged.
    """
    try:
        from astroquery.sdss import SDSSClass
    except ImportError as error:
        raise astroquery_missing(error) from error
    client = SDSSClass()
    client._request = line.request
    frames = _frame_list(client, survey, cutout, line, cache)
    fine, parts = cutout.finer(survey.native_scale)
    target = fine.wcs
    total, number = (np.zeros(fine.shape, np.float32) for _ in range(2))
    for frame in frames:
        url = _frame_url(client, survey, frame, band)
        data, wcs = fetched_or_kept(
            line,
            cache,
            {"service": "sdss frames", "url": url},
            lambda url=url: line.request("GET", url),
            _read_frame,
        )
        _add(data, wcs, target, total, number)
    data = np.full(fine.shape, np.nan, np.float32)
    np.divide(total, number, out=data, where=number > 0)
    if not number.any():
        raise ImageReplyError("the frames do not reach here: outside the survey's footprint")
    return BandImage(data, target).averaged(parts, cutout.wcs)


def _frame_list(client, survey, cutout, line, cache):
    """Run, rerun, camcol and field of each frame."""
    query = (
        f"SELECT DISTINCT {', '.join(_FIELDS)} FROM PhotoPrimary WHERE {_box(cutout)} "
        f"ORDER BY {', '.join(_FIELDS)}"
    )
    return fetched_or_kept(
        line,
        cache,
        {"service": "sdss sql", "release": survey.release, "query": query},
        lambda: client.query_sql_async(query, data_release=survey.release, cache=False),
        lambda content: _read_list(client, content),
    )


def _read_list(client, content):
    from astroquery.exceptions import RemoteServiceError

    lines = content.decode("utf-8", errors="replace").split("\n")
    # The client would take a text of one line for the name of a file.
    whole = ",".join(_FIELDS) in [line.strip().replace(" ", "") for line in lines]
    if not whole or lines[-1].strip():
        raise ImageReplyError(f"no list of frames but {said(content)!r}", again=True)
    try:
        table = client._parse_result(Reply(content, ""))
        # None if there are no rows.
        frames = [[int(row[name]) for name in _FIELDS] for row in table or ()]
    except (RemoteServiceError, ValueError, TypeError, LookupError, np.ma.MaskError) as error:
        raise ImageReplyError(f"a damaged list of frames: {error}", again=True) from None
    if not frames:
        raise ImageReplyError("no frames here: outside the survey's footprint")
    return frames


def _box(cutout):
    """Condition on the positions of objects, SQL."""
    half = cutout.size * cutout.pixel_scale / 2 + _MARGIN
    low, high = (max(-90.0, min(90.0, cutout.dec + side * half / 3600)) for side in (-1, 1))
    condition = f"dec BETWEEN {low:.6f} AND {high:.6f}"
    narrowest = np.cos(np.radians(max(abs(low), abs(high))))
    if half / 3600 >= 180 * narrowest:
        return condition
    wide = half / 3600 / narrowest
    left, right = (cutout.ra - wide) % 360, (cutout.ra + wide) % 360
    word = "AND" if left < right else "OR"
    return f"{condition} AND (ra > {left:.6f} {word} ra < {right:.6f})"


def _frame_url(client, survey, frame, band):
    """Where a frame lies, as the client has it."""
    from astropy.table import Table

    matches = Table(rows=[frame], names=_FIELDS)
    (container,) = client.get_images_async(
        matches=matches, band=[band], data_release=survey.release, cache=False
    )
    return container._target


def _read_frame(content):
    try:
        unpacked = bz2.decompress(content) if content.startswith(b"BZh") else content
    except (OSError, ValueError):
        raise ImageReplyError(f"cut off after {len(content)} bytes", again=True) from None
    return read_image(unpacked)


def _add(data, wcs, target, total, number):
    """Add a frame, and one for each pixel it covers, to the sums, in place."""
    ny, nx = data.shape
    x, y = np.meshgrid(np.linspace(-0.5, nx - 0.5, 9), np.linspace(-0.5, ny - 0.5, 9))
    with quiet_astropy():
        there = target.world_to_pixel(wcs.pixel_to_world(x, y))
    # The part of the target that the frame may reach.
    box = tuple(
        slice(max(0, int(np.floor(v.min())) - 2), min(length, int(np.ceil(v.max())) + 3))
        for v, length in zip(there[::-1], total.shape, strict=True)
    )
    if any(part.stop <= part.start for part in box):
        return
    shape = tuple(part.stop - part.start for part in box)
    # Not among the quiet lines, which one thread at a time may run.
    values, _ = reproject_interp((data, wcs), target[box], shape_out=shape, roundtrip_coords=False)
    good = np.isfinite(values)
    total[box][good] += values[good]
    number[box] += good
