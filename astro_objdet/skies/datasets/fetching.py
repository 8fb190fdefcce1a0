"""`fetch`: the paper's sample of a catalogue, its images from a survey, and an archive of both."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np

from astro_objdet.catalogs.plain import plain
from astro_objdet.catalogs.tables.files import write_table
from astro_objdet.errors import InputError, check_count, check_positive
from astro_objdet.files import check_writable, sha256_of
from astro_objdet.images import read_bands
from astro_objdet.skies.datasets.making import Making
from astro_objdet.skies.datasets.provenance import package_versions
from astro_objdet.skies.datasets.splitting import split_or_train
from astro_objdet.skies.datasets.truth import named, read_truth, size_told
from astro_objdet.skies.datasets.windows import FieldWindows
from astro_objdet.skies.samples import (
    PAPER_OFFSETS,
    PAPER_PIXEL_SCALE,
    PAPER_RADIUS,
    PAPER_SIZE,
    cluster_sample,
    random_offsets,
)
from astro_objdet.skies.stable import position_key
from astro_objdet.skies.surveys import fetch_table, find_image_survey

__all__ = ["failures_path", "fetch"]

_EVERYTHING = (-np.inf, np.inf)


def fetch(
    catalogue,
    output,
    *,
    recipe,
    survey="sdss",
    redshift=(0.1, 0.2),
    richness=(20, None),
    declination=(0, None),
    columns=None,
    offsets=PAPER_OFFSETS,
    radius=PAPER_RADIUS,
    size=PAPER_SIZE,
    pixel_scale=PAPER_PIXEL_SCALE,
    box_size="500 kpc",
    limit=None,
    scheme=None,
    seed=0,
    resume=False,
    overwrite=False,
    progress=None,
    **service,
):
    """Build the training set of paper I (section 2.2) from a catalogue and a survey.

    Clusters that pass the cuts are targets wherever they lie in an image; other clusters of
    the catalogue are ignored. Images that a service did not send are listed in a table beside
    the archive, and asked for again with ``resume``.

    Parameters
    ----------
    catalogue : path-like
    output : path-like
        The archive; failures go to ``<its name>.failures.ecsv``.
    recipe : `~astro_objdet.detectors.Recipe`
    survey : str or `~astro_objdet.skies.surveys.ImageSurvey`
    redshift, richness, declination, columns
        As for `~astro_objdet.skies.samples.cluster_sample`.
    offsets, radius, seed
        As n, radius, seed of `~astro_objdet.skies.samples.random_offsets`; the seed is also
        that of the split.
    size, pixel_scale
        Of the images asked for: pixels and arcsec. They are brought to the recipe's scale.
    box_size, scheme, resume, overwrite, progress
        As for `build`.
    limit : int, optional
        Take the first so many clusters only.
    **service
        Of `~astro_objdet.skies.surveys.fetch_table`: connections, give_up, cache, timeout,
        retries, covered, sleep.

    Returns
    -------
    BuildReport
        ``failures`` has an entry for each image that is missing.

    Raises
    ------
    InputError
        For a catalogue or parameters that cannot be used.
    NetworkError
        If no image came at all.
    OutputExistsError
        The archive exists, and neither ``overwrite`` nor ``resume`` was asked for.
    """
    check_count("size", size)
    check_positive("pixel_scale", pixel_scale)
    catalogue = Path(catalogue)
    entry = find_image_survey(survey)
    check_writable(output, overwrite or resume, [catalogue])
    cuts = {"redshift": redshift, "richness": richness, "declination": declination}
    with named(catalogue):
        sample = cluster_sample(catalogue, columns=columns, **cuts)
    if not len(sample):
        told = "; ".join(f"{why}: {count}" for why, count in _left_out(sample).items())
        raise InputError(f"no cluster passes the cuts ({told or 'it has no rows'})", catalogue)
    cutouts = random_offsets(sample[:limit], offsets, radius=radius, seed=seed)
    known = _known(catalogue, sample, recipe, box_size, redshift, richness)
    side = int(size * pixel_scale / recipe.pixel_scale + 1e-6)
    given = {
        "survey": entry.name,
        "size": size,
        "pixel_scale": pixel_scale,
        "box_size": size_told(box_size),
    }
    provenance = {
        "made_by": "dataset fetch",
        "versions": package_versions(),
        "settings": plain({**given, "limit": limit, **cutouts.meta}),
        "truth": {"name": catalogue.name, "sha256": sha256_of(catalogue), "rows": known.rows,
                  "set_aside": known.set_aside},
        "survey": {"title": entry.title, "reference": entry.reference,
                   "acknowledgement": entry.acknowledgement},
    }  # fmt: skip
    making = Making(
        output, recipe, known, provenance, size=side, resume=resume, overwrite=overwrite
    )
    groups = _groups(cutouts)
    names = [f"{group}:{image}" for group, image in zip(groups, cutouts["image"], strict=True)]
    done = making.done
    skip = [number for number, name in enumerate(names) if name in done]

    def use(row, images):
        if progress is not None:
            progress(names[row], row, len(names))
        with read_bands(images) as stack:
            windows = FieldWindows(stack, recipe, known, size=side, overlap=0)
            making.same_kind(windows)
            window = windows.read(windows.tiles[0])
        making.append(names[row], groups[row], window)
        making.read += 1

    with making:
        failed = fetch_table(
            cutouts, use, survey=entry, bands=tuple(reversed(recipe.bands)), size=size,
            pixel_scale=pixel_scale, skip=skip, **service,
        )  # fmt: skip
        for row in failed:
            text = f"{names[row['row']]}: band {row['band']}: {row['reason']}"
            making.failures.append((names[row["row"]], text, 5))
        _write_failures(failed, names, output)
        advice = f"; all are listed in {failures_path(output)}, and resume asks again"
        making.finish(partial(split_or_train, scheme=scheme, seed=seed), advice=advice)
    report = making.report(known)
    return dataclasses.replace(report, set_aside=_left_out(sample))


def failures_path(output):
    """Where `fetch` lists the images that did not come."""
    output = Path(output)
    return output.with_name(f"{output.name}.failures.ecsv")


def _groups(cutouts):
    """The cluster of each image: its name alone may be that of several, or empty."""
    return [f"{row['name']}:{position_key(row['ra'].value, row['dec'].value)}" for row in cutouts]


def _left_out(sample):
    """How many rows of the catalogue are not in the sample, by reason."""
    cut = {f"outside the cut in {name}": n for name, n in sample.meta["cut_away"].items() if n}
    return {**sample.meta["set_aside"], **cut}


def _write_failures(failed, names, output):
    """The table of what failed; that of an earlier attempt goes."""
    path = failures_path(output)
    if len(failed):
        failed["image"] = [names[row] for row in failed["row"]]
        write_table(failed, path, overwrite=True)
    else:
        path.unlink(missing_ok=True)


def _known(catalogue, sample, recipe, box_size, redshift, richness):
    """All objects of the catalogue: the cuts make targets, the others are ignored."""
    found = sample.meta["columns"]
    cuts = {"redshift": redshift, "richness": richness}
    place = tuple(found[name] for name in ("ra", "dec") if name in found)
    return read_truth(
        catalogue, recipe.labels, box_size=box_size,
        target={name: cut for name, cut in cuts.items() if cut and tuple(cut) != (None, None)},
        ignore={"redshift": _EVERYTHING}, columns=place, redshift=found["redshift"],
        richness=found.get("richness"),
    )  # fmt: skip
