"""Boxes in pixels ↔ boxes on the sky, for all boxes at once.

Pixel boxes here are edges, ``(x1, y1, x2, y2)`` with 0 ≤ x1 < x2 ≤ width, as
torchvision has them. In astropy's convention the centre of the first pixel is
0, so its left edge is −0.5: half a pixel less. This module is the one place
where a catalogue takes that step.
"""

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord, angular_separation, position_angle

__all__ = ["HALF_PIXEL", "pixel_boxes", "sky_boxes"]

HALF_PIXEL = 0.5

# Centre, then the middles of the left, right, bottom and top edges, as
# fractions of the box.
_ACROSS = np.array([0.5, 0.0, 1.0, 0.5, 0.5])
_UP = np.array([0.5, 0.5, 0.5, 0.0, 1.0])


def sky_boxes(wcs, boxes):
    """Return where boxes lie on the sky, and how large and turned they are.

    The size is the great circle between the middles of opposite edges, so
    that it holds across RA = 0, at the poles and in distorted images.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
        Celestial WCS of the image, 2-D.
    boxes : array_like of float, shape (N, 4)
        Edges (x1, y1, x2, y2) in pixels.

    Returns
    -------
    dict of `~numpy.ndarray` of float, shape (N,)
        ``ra`` and ``dec`` of the centres (ICRS, degrees), ``width`` and
        ``height`` (arcsec, along the pixel axes x and y) and ``angle``: the
        position angle of the +y axis at the centre, degrees east of north,
        0 to 360. NaN where a box lies outside of the projection.
    """
    boxes = np.asarray(boxes, dtype=float).reshape(-1, 4)
    x1, y1, x2, y2 = (boxes - HALF_PIXEL).T
    x = x1 + np.multiply.outer(_ACROSS, x2 - x1)
    y = y1 + np.multiply.outer(_UP, y2 - y1)
    if len(boxes):
        sky = wcs.pixel_to_world(x.ravel(), y.ravel()).icrs
        ra = sky.ra.rad.reshape(x.shape)
        dec = sky.dec.rad.reshape(x.shape)
    else:
        ra = dec = np.empty((5, 0))
    centre, left, right, bottom, top = zip(ra, dec, strict=True)
    return {
        "ra": np.degrees(centre[0]),
        "dec": np.degrees(centre[1]),
        "width": _arcsec(angular_separation(*left, *right)),
        "height": _arcsec(angular_separation(*bottom, *top)),
        "angle": np.degrees(np.asarray(position_angle(*centre, *top))) % 360,
    }


def pixel_boxes(wcs, ra, dec, width, height, angle):
    """Return the pixel boxes around boxes on the sky: `sky_boxes` backwards.

    A box that is turned against the pixel axes gets the smallest upright box
    around it.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
        Celestial WCS of the image, 2-D.
    ra, dec, angle : array_like of float, shape (N,)
        Degrees, as `sky_boxes` returns them.
    width, height : array_like of float, shape (N,)
        Arcsec.

    Returns
    -------
    `~numpy.ndarray` of float64, shape (N, 4)
        Edges (x1, y1, x2, y2) in pixels.
    """
    centre = SkyCoord(ra, dec, unit=u.deg)
    if not len(centre):
        return np.empty((0, 4))
    spans = []
    for turned, size in ((90, width), (0, height)):
        towards = (np.asarray(angle, dtype=float) + turned) * u.deg
        half = np.asarray(size, dtype=float) / 2 * u.arcsec
        ends = [
            np.array(wcs.world_to_pixel(centre.directional_offset_by(towards, reach)))
            for reach in (half, -half)
        ]
        spans.append(np.abs(ends[1] - ends[0]))
    # The angle is that of the height axis. What the width axis then lacks of a
    # right angle in pixels is distortion, and must not make the box larger.
    across, up = (np.hypot(*span) for span in spans)
    with np.errstate(invalid="ignore"):
        sin, cos = np.where(up > 0, spans[1] / up, [[0.0], [1.0]])
    half_box = np.array([across * cos + up * sin, across * sin + up * cos]) / 2
    middle = np.array(wcs.world_to_pixel(centre)) + HALF_PIXEL
    return np.concatenate([middle - half_box, middle + half_box]).T


def _arcsec(radians):
    return np.degrees(np.asarray(radians)) * 3600
