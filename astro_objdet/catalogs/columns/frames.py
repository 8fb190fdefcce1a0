"""Frames of positions, and the way from them to ICRS for many rows."""

import numpy as np
from astropy import units as u
from astropy.coordinates import (
    ICRS,
    BaseCoordinateFrame,
    ConvertError,
    UnitSphericalRepresentation,
    frame_transform_graph,
)

from astro_objdet.errors import InputError

__all__ = ["known_frame", "to_icrs", "wrap"]

_ALIASES = {
    "j2000": "fk5",
    "b1950": "fk4",
    "equatorial": "icrs",
    "ecliptic": "barycentricmeanecliptic",
}
_CHUNK = 500_000


def known_frame(frame, side="left"):
    """Return a frame by its name in astropy, or "j2000", "b1950", "ecliptic", "equatorial".

    Raises
    ------
    InputError
        If astropy knows no such frame, or it depends on more than a position; lists them.
    """
    if isinstance(frame, BaseCoordinateFrame):
        return frame.replicate_without_data()
    name = str(frame).lower()
    cls = frame_transform_graph.lookup_name(_ALIASES.get(name, name))
    if cls is None:
        names = ", ".join(sorted(frame_transform_graph.get_names()))
        raise InputError(f"{side} table: frame must be one of {names}; got {frame!r}")
    known = cls()
    needed = [key for key in known.frame_attributes if getattr(known, key) is None]
    if needed:
        raise InputError(
            f"{side} table: frame {frame} needs {' and '.join(needed)}; use a frame fixed to the "
            "sky, or a column of SkyCoord"
        )
    return known


def to_icrs(lon, lat, usable, frame, side="left"):
    """Transform positions to ICRS, in place.

    Parameters
    ----------
    lon, lat : `~numpy.ndarray` of float64, shape (N,)
        Degrees.
    usable : `~numpy.ndarray` of bool, shape (N,)
        Which rows; the others are left alone.
    frame : `~astropy.coordinates.BaseCoordinateFrame`
        From `known_frame`.
    side : str, optional
        Word for the table in messages.

    Raises
    ------
    InputError
        If astropy knows no way from that frame to ICRS.
    """
    # Some rows at a time: astropy needs ten times their memory.
    rows = np.flatnonzero(usable)
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK]
        sphere = UnitSphericalRepresentation(lon[some] * u.deg, lat[some] * u.deg)
        try:
            icrs = frame.realize_frame(sphere).transform_to(ICRS())
        except (ConvertError, ValueError, TypeError) as error:
            raise InputError(
                f"{side} table: positions in the frame {frame.name} cannot be turned into "
                f"ICRS: {error}"
            ) from error
        lon[some], lat[some] = icrs.spherical.lon.deg, icrs.spherical.lat.deg


def wrap(lon):
    """Bring longitudes, degrees, into 0 ≤ lon < 360, in place."""
    outside = (lon < 0) | (lon >= 360)
    if outside.any():
        lon[outside] %= 360
        # A tiny negative number rounds to 360 itself.
        lon[lon >= 360] = 0
