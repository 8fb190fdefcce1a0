"""`split`: which images of an archive are for training and which for test."""

import warnings

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from astro_objdet.errors import InputError, check_choice
from astro_objdet.skies.archive import Archive, ArchiveWriter
from astro_objdet.skies.splits import NSIDE, split_cells, split_kfold, split_paper

__all__ = ["SCHEMES", "split", "split_or_train"]

#: Schemes by name, and which of the options each takes.
SCHEMES = {
    "cells": (split_cells, {"nside", "fractions", "border"}),
    "paper": (split_paper, {"test"}),
    "kfold": (split_kfold, {"folds", "test_fold", "strata", "together"}),
}
# Cells of 3.7 to 0.5 degrees.
_NSIDES = (NSIDE, 2 * NSIDE, 4 * NSIDE, 8 * NSIDE)


def split(path, *, scheme="cells", seed=0, **options):
    """Split the images of an archive anew, all of them at once.

    Parameters
    ----------
    path : path-like
        An archive that no program is writing to.
    scheme : str
        "cells": whole HEALPix cells of sky, which nothing leaks from; "paper": images at
        random, as in paper I; "kfold": stratified folds.
    seed : int
    **options
        Of `~astro_objdet.skies.splits.split_cells` (nside, fractions, border), ``split_paper``
        (test) or ``split_kfold`` (folds, test_fold, strata, together).

    Returns
    -------
    `~astro_objdet.skies.splits.Split`

    Raises
    ------
    InputError
        For options of another scheme, an archive without sky positions, or one that cannot be
        split so; it stays as it was.

    Warns
    -----
    LeakWarning
        If sky or clusters stand in several splits; the archive says so too.
    """
    found = _splits_of(Archive(path, need_targets=False), scheme, seed, options)
    writer = ArchiveWriter.resume(path)
    try:
        _write(writer, found)
    finally:
        writer.close(complete=None)
    return found


def split_or_train(writer, scheme=None, seed=0):
    """Split an archive that is being built.

    Parameters
    ----------
    writer : `~astro_objdet.skies.archive.ArchiveWriter`
    scheme : str, optional
        One of `split`, the first of five folds being the test, or "none" for all images in
        training. By default cells, as large ones as give images to each side, and "none" with a
        warning where none do.
    seed : int
    """
    archive = Archive(writer.path, need_targets=False)
    if scheme in ("paper", "kfold"):
        # training asks for "train" and "test"
        options = {"test_fold": 0} if scheme == "kfold" else {}
        _write(writer, _splits_of(archive, scheme, seed, options))
        return
    problem = None
    for nside in _NSIDES if scheme != "none" else ():
        try:
            _write(writer, _splits_of(archive, "cells", seed, {"nside": nside}))
            return
        except InputError as error:
            problem = problem or error
    if scheme == "cells":
        raise problem
    if problem is not None:
        warnings.warn(
            f"not split, all images are for training: {problem}", UserWarning, stacklevel=2
        )
    writer.set_splits(["train"] * writer.n_images, {"scheme": "none"})


def _splits_of(archive, scheme, seed, options):
    check_choice("scheme", scheme, SCHEMES)
    function, known = SCHEMES[scheme]
    options = {name: value for name, value in options.items() if value is not None}
    for name in options:
        if name not in known:
            raise InputError(f"{name} is no option of the scheme {scheme!r}")
    images = archive.images
    ra, dec = np.asarray(images["ra"]), np.asarray(images["dec"])
    if not archive.n_images or not np.isfinite(ra).all():
        raise InputError("cannot be split: it has no images, or some without WCS", archive.path)
    if scheme == "kfold":
        options |= _properties(archive)
    # images without a group are each on their own
    groups = [name or f"image {k}" for k, name in enumerate(images["group"])]
    return function(ra, dec, size=_extents(archive, ra, dec), groups=groups, seed=seed, **options)


def _extents(archive, ra, dec):
    """Side in arcsec of the square with north up around each image, however that is turned."""
    middle = SkyCoord(np.repeat(ra, 4), np.repeat(dec, 4), unit="deg")
    found = [archive.corners(number) for number in range(archive.n_images)]
    lon, lat = (np.concatenate([getattr(c, name).deg for c in found]) for name in ("ra", "dec"))
    around = middle.spherical_offsets_to(SkyCoord(lon, lat, unit="deg"))
    offsets = [abs(part.to_value(u.arcsec)) for part in around]
    return 2 * np.max(offsets, axis=0).reshape(-1, 4).max(axis=1)


def _properties(archive):
    """Redshift and richness of the richest target of each image, NaN without one."""
    values = {name: np.full(archive.n_images, np.nan) for name in ("redshift", "richness")}
    for number in range(archive.n_images):
        objects = archive.objects(number)
        objects = objects[objects["role"] == "target"]
        if len(objects):
            rich = np.nan_to_num(objects["richness"], nan=-1)
            for name, column in values.items():
                column[number] = objects[name][np.argmax(rich)]
    return values


def _write(writer, found):
    counts = {str(name): int(n) for name, n in found.counts.items()}
    note = {"scheme": found.scheme, "parameters": found.parameters, "counts": counts}
    writer.set_splits(found.names, {**note, "leak": found.leak})
