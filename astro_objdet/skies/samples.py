"""Samples of clusters for training, and where to take their images: paper I, §2.2."""

from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table
from astropy.wcs import WCS

from astro_objdet.catalogs.columns import (
    guess_column,
    numeric_values,
    redshift_values,
    sky_positions,
)
from astro_objdet.catalogs.columns.ranges import check_range
from astro_objdet.catalogs.references.entries import list_catalogues
from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.errors import InputError, check_count, check_positive, in_unit
from astro_objdet.files import sha256_of
from astro_objdet.skies.stable import position_key, stable_number

__all__ = [
    "PAPER_LOWERED",
    "PAPER_OFFSETS",
    "PAPER_PIXEL_SCALE",
    "PAPER_RADIUS",
    "PAPER_SIZE",
    "cluster_sample",
    "cutout_wcs",
    "random_offsets",
]

#: Side of the paper's images in pixels, and what they are lowered to for training.
PAPER_SIZE, PAPER_LOWERED = 2000, 1000
#: Arcsec per pixel of SDSS.
PAPER_PIXEL_SCALE = 0.396
#: Farthest a cluster is from the middle of an image along x and y, arcsec; images of each.
PAPER_RADIUS, PAPER_OFFSETS = 270.0, 4

_ROLES = ("ra", "dec", "redshift", "richness", "name")
_CANDIDATES = ("RA_CEN", "DEC_CEN", "P_CEN")
_ARCSEC = np.pi / 180 / 3600


def cluster_sample(
    catalogue, *, redshift=(0.1, 0.2), richness=(20, None), declination=(0, None),
    columns=None, candidate=0, ambiguous=0.5,
):  # fmt: skip
    """Clusters of a catalogue that pass the cuts of the paper, with the reasons for the others.

    Parameters
    ----------
    catalogue : `~astropy.table.Table` or path-like
        Positions are taken as they are: of the brightest cluster galaxy in Wen et al. (2012) and,
        most likely, in redMaPPer.
    redshift, richness, declination : pair of float or None, optional
        Lowest and highest, None for an open end; None in place of a pair for no cut. Redshift and
        declination (degrees) lie between them, richness may be equal to them. A catalogue
        without a richness needs None, or a pair of None.
    columns : dict, optional
        Names of columns, for any of "ra", "dec", "redshift", "richness" and "name", where they
        are not to be recognised. The paper's members are ``{"richness": "N200"}`` of Wen et al.
    candidate : int, optional
        redMaPPer gives five central galaxies and each one's probability to be it (P_CEN); its RA
        and DEC are those of the first, the likeliest. From 1 to 4, ambiguous clusters are
        centred on this one of the others.
    ambiguous : float, optional
        Clusters are ambiguous whose first candidate has a lower probability.

    Returns
    -------
    `~astropy.table.QTable`
        name (str), ra, dec (deg, ICRS), redshift, richness (masked where there is none), row (of
        the catalogue) and, of redMaPPer, p_centre, in the order of the catalogue. ``.meta`` has
        "catalogue" (rows and, of a file, name and SHA-256), "columns", "cuts", "set_aside" (number
        of unusable rows by reason), "cut_away" (number by the first cut that they fail) and, of
        redMaPPer, "ambiguous" (number in the sample) and "candidate".

    Raises
    ------
    InputError
        If the columns cannot be told, right ascensions without a unit look like hours, a cut is
        no range, or the catalogue has no such candidate.
    """
    table, told = _read(catalogue)
    side = "catalogue"
    richness = None if richness is None or tuple(richness) == (None, None) else richness
    names = _column_names(table, columns or {}, side, richness is not None)
    place = sky_positions(
        table, side=side, ra=names.get("ra"), dec=names.get("dec"), hours="refuse"
    )
    z = redshift_values(table, side=side, column=names["redshift"])
    members = _members(table, names, side)
    ra, dec, p_centre = _centres(table, place, candidate, ambiguous)
    usable = place.usable & z.usable
    reasons = np.where(place.usable, z.reason, place.reason)
    if richness is not None:
        reasons = np.where(usable, members.reason, reasons)
        usable &= members.usable
    cuts = {"redshift": redshift, "richness": richness, "declination": declination}
    values = {"redshift": z.values, "richness": members.values, "declination": dec}
    keep, cut_away = _cut(usable, cuts, values)
    rows = np.flatnonzero(keep)
    sample = QTable()
    sample["name"] = _names(table, names)[rows]
    sample["ra"], sample["dec"] = ra[rows] * u.deg, dec[rows] * u.deg
    sample["redshift"] = z.values[rows]
    missing = ~members.usable[rows]
    sample["richness"] = MaskedColumn(np.where(missing, 0, members.values[rows]), mask=missing)
    sample["row"] = rows
    names |= dict(zip(("ra", "dec"), place.columns, strict=False))
    sample.meta = {
        "catalogue": told,
        "columns": names,
        "cuts": {name: None if cut is None else list(cut) for name, cut in cuts.items()},
        "set_aside": _counted(reasons[~usable]),
        "cut_away": cut_away,
    }
    if p_centre is not None:
        sample["p_centre"] = p_centre[rows]
        first = np.asarray(table["P_CEN"], float)[rows, 0]
        sample.meta |= {"ambiguous": int((first < ambiguous).sum()), "candidate": candidate}
    return sample


def random_offsets(sample, n=PAPER_OFFSETS, *, radius=PAPER_RADIUS, seed=0):
    """Centres of images in which the clusters of a sample lie anywhere near the middle.

    Each cluster is ``n`` times in a place drawn evenly from the square of ``radius`` around the
    middle of an image with north up (paper I, §2.2). What is drawn for a cluster follows from
    its position and the seed alone, and more images leave the first ones as they were.

    Parameters
    ----------
    sample : `~astropy.table.Table`
        With name, ra, dec (deg), redshift and richness, as from `cluster_sample`.
    n : int, optional
        Images of each cluster.
    radius : float or `~astropy.units.Quantity`, optional
        Arcsec along x and along y, 0 to leave the clusters in the middle.
    seed : int, optional

    Returns
    -------
    `~astropy.table.QTable`
        A row for each image: centre_ra, centre_dec (deg), offset_x, offset_y (arcsec: where the
        cluster lies from the middle, in the tangent plane, to the right and up), cluster (row of
        the sample), image (0 to n - 1), and the cluster's name, ra, dec, redshift and richness.

    Raises
    ------
    InputError
        If a parameter is no such number.

    Notes
    -----
    Within the radius of a celestial pole some places cannot be had with north up: the pole is
    straight above the middle of every image. They move to the nearest ones that can.
    """
    check_count("n", n)
    radius = float(in_unit("radius", radius, "arcsec"))
    if radius != 0:
        check_positive("radius", radius)
    ra, dec = (u.Quantity(sample[name], u.deg).value for name in ("ra", "dec"))
    draws = [
        np.random.default_rng(stable_number(seed, "offset", position_key(*place), image))
        for place in zip(ra, dec, strict=True)
        for image in range(n)
    ]
    drawn = np.array([rng.uniform(-radius, radius, 2) for rng in draws]).reshape(-1, 2)
    cluster = np.repeat(np.arange(len(sample)), n)
    centre_ra, centre_dec, x, y = _image_centres(ra[cluster], dec[cluster], *drawn.T)
    result = QTable()
    result["centre_ra"], result["centre_dec"] = centre_ra * u.deg, centre_dec * u.deg
    result["offset_x"], result["offset_y"] = x * u.arcsec, y * u.arcsec
    result["cluster"], result["image"] = cluster, np.tile(np.arange(n), len(sample))
    for name in ("name", "ra", "dec", "redshift", "richness"):
        if name not in sample.colnames:
            raise InputError(f"sample must have the column {name}, as that of cluster_sample")
        result[name] = sample[name][cluster]
    told = {"n": int(n), "radius_arcsec": radius, "seed": seed}
    result.meta = {"sample": dict(sample.meta), "offsets": told}
    return result


def cutout_wcs(ra, dec, size=PAPER_SIZE, pixel_scale=PAPER_PIXEL_SCALE):
    """WCS of an image with north up and east to the left.

    Parameters
    ----------
    ra, dec : float or `~astropy.units.Quantity`
        Of its middle, degrees, ICRS.
    size : int or pair of int, optional
        Side in pixels, or (ny, nx).
    pixel_scale : float or `~astropy.units.Quantity`, optional
        Arcsec.

    Returns
    -------
    `~astropy.wcs.WCS`
        TAN; with ``pixel_shape``.

    Raises
    ------
    InputError
        If the position, size or scale is none.
    """
    ny, nx = (size, size) if np.ndim(size) == 0 else size
    for length in (ny, nx):
        check_count("size", length)
    pixel_scale = check_positive(
        "pixel_scale", float(in_unit("pixel_scale", pixel_scale, "arcsec"))
    )
    ra, dec = float(in_unit("ra", ra, "deg")), float(in_unit("dec", dec, "deg"))
    if not (np.isfinite(ra) and -90 <= dec <= 90):
        raise InputError(f"ra and dec must be finite degrees with |dec| ≤ 90, got {ra}, {dec}")
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = [ra % 360, dec]
    wcs.wcs.crpix = [(nx + 1) / 2, (ny + 1) / 2]
    wcs.wcs.cdelt = [-pixel_scale / 3600, pixel_scale / 3600]
    # By default an image centred on the north pole itself would be turned around.
    wcs.wcs.lonpole = 180
    wcs.pixel_shape = (int(nx), int(ny))
    wcs.wcs.set()
    return wcs


def _read(catalogue):
    if isinstance(catalogue, Table):
        return catalogue, {"rows": len(catalogue)} | dict(catalogue.meta.get("origin", {}))
    table = read_table(catalogue)
    told = {"rows": len(table), "file": Path(catalogue).name, "sha256": sha256_of(catalogue)}
    return table, told


def _column_names(table, given, side, needs_richness):
    """Names of their columns by ours: given, of a catalogue that is known, or guessed."""
    unknown = set(given) - set(_ROLES)
    if unknown:
        raise InputError(f"columns must be of {', '.join(_ROLES)}; got {sorted(unknown)}")
    known = _known_columns(table)
    names = {}
    for role in ("redshift", "richness", "name"):
        kind = "id" if role == "name" else role
        name = given.get(role) or known.get(kind)
        if name is None:
            required = role == "redshift" or (role == "richness" and needs_richness)
            name = guess_column(table, kind, side=side, required=required)
        elif name not in table.colnames:
            listed = ", ".join(table.colnames)
            raise InputError(f"columns: the {side} has no column {name!r}; it has {listed}")
        if name is not None:
            names[role] = name
    return names | {role: given[role] for role in ("ra", "dec") if role in given}


def _known_columns(table):
    """Columns of a published catalogue that the table's own names give away."""
    folded = {name.lower(): name for name in table.colnames}
    for entry in list_catalogues():
        for signature in entry.signatures:
            if {name.lower() for name in signature} <= set(folded):
                found = {
                    kind: [folded[name.lower()] for name in entry.columns.get(kind, ())
                           if name.lower() in folded]
                    for kind in ("redshift", "richness", "id")
                }  # fmt: skip
                return {kind: names[0] for kind, names in found.items() if names}
    return {}


def _members(table, names, side):
    """Richness of each row; unusable all of them where there is none."""
    if "richness" in names:
        return numeric_values(table, names["richness"], side=side)
    none = Table({"richness": MaskedColumn(np.zeros(len(table)), mask=True)})
    return numeric_values(none, "richness", side=side)


def _names(table, names):
    if "name" not in names:
        return np.array([str(row) for row in range(len(table))], dtype=str)
    values = np.ma.asarray(table[names["name"]])
    texts = np.where(np.ma.getmaskarray(values), "", values.data.astype(str))
    return np.char.strip(texts)


def _centres(table, place, candidate, ambiguous):
    """Positions with ambiguous ones moved to another candidate, and its probability."""
    check_count("candidate", candidate, 0)
    ra, dec = place.ra.copy(), place.dec.copy()
    if not set(_CANDIDATES) <= set(table.colnames):
        if candidate:
            raise InputError(
                f"candidate must be 0 for a catalogue without {', '.join(_CANDIDATES)}, "
                f"got {candidate}"
            )
        return ra, dec, None
    lon, lat, p = (np.asarray(table[name], dtype=float) for name in _CANDIDATES)
    if p.ndim != 2:
        raise InputError(
            f"{', '.join(_CANDIDATES)} must have a value for each candidate in a row, got the "
            f"shape {p.shape}; remove or rename them"
        )
    if candidate >= p.shape[1]:
        raise InputError(f"candidate must be below {p.shape[1]}, got {candidate}")
    # Where there is no such galaxy its probability is 0. The first stays at RA and DEC, which have
    # more digits.
    move = (p[:, 0] < ambiguous) & (p[:, candidate] > 0) & (candidate > 0)
    ra[move], dec[move] = lon[move, candidate], lat[move, candidate]
    return ra, dec, np.where(move, p[:, candidate], p[:, 0])


def _cut(usable, cuts, values):
    """Which rows pass all cuts, and how many fail each of them first."""
    keep, cut_away = usable.copy(), {}
    for name, limits in cuts.items():
        if limits is None:
            continue
        low, high = check_range(name, limits)
        if name == "richness":
            inside = (values[name] >= low) & (values[name] <= high)
        else:
            inside = (values[name] > low) & (values[name] < high)
        cut_away[name] = int((keep & ~inside).sum())
        keep &= inside
    return keep, cut_away


def _counted(reasons):
    names, counts = np.unique(reasons.astype(str), return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _image_centres(ra, dec, x, y):
    """Where images are centred if positions lie x (right), y (up) arcsec from their middles.

    From standard coordinates, ξ to the east: sin δ √(1 + ξ² + η²) = sin δ₀ + η cos δ₀ and
    tan(α - α₀) = ξ / (cos δ₀ - η sin δ₀). Where that has no solution, an image is centred as near
    as there is one. Also returns where the positions lie.
    """
    xi, eta = -x * _ARCSEC, y * _ARCSEC
    alpha, delta = np.radians(ra), np.radians(dec)
    ratio = np.sin(delta) * np.sqrt(1 + xi**2 + eta**2) / np.sqrt(1 + eta**2)
    lat = np.arcsin(np.clip(ratio, -1, 1)) - np.arctan(eta)
    lat = np.clip(lat, -np.pi / 2, np.pi / 2)
    turn = np.arctan2(xi, np.cos(lat) - eta * np.sin(lat))
    down, along = np.sin(lat), np.cos(lat)
    depth = down * np.sin(delta) + along * np.cos(delta) * np.cos(turn)
    right = -np.cos(delta) * np.sin(turn) / depth / _ARCSEC
    up = (along * np.sin(delta) - down * np.cos(delta) * np.cos(turn)) / depth / _ARCSEC
    return np.degrees(alpha - turn) % 360, np.degrees(lat), right, up
