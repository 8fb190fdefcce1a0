"""What two splits of a set of images have in common: clusters, and pixels of sky."""

from dataclasses import dataclass, field

import numpy as np

from astro_objdet.catalogs.matching.pairs import pairs_within
from astro_objdet.catalogs.sphere import unit_vectors
from astro_objdet.errors import InputError, in_unit

__all__ = [
    "LeakWarning",
    "Leaks",
    "footprint_points",
    "image_sizes",
    "leaks",
    "overlapping",
]

# Places on a side of an image where it is looked whether another split sees the same sky.
_PLACES = 12
_MIDDLES = (2 * np.arange(_PLACES) + 1) / _PLACES - 1
_CORNERS = np.array([-1.0, 1.0])
# Pairs of images that are compared at a time, which bounds the memory.
_CHUNK = 20_000
_ARCSEC = np.pi / 180 / 3600


class LeakWarning(UserWarning):
    """The same clusters or the same sky stand in training and in test."""


@dataclass(frozen=True)
class Leaks:
    """What stands in several splits.

    Attributes
    ----------
    n_images : int
        Images in any split.
    n_groups : int
        Clusters (groups) in any split; 0 where none were given.
    groups : int
        Clusters with images in several splits.
    pairs : int
        Pairs of images of different splits that overlap on the sky.
    shared : dict of str to float
        For each split the part of its images' pixels that images of other splits show too,
        measured at 144 places of each image.
    """

    n_images: int
    n_groups: int = 0
    groups: int = 0
    pairs: int = 0
    shared: dict = field(default_factory=dict)

    def __bool__(self):
        return bool(self.groups or self.pairs)

    @property
    def sentence(self):
        """What leaks, in words; empty if nothing does."""
        parts = []
        if self.groups:
            parts.append(
                f"{self.groups} of {self.n_groups} clusters or fields stand in several splits"
            )
        if self.pairs:
            parts.append(f"{self.pairs} pairs of images of different splits overlap on the sky")
            seen = ", ".join(f"{part:.0%} of {name}" for name, part in self.shared.items() if part)
            parts.append(f"pixels whose sky other splits show too: {seen}" if seen else "")
        return "; ".join(filter(None, parts))


def leaks(ra, dec, split, *, size, groups=None):
    """What stands in several splits of a set of images.

    Parameters
    ----------
    ra, dec : array_like of float or `~astropy.units.Quantity`, shape (N,)
        Centres of the images, degrees. Images are square and north is up.
    split : array_like of str, shape (N,)
        Name of each image's split; images with an empty one are in none.
    size : float, `~astropy.units.Quantity` or array_like of these, shape (N,)
        Sides of the images, arcsec.
    groups : array_like, shape (N,), optional
        The cluster, field or whatever else must not stand in two splits, of each image.

    Returns
    -------
    Leaks

    Raises
    ------
    InputError
        If the arrays do not have one value for each image, or positions are not finite.
    """
    ra, dec, size = image_sizes(ra, dec, size)
    split = np.asarray(split).astype(str)
    if split.shape != ra.shape:
        raise InputError(f"split must have one name for each image, got {split.shape}")
    used = split != ""
    n_groups = several = 0
    if groups is not None:
        of_group = np.unique(_labels(groups, ra.shape)[used], return_inverse=True)[1]
        in_split = np.unique(split[used], return_inverse=True)[1]
        both = np.unique(np.stack([of_group, in_split], axis=1), axis=0)
        times = np.bincount(both[:, 0]) if len(both) else np.zeros(0, int)
        n_groups, several = len(times), int(np.count_nonzero(times > 1))
    pairs, shared = _shared_sky(ra[used], dec[used], size[used], split[used])
    return Leaks(int(used.sum()), n_groups, several, pairs, shared)


def overlapping(ra, dec, size):
    """Pairs of images that have sky in common.

    Parameters
    ----------
    ra, dec, size : `~numpy.ndarray` of float64, shape (N,)
        As from `image_sizes`.

    Returns
    -------
    first, second : `~numpy.ndarray` of int64, shape (P,)
        Row numbers with first < second. Images that share an edge alone are no pair.
    """
    # Two squares can touch out to half a diagonal of each.
    reach = float(size.max(initial=0)) * np.sqrt(2) * 1.001
    near = pairs_within(ra, dec, ra, dec, reach)
    first, second = near.first, near.second
    first, second = first[first < second], second[first < second]
    base = _planes(ra, dec)
    half = size * _ARCSEC / 2
    keep = np.zeros(len(first), bool)
    for start in range(0, len(first), _CHUNK):
        some = np.s_[start : start + _CHUNK]
        one, two = first[some], second[some]
        keep[some] = _meet(base, half, one, two) & _meet(base, half, two, one)
    return first[keep], second[keep]


def image_sizes(ra, dec, size):
    """Centres and sides of images as arrays, checked.

    Quantities are converted to degrees and arcsec, numbers taken to be such.

    Returns
    -------
    ra, dec, size : `~numpy.ndarray` of float64, shape (N,)

    Raises
    ------
    InputError
        If they are of different lengths, not finite, or a size is not above zero.
    """
    ra, dec, size = (
        in_unit(name, values, unit)
        for name, values, unit in (("ra", ra, "deg"), ("dec", dec, "deg"), ("size", size, "arcsec"))
    )
    if ra.ndim != 1 or ra.shape != dec.shape:
        raise InputError(
            f"ra and dec must be of one length, got the shapes {ra.shape} and {dec.shape}"
        )
    if not (np.isfinite(ra).all() and (np.abs(dec) <= 90).all()):
        raise InputError("ra and dec must be finite degrees with |dec| ≤ 90 for every image")
    try:
        size = np.broadcast_to(size, ra.shape)
    except ValueError:
        raise InputError(
            f"size must be one number or one for each of {len(ra)} images, got {np.shape(size)}"
        ) from None
    # Half a sphere has no tangent plane.
    if not ((size > 0) & (size < 90 * 3600)).all():
        raise InputError("size must be arcsec above 0 and below 90 degrees")
    return ra, dec, size


def footprint_points(ra, dec, size, across=18):
    """Directions all over images and around them, close enough to find every large cell.

    They reach beyond each image by two of their spacings: the corner of a cell that comes in
    between two points of an edge is wider than that there.

    Parameters
    ----------
    ra, dec, size : `~numpy.ndarray` of float64, shape (N,)
        As from `image_sizes`.
    across : int, optional
        Spacings on a side of an image.

    Returns
    -------
    `~numpy.ndarray` of float64, shape (N, (across + 5)², 3)
        Unit vectors times some length.
    """
    half = size * _ARCSEC / 2 * (1 + 4 / across)
    return _points(_planes(ra, dec), half, np.linspace(-1, 1, across + 5))


def _labels(groups, shape):
    labels = np.asarray(groups).astype(str)
    if labels.shape != shape:
        raise InputError(f"groups must have one name for each image, got {labels.shape}")
    return labels


def _planes(ra, dec):
    """Directions of the centre, of east and of north of each image, shape (N, 3, 3)."""
    lon, lat = np.radians(ra), np.radians(dec)
    zero = np.zeros_like(lon)
    east = np.stack([-np.sin(lon), np.cos(lon), zero], axis=-1)
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=-1)
    return np.stack([unit_vectors(ra, dec), east, north], axis=-2)


def _points(base, half, along):
    """Directions of places of each image, on a mesh of ``along`` in units of its half side."""
    x, y = (values.ravel() for values in np.meshgrid(along, along))
    x, y = half[:, None, None] * x[:, None], half[:, None, None] * y[:, None]
    return base[:, None, 0] + x * base[:, None, 1] + y * base[:, None, 2]


def _in_plane(points, base):
    """Tangent-plane positions of directions (P, K, 3) in the planes (P, 3, 3) of images."""
    local = points @ base.transpose(0, 2, 1)
    depth = local[..., 0]
    # What lies behind the plane is nowhere near the image.
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(depth[..., None] > 0, local[..., 1:] / depth[..., None], np.inf)


def _meet(base, half, one, two):
    """Whether no edge of the first image has all of the second on its outer side.

    Edges are great circles, straight lines in any tangent plane: two images are apart if and
    only if an edge of one of them parts them.
    """
    corners = _in_plane(_points(base[two], half[two], _CORNERS), base[one])
    limit = half[one, None]
    return ((corners.min(axis=1) < limit) & (corners.max(axis=1) > -limit)).all(axis=1)


def _shared_sky(ra, dec, size, split):
    """Number of overlapping pairs of different splits, and each split's shared part."""
    names = np.unique(split)
    if len(names) < 2:
        return 0, dict.fromkeys(names.tolist(), 0.0)
    # Images of one place in one split are as one; a pair of them counts as often as it is there.
    number = np.searchsorted(names, split)
    rows, times = np.unique(np.stack([ra, dec, size, number]), axis=1, return_counts=True)
    ra, dec, size, number = rows
    first, second = overlapping(ra, dec, size)
    apart = number[first] != number[second]
    first, second = first[apart], second[apart]
    pairs = int((times[first] * times[second]).sum())
    base, half = _planes(ra, dec), size * _ARCSEC / 2
    seen = np.zeros((len(ra), _PLACES**2), bool)
    for one, two in ((first, second), (second, first)):
        for start in range(0, len(one), _CHUNK):
            some, other = one[start : start + _CHUNK], two[start : start + _CHUNK]
            plane = _in_plane(_points(base[some], half[some], _MIDDLES), base[other])
            inside = (np.abs(plane) < half[other, None, None]).all(axis=2)
            np.logical_or.at(seen, some, inside)
    part = seen.mean(axis=1)
    shared = {
        str(name): float(np.average(part[number == k], weights=times[number == k]))
        for k, name in enumerate(names)
    }
    return pairs, shared
