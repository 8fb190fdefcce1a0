"""`build`: fields and a table of known objects become an archive."""

import json
import warnings
from functools import partial
from pathlib import Path

import numpy as np

from astro_objdet.catalogs.cosmology import cosmology_meta
from astro_objdet.catalogs.plain import plain
from astro_objdet.errors import (
    AstroObjdetError,
    InputError,
    OutputExistsError,
    ResourceError,
    check_fraction,
)
from astro_objdet.fields import expand_inputs, group_fields
from astro_objdet.files import check_writable, sha256_of
from astro_objdet.images import read_bands
from astro_objdet.images.stretch import stretch_from_dict
from astro_objdet.skies.datasets.making import Making
from astro_objdet.skies.datasets.provenance import package_versions
from astro_objdet.skies.datasets.splitting import split_or_train
from astro_objdet.skies.datasets.truth import read_truth, size_told
from astro_objdet.skies.datasets.windows import FieldWindows

__all__ = ["build", "find_truth"]

# The table of known objects, where a folder holds one and it is not named.
_TRUTH_NAMES = ("truth.ecsv", "truth.fits", "truth.csv", "truth.vot", "truth.parquet")


# How settings are recorded that JSON does not have.
_TOLD = {"box_size": size_told, "cosmology": cosmology_meta}


def build(
    inputs,
    output,
    *,
    recipe,
    truth=None,
    size=None,
    overlap=None,
    stretched=False,
    dtype="float16",
    max_masked=0.5,
    scheme=None,
    seed=0,
    bands=None,
    hdu=None,
    unit=None,
    zero_point=None,
    compression="auto",
    resume=False,
    overwrite=False,
    progress=None,
    **objects,
):
    """Cut fields into labelled windows at a recipe's pixel scale, and archive them.

    Parameters
    ----------
    inputs : sequence of path-like
        Files, patterns and folders, as for `~astro_objdet.runs.detect`.
    output : path-like
        The archive.
    recipe : `~astro_objdet.detectors.Recipe`
        Bands, pixel scale, labels, and whether boxes end at the border of an image.
    truth : path-like, optional
        Table of known objects; by default ``truth.ecsv`` (or another suffix) in a folder of
        ``inputs``.
    size : int, optional
        Side of a window in pixels of the recipe; by default what training shows at once, or
        the first field's shorter side if that is less.
    overlap : int, optional
        Pixels that neighbours share; a quarter of ``size`` by default. Windows are added for
        objects that lie whole in none.
    stretched : bool
        Store 8-bit pictures as the recipe sees them instead of fluxes.
    dtype : str
        Of fluxes: "float16" or "float32".
    max_masked : float
        Windows with a larger share of bad pixels are left out.
    scheme, seed
        How to split into training and test, as for `split`; by whole cells of sky by default,
        if there are enough of them.
    bands, hdu, unit, zero_point
        As for `~astro_objdet.images.read_bands`, for every field.
    compression : str
        As for `ArchiveWriter`.
    resume : bool
        Go on with an archive that was interrupted.
    overwrite : bool
        Replace an existing archive, as soon as the first window is made.
    progress : callable, optional
        Called with the field's name, fields done, and fields in all.
    **objects
        How rows of the table become objects, as for `truth_of`: box_size, label, label_column,
        target, ignore, decoy, keep, columns, redshift, richness, cosmology.

    Returns
    -------
    BuildReport

    Raises
    ------
    InputError
        For inputs, tables and parameters that cannot be used, and if no field can be read.
        Single fields that cannot be read are in the report.
    OutputExistsError
        The archive exists, and neither ``overwrite`` nor ``resume`` was asked for.
    ResourceError
        The disk is full; what was appended stays, for ``resume``.

    Warns
    -----
    UserWarning
        If no object is a target on any field.
    """
    check_fraction("max_masked", max_masked)
    truth_path = find_truth(inputs, truth)
    paths, problems = expand_inputs(inputs)
    paths = [path for path in paths if path.resolve() != truth_path.resolve()]
    fields = group_fields(paths, bands)
    failures = [(given, str(error), error.exit_code) for given, error in problems]
    if not fields:
        raise problems[0][1] if problems else InputError("no image was given")
    check_writable(output, overwrite or resume, [*paths, truth_path])
    read = partial(read_bands, bands=bands, hdu=hdu, unit=unit, zero_point=zero_point)
    size = _usual_size(fields, read, recipe) if size is None else size
    overlap = size // 4 if overlap is None else overlap
    known = read_truth(truth_path, recipe.labels, **objects)
    given = {"size": size, "overlap": overlap, "stretched": stretched, "max_masked": max_masked}
    given |= {name: value for name, value in objects.items() if value is not None}
    given |= {name: told(given[name]) for name, told in _TOLD.items() if name in given}
    provenance = {
        "made_by": "dataset build",
        "versions": package_versions(),
        "settings": plain(given),
        "truth": {"name": truth_path.name, "sha256": sha256_of(truth_path), "rows": known.rows,
                  "set_aside": known.set_aside},
    }  # fmt: skip
    if _rendered_without_noise(truth_path):
        provenance["noiseless"] = True
    making = Making(
        output, recipe, known, provenance, size=size, dtype=dtype, compression=compression,
        stretch=recipe.stretch if stretched else None, max_masked=max_masked, resume=resume,
        overwrite=overwrite,
    )  # fmt: skip
    making.failures.extend(failures)
    stretch = stretch_from_dict(recipe.stretch) if stretched else None
    cut = partial(FieldWindows, recipe=recipe, truth=known, size=size, overlap=overlap,
                  stretch=stretch)  # fmt: skip
    with making:
        seen = _each_field(making, fields, read, cut, len(known), progress)
        making.finish(partial(split_or_train, scheme=scheme, seed=seed), int((~seen).sum()))
    return making.report(known)


def _usual_size(fields, read, recipe):
    """What training shows at once, in pixels; less if the first field that is whole is smaller."""
    for field in fields:
        try:
            with warnings.catch_warnings(action="ignore"), read(field.image) as stack:
                scale = stack.pixel_scale.to_value("arcsec") / recipe.pixel_scale
                return max(1, min(recipe.view, round(min(stack.shape[1:]) * scale)))
        except AstroObjdetError:
            continue  # it is told about when it is read for good
    return recipe.view


def find_truth(inputs, truth=None):
    """The table of known objects: as given, or ``truth.*`` in a folder of the inputs.

    Raises
    ------
    InputError
        If there is none, or several.
    """
    if truth is not None:
        return Path(truth)
    folders = [Path(given) for given in inputs if Path(given).is_dir()]
    found = [path for f in folders for name in _TRUTH_NAMES if (path := f / name).is_file()]
    if len(found) != 1:
        rest = f"and there are {', '.join(map(str, found))}" if found else "and there is none"
        raise InputError(
            "give the table of known objects with truth; without it one truth.ecsv (.fits, .csv, "
            f".vot, .parquet) is looked for in the folders of images, {rest}"
        )
    return found[0]


def _rendered_without_noise(truth_path):
    """Whether a table is that of a sky of `~astro_objdet.skies.rendering.simulate` as it said."""
    try:
        told = json.loads((truth_path.parent / "simulate.json").read_text())
        return truth_path.stem == "truth" and told["plan"]["noise"] is False
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _each_field(making, fields, read, cut, n_known, progress):
    """Append the windows of all fields; which objects lie on one."""
    done = making.done
    seen = np.zeros(n_known, bool)
    for number, field in enumerate(fields):
        if progress is not None:
            progress(field.name, number, len(fields))
        try:
            field.check()
            with read(field.image) as stack:
                windows = cut(stack)
                making.same_kind(windows)
                seen |= windows.inside
                for index, tile in enumerate(windows.tiles):
                    name = _window_id(field, index)
                    if name not in done:
                        making.append(name, field.name, windows.read(tile))
                sources = {Path(s["path"]).name: s["sha256"] for s in stack.sources}
            making.sources.update(sources)
            making.read += 1
        except AstroObjdetError as error:
            if making.broken or isinstance(error, (ResourceError, OutputExistsError)):
                raise
            text = str(error)
            named = text if field.name in text else f"{field.name}: {text}"
            making.failures.append((field.name, named, error.exit_code))
    return seen


def _window_id(field, index):
    return f"{field.name}:{index:03d}"
