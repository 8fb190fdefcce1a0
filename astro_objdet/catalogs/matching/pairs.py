"""Pairs of positions on the sky, all within a radius or one to one.

The positions stand as points on the unit sphere in k-d trees, so that RA 0 and
the poles are places like any other. Radii of their own for each row are
searched an octave at a time: one search with the largest radius would return
mostly pairs that are thrown away, and one search per row costs fifty times as
much as one of two trees.
"""

import dataclasses

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from astro_objdet.catalogs.sphere import unit_vectors
from astro_objdet.errors import ResourceError

__all__ = ["Pairs", "best_pairs", "groups", "nearest", "pairs_within"]

_ARCSEC = np.pi / 180 / 3600
# Rows of one side that are searched at a time, which bounds the memory.
_CHUNK = 2_000_000
# Pairs that take some 10 GB.
_MANY = 100_000_000


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of rows of two tables.

    Attributes
    ----------
    first, second : `~numpy.ndarray` of int64, shape (P,)
        Row numbers, sorted by first, then second.
    separation : `~numpy.ndarray` of float64, shape (P,)
        Angle between the two, arcsec.
    """

    first: np.ndarray
    second: np.ndarray
    separation: np.ndarray

    def __len__(self):
        return len(self.first)

    def __getitem__(self, chosen):
        """The pairs of a mask, slice or array of indices, in its order."""
        return Pairs(self.first[chosen], self.second[chosen], self.separation[chosen])


def pairs_within(first_ra, first_dec, second_ra, second_dec, radius, *, of="second"):
    """All pairs of positions closer than a radius.

    Parameters
    ----------
    first_ra, first_dec : array of float, shape (N,)
        Degrees, finite.
    second_ra, second_dec : array of float, shape (M,)
        Degrees, finite.
    radius : float or array of float
        Arcsec, not below 0; pairs at exactly this angle count. An array has one
        radius for each row of the side that ``of`` names.
    of : {"first", "second"}
        Whose the radii are.

    Returns
    -------
    Pairs

    Raises
    ------
    ResourceError
        If a radius for all makes more than 10⁸ pairs.
    """
    first = unit_vectors(first_ra, first_dec)
    second = unit_vectors(second_ra, second_dec)
    if of == "first" and np.ndim(radius):
        two, one, chord = _search(second, first, radius)
    else:
        one, two, chord = _search(first, second, radius)
    order = np.lexsort((two, one))
    return Pairs(one[order], two[order], _angle(chord[order]))


def _chord(arcsec):
    return 2 * np.sin(np.minimum(np.asarray(arcsec) * _ARCSEC, np.pi) / 2)


def _angle(chord):
    """Arcsec of a chord of the unit sphere, exact for small ones."""
    return 2 * np.arcsin(np.minimum(chord / 2, 1)) / _ARCSEC


def _tree(points):
    # Splitting in the middle and loose boxes: half the time to build, and faster
    # to search for pairs far closer together than the points of a catalogue are.
    return KDTree(points, balanced_tree=False, compact_nodes=False)


def _search(plain, own, radius):
    """Rows of ``plain``, rows of ``own``, and chords, where the radii are of ``own``."""
    found = []
    if len(plain) and len(own):
        limit = _chord(radius)
        _refuse_crowds(plain, own, limit)
        parts = [(rows, _tree(own if rows is None else own[rows])) for rows in _octaves(limit)]
        for start in range(0, len(plain), _CHUNK):
            tree = _tree(plain[start : start + _CHUNK])
            for rows, other in parts:
                near = _near(tree, other, limit if rows is None else limit[rows])
                two = near["j"].astype(np.int64)
                two = two if rows is None else rows[two]
                found.append((near["i"] + np.int64(start), two, near["v"].copy()))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _refuse_crowds(plain, own, limit):
    """Raise `ResourceError` for more pairs than fit into memory."""
    # What uniform skies would give, a cap of the sphere each; then exactly.
    expected = len(plain) * np.mean(limit**2) / 4 * len(own)
    if expected < _MANY / 100:
        return
    count = _tree(plain).count_neighbors(_tree(own), float(np.max(limit)))
    if np.ndim(limit) == 0 and count > _MANY:
        raise ResourceError(
            f"radius makes {count:.2g} pairs of {len(plain)} and {len(own)} rows, more than "
            f"{_MANY:.0e}; use a smaller one"
        )


def _near(tree, other, limits):
    """Pairs of two trees closer than the limit of the second's row: i, j, and chord v."""
    near = tree.sparse_distance_matrix(other, float(np.max(limits)), output_type="ndarray")
    return near[near["v"] <= limits[near["j"]]] if np.ndim(limits) else near


def _octaves(limit):
    """Rows of about the same radius, together; None for all of them."""
    if np.ndim(limit) == 0:
        yield None
        return
    smallest = np.where(limit > 0, limit, 1).min()
    octave = np.floor(np.log2(np.maximum(limit, smallest) / smallest)).astype(int)
    order = np.argsort(octave, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(octave[order])) + 1)


def nearest(ra, dec, to_ra, to_dec):
    """The nearest of some positions to each of others.

    Parameters
    ----------
    ra, dec : array of float, shape (N,)
        Degrees, finite.
    to_ra, to_dec : array of float, shape (M,)
        Where to look, M at least 1.

    Returns
    -------
    row : `~numpy.ndarray` of int64, shape (N,)
        Row number of the nearest.
    separation : `~numpy.ndarray` of float64, shape (N,)
        Arcsec.
    """
    chord, row = KDTree(unit_vectors(to_ra, to_dec)).query(unit_vectors(ra, dec), workers=-1)
    return row.astype(np.int64), _angle(chord)


def best_pairs(pairs, order=None):
    """Choose pairs so that each row is in one at most, the best pairs first.

    Parameters
    ----------
    pairs : Pairs
    order : array of int, shape (P,), optional
        Indices into ``pairs``, the best first. By default the closest pairs
        come first, and of equally close ones those with the lower rows.

    Returns
    -------
    `~numpy.ndarray` of int64
        Indices of the chosen pairs, ascending.

    Notes
    -----
    The result is that of going through ``order`` and taking each pair whose two
    rows are both free, as STILTS does for ``find=best``. It is found in rounds:
    a pair that is the best left for both of its rows is taken, and ends all
    other pairs of the two.
    """
    left = np.argsort(pairs.separation, kind="stable") if order is None else np.asarray(order)
    chosen = []
    size_first = int(pairs.first.max(initial=-1)) + 1
    size_second = int(pairs.second.max(initial=-1)) + 1
    best_first, best_second = np.empty(size_first, np.int64), np.empty(size_second, np.int64)
    free_first, free_second = np.ones(size_first, bool), np.ones(size_second, bool)
    while len(left):
        one, two = pairs.first[left], pairs.second[left]
        rank = np.arange(len(left))
        # Of repeated indices the last assignment stays: backwards, the best.
        best_first[one[::-1]] = rank[::-1]
        best_second[two[::-1]] = rank[::-1]
        taken = (best_first[one] == rank) & (best_second[two] == rank)
        chosen.append(left[taken])
        free_first[one[taken]] = False
        free_second[two[taken]] = False
        left = left[free_first[one] & free_second[two]]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def groups(pairs, n_first, n_second):
    """Rows of both tables that pairs link, directly or through others.

    Returns
    -------
    first, second : `~numpy.ndarray` of int64, shapes (n_first,) and (n_second,)
        Number of the group from 1, in the order of its first row; 0 for rows
        in no pair.
    size : `~numpy.ndarray` of int64
        Rows in each group, of both tables; ``size[0]`` is 0.
    """
    linked, inverse = np.unique(
        np.concatenate([pairs.first, pairs.second + n_first]), return_inverse=True
    )
    edges = inverse[: len(pairs)], inverse[len(pairs) :]
    shape = (len(linked), len(linked))
    links = coo_array((np.ones(len(pairs), bool), edges), shape=shape)
    count, label = connected_components(links, directed=False)
    number = np.zeros(n_first + n_second, np.int64)
    number[linked] = label + 1
    size = np.bincount(number[linked], minlength=count + 1)
    return number[:n_first], number[n_first:], size
