"""Splits of a set of images into training and test, and what leaks between them.

Three schemes: the paper's, random over images, where the clusters of the test also stand in the
training set; folds stratified in redshift and richness; and whole cells of sky, which nothing
leaks from. None depends on the order of the images.
"""

import warnings
from dataclasses import dataclass, field

import numpy as np
from astropy import units as u
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from astro_objdet.errors import (
    InputError,
    check_choice,
    check_count,
    check_fraction,
    check_positive,
)
from astro_objdet.skies.datasets.cells import (
    cell_grid,
    cell_splits,
    guarded,
    keep_groups_whole,
    move_units,
)
from astro_objdet.skies.leaks import (
    Leaks,
    LeakWarning,
    image_sizes,
    leaks,
    overlapping,
)
from astro_objdet.skies.stable import position_key, stable_uniform

__all__ = ["FRACTIONS", "NSIDE", "PAPER_TEST", "Split", "split_cells", "split_kfold", "split_paper"]

#: Images of the test set of 1988 (paper I, §2.2); the other 1784 are for training.
PAPER_TEST = 204
#: Parts of the sky for training, validation and test, where none are given.
FRACTIONS = {"train": 0.8, "valid": 0.1, "test": 0.1}
#: Cells of sky that belong to one split, where none are given: 3.7 degrees wide.
NSIDE = 16


@dataclass(frozen=True)
class Split:
    """Which image is in which split.

    Attributes
    ----------
    names : `~numpy.ndarray` of str, shape (N,)
        The split of each image; empty for an image in none.
    scheme : str
        "paper", "kfold" or "cells".
    parameters : dict
        What it was made with.
    leaks : Leaks
        What stands in several splits.
    """

    names: np.ndarray
    scheme: str
    leaks: Leaks
    parameters: dict = field(default_factory=dict)

    @property
    def leak(self):
        """A sentence on what leaks, for an archive's ``leak``; empty if nothing does."""
        return f"split {self.scheme!r} leaks: {self.leaks.sentence}" if self.leaks else ""

    @property
    def counts(self):
        """Number of images by name of split, dict."""
        names, counts = np.unique(self.names, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))


def split_paper(ra, dec, *, size, groups=None, test=0.1, seed=0):
    """The paper's split: some images drawn at random for the test (§2.2).

    Offset images of one cluster fall on both sides.

    Parameters
    ----------
    ra, dec : array_like of float or `~astropy.units.Quantity`, shape (N,)
        Centres of the images, degrees.
    size : float, `~astropy.units.Quantity` or array_like of these
        Sides of the images, arcsec.
    groups : array_like, shape (N,), optional
        The cluster of each image, for what leaks.
    test : float or int, optional
        Part of the images for the test, or their number; the paper has 204 of 1988.
    seed : int, optional

    Returns
    -------
    Split
        Of "train" and "test".

    Raises
    ------
    InputError
        If the images cannot be split so.

    Warns
    -----
    LeakWarning
        If clusters or sky stand in both.
    """
    ra, dec, size = image_sizes(ra, dec, size)
    whole = isinstance(test, (int, np.integer)) and not isinstance(test, bool)
    number = int(test) if whole else round(check_fraction("test", test) * len(ra))
    if not 0 < number < len(ra):
        raise InputError(f"test must leave images on both sides, got {test} of {len(ra)} images")
    keys = [position_key(*place) for place in zip(ra, dec, strict=True)]
    order = np.lexsort((keys, stable_uniform(seed, keys)))
    names = np.full(len(ra), "train", dtype="<U5")
    names[order[:number]] = "test"
    return _finished(names, "paper", {"test": test, "seed": seed}, ra, dec, size, groups)


def split_kfold(
    ra, dec, *, size, groups=None, redshift=None, richness=None, folds=5, test_fold=None,
    strata=3, seed=0, together=True,
):  # fmt: skip
    """Folds with equal shares of every redshift and richness, whole clusters in each.

    Parameters
    ----------
    ra, dec, size, groups
        As for `split_paper`; the images of a group are in one fold.
    redshift, richness : array_like of float, shape (N,), optional
        Of each image's cluster; NaN where there is none.
    folds : int, optional
    test_fold : int, optional
        The fold to test with, from 0: gives "train" and "test" in place of "fold0", "fold1" …
    strata : int, optional
        Into how many parts of equal numbers the redshifts are cut, and the richnesses in each.
    seed : int, optional
    together : bool, optional
        Keep clusters with overlapping images in one fold, so that no pixel stands in two.

    Returns
    -------
    Split

    Raises
    ------
    InputError
        If there are too few clusters for the folds, or more than one fold's share of them hangs
        together by overlapping images.

    Warns
    -----
    LeakWarning
        If sky stands in several folds.
    """
    ra, dec, size = image_sizes(ra, dec, size)
    folds, strata = check_count("folds", folds, 2), check_count("strata", strata)
    if test_fold is not None and test_fold not in range(folds):
        raise InputError(f"test_fold must be from 0 to {folds - 1}, got {test_fold!r}")
    unit, keys = _units(ra, dec, size, groups, together)
    largest = int(np.bincount(unit).max(initial=0))
    if len(keys) < folds:
        raise InputError(f"folds must be at most the number of separate clusters, {len(keys)}")
    if together and largest > len(ra) / folds:
        raise InputError(
            f"{largest} of {len(ra)} images hang together by overlaps, more than one of {folds} "
            "folds; split by cells, or with together=False (pixels will stand in several folds)"
        )
    cut = _strata(unit, redshift, richness, strata, len(ra))
    order = np.lexsort((keys, stable_uniform(seed, keys), cut))
    fold = np.empty(len(keys), int)
    fold[order] = np.arange(len(keys)) % folds
    fold = fold[unit]
    if test_fold is None:
        names = np.array([f"fold{k}" for k in range(folds)])[fold]
    else:
        names = np.where(fold == test_fold, "test", "train")
    told = {"folds": folds, "test_fold": test_fold, "strata": strata, "seed": seed}
    return _finished(names, "kfold", told | {"together": together}, ra, dec, size, groups)


def split_cells(ra, dec, *, size, groups=None, nside=NSIDE, fractions=None, seed=0, border="move"):
    """Whole HEALPix cells and whole clusters on one side: no pixel of sky is in two splits.

    The split of a cell follows from its number and the seed alone, so that images added later,
    and other sets of images with the same seed, go by the same map of the sky.

    Parameters
    ----------
    ra, dec, size, groups
        As for `split_paper`; the images of a group are in one split.
    nside : int, optional
        Of the cells; 16, the default, are 3.7 degrees wide.
    fractions : dict of str to float, optional
        Parts of the sky by name of split, 0.8 train, 0.1 valid and 0.1 test by default. They
        are divided by their sum.
    seed : int, optional
    border : {"move", "drop"}, optional
        What becomes of images across the border of two splits. "move": images that hang
        together by overlaps go together to the cell that has most of them, and only of those
        which reach through more than four cells, as the tiles of a survey do, some are left
        out. "drop": all images that touch cells of another split are left out, so that an
        image's split follows from its own place.

    Returns
    -------
    Split
        Images left out have an empty name.

    Raises
    ------
    InputError
        If a split of ``fractions`` gets no image, or cells are smaller than images.
    """
    ra, dec, size = image_sizes(ra, dec, size)
    fractions = _checked_fractions(FRACTIONS if fractions is None else fractions)
    check_choice("border", border, {"move", "drop"})
    grid = cell_grid(nside, size)
    cell = np.asarray(grid.lonlat_to_healpix(ra * u.deg, dec * u.deg))
    cells, of_cell = np.unique(cell, return_inverse=True)
    own = cell_splits(cells, fractions, seed)[of_cell]
    names, unsure = own.copy(), np.arange(len(ra))
    if border == "move":
        unit, keys = _units(ra, dec, size, groups, together=True)
        unsure = move_units(names, own, unit, len(keys), of_cell, cells, seed)
    names = guarded(names, unsure, ra, dec, size, grid, fractions, seed)
    keep_groups_whole(names, groups)
    told = {"nside": int(nside), "fractions": fractions, "seed": seed, "border": border}
    result = _finished(names, "cells", told, ra, dec, size, groups)
    empty = [name for name in fractions if name not in result.counts]
    if empty and len(ra):
        raise InputError(
            f"fractions: no image falls into {', '.join(map(repr, empty))} with {len(ra)} images "
            f"in {len(cells)} cells of nside={nside}; use more cells (nside) or another seed"
        )
    return result


def _finished(names, scheme, parameters, ra, dec, size, groups):
    """The split with what leaks, of which it warns."""
    found = leaks(ra, dec, names, size=size, groups=groups)
    result = Split(names, scheme, found, parameters)
    if found:
        warnings.warn(result.leak, LeakWarning, stacklevel=3)
    return result


def _units(ra, dec, size, groups, together):
    """What must not be parted: number of each image's unit, and a stable key of each unit."""
    keys = np.array([position_key(*place) for place in zip(ra, dec, strict=True)], dtype=str)
    links = [np.unique(np.stack([ra, dec]), axis=1, return_inverse=True)[1]]
    if groups is not None:
        links.append(np.unique(np.asarray(groups).astype(str), return_inverse=True)[1])
    # Images are linked to nodes: their place, their group, and the places they overlap with.
    rows = np.tile(np.arange(len(ra)), len(links))
    offsets = np.cumsum([len(ra), *(link.max(initial=-1) + 1 for link in links)])
    nodes = np.concatenate([link + offset for link, offset in zip(links, offsets, strict=False)])
    if together and len(ra):
        first = np.unique(np.stack([ra, dec, size]), axis=1, return_index=True)[1]
        one, two = overlapping(ra[first], dec[first], size[first])
        rows, nodes = np.append(rows, first[one]), np.append(nodes, first[two])
    if not together:
        # Images at one place may be of several groups.
        keep = slice(None if groups is None else len(ra), None)
        rows, nodes = rows[keep], nodes[keep]
    total = int(offsets[-1])
    graph = coo_array((np.ones(len(rows), bool), (rows, nodes)), shape=(total, total))
    unit = connected_components(graph, directed=False)[1][: len(ra)]
    unit = np.unique(unit, return_inverse=True)[1]
    order = np.lexsort((keys, unit))
    starts = np.unique(unit[order], return_index=True)[1]
    return unit, keys[order][starts]


def _strata(unit, redshift, richness, parts, n):
    """Number of each unit's stratum."""
    cut = np.zeros(unit.max(initial=-1) + 1, int)
    for name, values in (("redshift", redshift), ("richness", richness)):
        if values is None:
            continue
        values = np.asarray(np.ma.filled(np.ma.asarray(values).astype(float), np.nan), float)
        if values.shape != (n,):
            raise InputError(f"{name} must have one value for each image, got {values.shape}")
        middle = np.full(len(cut), np.nan)
        order = np.lexsort((values, unit))
        # The least of a unit, the NaN being sorted last.
        middle[unit[order[::-1]]] = values[order[::-1]]
        cut = cut * (parts + 1) + _quantile_parts(middle, cut, parts)
    return cut


def _quantile_parts(values, within, parts):
    """Parts of equal numbers in each stratum so far: 1 to ``parts``, 0 for NaN."""
    result = np.zeros(len(values), int)
    for stratum in np.unique(within):
        rows = np.flatnonzero((within == stratum) & np.isfinite(values))
        edges = np.quantile(values[rows], np.arange(1, parts) / parts) if len(rows) else []
        result[rows] = 1 + np.searchsorted(edges, values[rows], side="right")
    return result


def _checked_fractions(fractions):
    try:
        parts = {str(name): float(part) for name, part in dict(fractions).items()}
    except (TypeError, ValueError):
        parts = {}
    if len(parts) < 2 or "" in parts:
        raise InputError(
            f"fractions must be two or more numbers by name of split, got {fractions!r}"
        )
    for name, part in parts.items():
        check_positive(f"fractions[{name!r}]", part)
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items()}
