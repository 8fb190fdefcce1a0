"""From files to a catalogue, a region file and pictures: one run over many fields."""

import time
from functools import partial
from pathlib import Path

import numpy as np
from astropy.table import vstack

from astro_objdet import plots
from astro_objdet.errors import (
    AstroObjdetError,
    InputError,
    ResourceError,
    check_choice,
)
from astro_objdet.fields import expand_inputs, group_fields
from astro_objdet.images import read_bands
from astro_objdet.reports import Failure, FieldResult, RunPlan, RunReport
from astro_objdet.staging import publish, staged

__all__ = ["FORMATS", "detect", "plan"]

# Catalogue formats, by the suffix that the unified I/O of astropy goes by.
FORMATS = ("ecsv", "fits", "vot", "parquet", "csv")


def load_detector(model, *, device="auto"):
    """The detector with its weights; torch is imported here and not before."""
    from astro_objdet.detectors import Detector

    return Detector.from_pretrained(model, device=device)


def plan(inputs, output, *, bands=None, format="ecsv", overlay=True, overwrite=False):
    """Say what a run would read and write, without opening a file.

    Parameters
    ----------
    inputs : sequence of path-like
        Files, glob patterns and folders; see `~astro_objdet.fields.expand_inputs`.
    output : path-like
        Folder for what is written.
    bands, format, overlay, overwrite
        As for `detect`.

    Returns
    -------
    `~astro_objdet.reports.RunPlan`

    Raises
    ------
    InputError
        No input, or an output that is no folder.
    OutputExistsError
        A file would be overwritten and ``overwrite`` is False.
    """
    check_choice("format", format, FORMATS)
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise InputError("the output must be a folder, and this is a file", output)
    paths, problems = expand_inputs(inputs)
    fields = group_fields(paths, bands)
    if not fields and not problems:
        raise InputError("at least one file, pattern or folder must be given")
    pictures = {}
    if overlay:
        single = len(fields) == 1
        pictures = {
            field.name: "detections.png" if single else f"{field.name}.png" for field in fields
        }
    result = RunPlan(
        fields=fields,
        failures=[Failure(given, str(e), e.exit_code) for given, e in problems],
        output=output,
        catalogue=f"detections.{format}",
        regions="detections.reg",
        overlays=pictures,
    )
    if not overwrite:
        result.refuse_existing()
    return result


def detect(
    inputs,
    output,
    *,
    model="deepcee",
    device="auto",
    threshold=None,
    bands=None,
    hdu=None,
    unit=None,
    zero_point=None,
    stretch=None,
    pixel_only=False,
    batch_size=None,
    workers=1,
    format="ecsv",
    overlay=True,
    overwrite=False,
    truth=None,
    progress=None,
):
    """Detect in the images of files and write the results into a folder.

    Written are ``detections.<format>``, ``detections.reg`` (DS9), and a picture:
    ``detections.png`` of one field, ``<field>.png`` of each of several. All of them
    appear together at the end; a run that is interrupted leaves nothing.

    Parameters
    ----------
    inputs : sequence of path-like
        Files, glob patterns and folders. Files whose names differ in the band only
        (``a_g.fits``, ``a_r.fits``, ``a_i.fits``) are one field.
    output : path-like
        Folder for what is written.
    model, device : str
        As for `~astro_objdet.detectors.Detector.from_pretrained`.
    threshold, stretch, batch_size, workers
        As for `~astro_objdet.detectors.Detector.detect`.
    bands, hdu, unit, zero_point, pixel_only
        As for `~astro_objdet.images.read_bands`, for every field.
    format : str
        Format of the catalogue: ecsv, fits, vot, parquet or csv.
    overlay : bool
        Whether to draw the pictures.
    overwrite : bool
        Whether files in ``output`` may be replaced.
    truth : `~astropy.coordinates.SkyCoord`, optional
        Known positions, marked in the pictures.
    progress : callable, optional
        Called with the name of the field, tiles done, and tiles in all.

    Returns
    -------
    `~astro_objdet.reports.RunReport`
        With the failures of single fields, which do not stop the others.

    Raises
    ------
    InputError
        No input, or an output folder that cannot be written to.
    OutputExistsError
        A file would be overwritten and ``overwrite`` is False.
    ModelError
        Weights that cannot be used.
    ResourceError
        The disk is full.
    """
    todo = plan(inputs, output, bands=bands, format=format, overlay=overlay, overwrite=overwrite)
    read = partial(
        read_bands,
        bands=bands,
        hdu=hdu,
        unit=unit,
        zero_point=zero_point,
        pixel_only=pixel_only,
        stretched=True if stretch == "identity" else None,
    )
    with staged(todo.output) as stage:
        detector = load_detector(model, device=device)
        search = partial(
            detector.detect,
            threshold=threshold,
            stretch=stretch,
            pixel_only=pixel_only,
            batch_size=batch_size,
            workers=workers,
        )
        work = partial(_detect_field, todo, stage, read, search, truth=truth, progress=progress)
        tables, results, failures = _each_field(todo.fields, work)
        catalogue, written = None, []
        if tables:
            catalogue = tables[0]
            if len(todo.fields) > 1:
                catalogue = combine(tables, [field.name for field in results])
            catalogue.write(stage / todo.catalogue)
            _write_regions(catalogue, stage / todo.regions)
            if not overwrite:
                todo.refuse_existing()
            written = publish(stage, todo.output)
    return RunReport(
        model={
            "detector": detector.name,
            "weights": detector.weights_name,
            "sha256": detector.sha256,
        },
        fields=results,
        failures=[*todo.failures, *failures],
        written=written,
        detections=catalogue,
    )


def combine(tables, names):
    """One catalogue of several fields: new ids, and a column ``field``.

    Parameters
    ----------
    tables : list of `~astro_objdet.catalogs.Detections`
    names : list of str
        Name of each table's field.

    Returns
    -------
    `~astro_objdet.catalogs.Detections`
        Its ``meta`` keeps what the tables' agree in; the rest of each is in
        ``meta["fields"][name]``.
    """
    catalogue = vstack(tables, metadata_conflicts="silent")
    catalogue["id"][:] = np.arange(1, len(catalogue) + 1)
    counts = [len(table) for table in tables]
    catalogue["field"] = np.repeat(np.array(names, dtype=str), counts)
    metas = [dict(table.meta) for table in tables]
    shared = {
        key: value
        for key, value in metas[0].items()
        if all(key in meta and meta[key] == value for meta in metas[1:])
    }
    own = [{k: v for k, v in meta.items() if k not in shared} for meta in metas]
    catalogue.meta.clear()
    catalogue.meta.update(shared, fields=dict(zip(names, own, strict=True)))
    return catalogue


def _each_field(fields, work):
    """Results of ``work`` for the fields where it succeeds, failures of the others."""
    tables, results, failures = [], [], []
    for field in fields:
        try:
            found, result = work(field)
        except AstroObjdetError as error:
            # A full disk would fail every other field too.
            disk = isinstance(error.__cause__, OSError)
            if disk and isinstance(error, ResourceError):
                raise
            failures.append(Failure(field.name, str(error), error.exit_code))
        except MemoryError:
            message = f"{field.name}: memory ran out; try a smaller batch size"
            failures.append(Failure(field.name, message, ResourceError.exit_code))
        else:
            tables.append(found)
            results.append(result)
    return tables, results, failures


def _detect_field(todo, stage, read, search, field, *, truth=None, progress=None):
    """Read one field, detect in it, and draw the picture."""
    start = time.perf_counter()
    field.check()
    with read(field.image) as stack:
        found = search(stack, progress=progress and partial(progress, field.name))
        bands = tuple(found.meta.get("bands", stack.bands))
        if todo.overlays:
            plots.overlay(
                stack.select(bands),
                found,
                stage / todo.overlays[field.name],
                truth=truth,
                title=field.name,
            )
    return found, FieldResult(
        name=field.name,
        files=tuple(map(str, field.paths)),
        bands=bands,
        detections=len(found),
        best_score=float(found["score"].max()) if len(found) else None,
        seconds=round(time.perf_counter() - start, 3),
    )


def _write_regions(catalogue, path):
    """Regions on the sky; in pixels only where that can mean a single image."""
    if "field" in catalogue.colnames:
        catalogue = catalogue[np.isfinite(catalogue["ra"].value)]
    catalogue.write(path)
