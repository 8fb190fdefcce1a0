"""Render a survey: as FITS files with a truth table, or straight into an archive."""

import json
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import QTable, vstack

from astro_objdet.catalogs.columns.ranges import check_range
from astro_objdet.catalogs.plain import plain
from astro_objdet.catalogs.tables.files import write_table
from astro_objdet.errors import InputError, check_choice, check_count
from astro_objdet.files import translated, write_whole
from astro_objdet.images.resample import SCALE_TOLERANCE
from astro_objdet.skies.archive import Archive, ArchiveWriter
from astro_objdet.skies.conditions import SURVEYS
from astro_objdet.skies.datasets.fieldfiles import field_name, make_room, write_field
from astro_objdet.skies.datasets.provenance import package_versions
from astro_objdet.skies.datasets.splitting import split_or_train
from astro_objdet.skies.plans import PARTS, plan_fields
from astro_objdet.skies.populations.haloes import RICHNESS_CUT

__all__ = ["Rendered", "Roles", "render_archive", "simulate"]


@dataclass(frozen=True)
class Roles:
    """What a rendered cluster or group is to training: see `Archive`.

    Targets have at least ``richness`` and a redshift within ``redshift``, of which either
    end may be None; the others down to ``ignored_richness`` are ignored, still poorer ones
    down to ``decoy_richness`` decoys, and the rest is confusion.

    With ``fading``, a redshift and a rate, targets beyond that redshift need ``richness`` times
    exp(rate (z - redshift)): where the fainter members are lost, only the richest clusters are
    told from groups. redMaPPer's limit rises for the same reason (Rykoff et al. 2014).
    """

    richness: float = RICHNESS_CUT
    ignored_richness: float = 12.0
    decoy_richness: float = 6.0
    redshift: tuple = (0.08, 0.38)
    fading: tuple | None = None

    def __post_init__(self):
        for name in ("richness", "ignored_richness", "decoy_richness"):
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise InputError(f"{name} must be a finite number from 0 up, got {value}")
        check_range("redshift", self.redshift)
        if self.fading is not None and not (
            len(self.fading) == 2 and all(0 <= value < np.inf for value in self.fading)
        ):
            raise InputError(
                f"fading must be a redshift and a rate, finite and from 0 up, got {self.fading}"
            )

    def __call__(self, richness, redshift):
        """Role of each object, from two arrays."""
        low, high = self.redshift
        within = (redshift >= (low or 0)) & (redshift <= (np.inf if high is None else high))
        needed = self.richness
        if self.fading is not None:
            begins, rate = self.fading
            needed = needed * np.exp(rate * np.clip(redshift - begins, 0, None))
        target = within & (richness >= needed)
        ignored = richness >= self.ignored_richness
        decoy = within & (richness >= self.decoy_richness)
        return np.select([target, ignored, decoy], ["target", "ignored", "decoy"], "confusion")


@dataclass
class Rendered:
    """What was rendered and written.

    Attributes
    ----------
    path : str
    fields : int
    area : float
        Square degrees.
    clusters, groups : int
        In the truth, above and below the richness cut.
    written : list of str
    """

    path: str
    fields: int
    area: float
    clusters: int
    groups: int
    written: list = field(default_factory=list)


def simulate(
    survey="sdss",
    area=1.0,
    *,
    out,
    seed,
    size=2048,
    workers=1,
    overwrite=False,
    progress=None,
    **more,
):
    """Render fields of a survey as FITS files, with one truth table for all.

    Parameters
    ----------
    survey : str
        ``"sdss"``, ``"des"``, ``"hsc"`` or ``"lsst"``.
    area : float
        Square degrees; rounded up to whole fields.
    out : path-like
        Folder. Each field is a FITS file per band, ``sdss_00000_g.fits`` and so on;
        ``truth.ecsv`` has a row per cluster and group with its ``field``;
        ``simulate.json`` what was asked for.
    seed : int
        Field k is a function of the arguments and k alone.
    size : int
        Side of the fields in pixels.
    workers : int
        Processes that render; the files do not depend on it.
    overwrite : bool
        Replace a sky that was rendered into the folder: its files are removed first.
    progress : callable, optional
        Called with ("rendering", done, total).
    **more
        As `~astro_objdet.skies.plans.plan_fields` takes them.

    Returns
    -------
    `Rendered`

    Raises
    ------
    InputError
        For a parameter that breaks its rule.
    OutputExistsError
        A rendered sky, or part of one, is in the folder and ``overwrite`` is False.
    """
    plan, count = plan_fields(survey, area, seed=seed, size=size, **more)
    check_count("workers", workers)
    places, _ = plan.places(count)
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise translated(error, out, "made") from error
    told = _told(plan, survey, count)
    make_room(out, plan.survey, overwrite)
    # First of all, so that what an interrupted run leaves is known to be its.
    write_whole(out / "simulate.json", json.dumps(told, indent=1) + "\n", overwrite=True)
    write = partial(write_field, plan, str(out), overwrite)
    truth, written = [], []
    for number, (rows, paths) in enumerate(_rendered(write, places, workers)):
        truth.append(rows)
        written += paths
        if progress is not None:
            progress("rendering", number + 1, count)
    truth = vstack(truth, metadata_conflicts="silent")
    truth.meta = {"simulation": told}
    write_table(truth, out / "truth.ecsv", overwrite=True)
    written += [str(out / "truth.ecsv"), str(out / "simulate.json")]
    rich = int((truth["richness"] >= RICHNESS_CUT).sum())
    return Rendered(str(out), count, count * plan.field_area, rich, len(truth) - rich, written)


def render_archive(
    out,
    survey="sdss",
    area=1.0,
    *,
    seed,
    recipe,
    size=None,
    roles=None,
    workers=1,
    overwrite=False,
    resume=False,
    progress=None,
    **more,
):
    """Render fields straight into an archive for training.

    Parameters
    ----------
    out : path-like
        The archive.
    survey, area, seed, workers, overwrite, progress
        As for `simulate`.
    recipe : `astro_objdet.detectors.Recipe`
        Whose bands, labels and pixel scale it gets: as many of the survey's pixels are
        binned as one of its pixels is wide. Where it clips boxes, they end at the border.
    size : int, optional
        Side of the images in pixels of the recipe; by default what training shows at once.
    roles : `Roles`, optional
        Which clusters are targets.
    resume : bool
        Go on with an archive that was interrupted.
    **more
        As `~astro_objdet.skies.plans.plan_fields` takes them. Without ``parts``, the images
        are split by cells of sky where that is possible. Without noise, the archive
        says so, and each training view gets noise of its own.

    Returns
    -------
    `Rendered`

    Raises
    ------
    InputError
        For a parameter that breaks its rule, or an archive to resume that was made with
        others.
    OutputExistsError
        The archive exists and neither ``overwrite`` nor ``resume`` is set.
    """
    roles = roles or Roles()
    size = recipe.view if size is None else size
    more["binning"] = _binning(survey, recipe, more.get("binning"))
    plan, count = plan_fields(survey, area, seed=seed, size=size, **more)
    check_count("workers", workers)
    told = {**_told(plan, survey, count), "noiseless": not plan.noise, "roles": asdict(roles)}
    layout = {
        "bands": plan.survey.bands,
        "pixel_scale": plan.survey.pixel_scale,
        "shape": (plan.size, plan.size),
        "kind": "raw",
        "dtype": "float16",
        "unit": "nmgy / arcsec2",
        "labels": recipe.labels,
        "recipe": recipe.name,
        "clip_boxes": recipe.clip_boxes,
        "provenance": told,
        "columns": ("i_central",),
    }
    if resume and os.path.exists(out):
        _check_same(out, told)
        writer = ArchiveWriter.resume(out, **layout)
    else:
        writer = ArchiveWriter(out, overwrite=overwrite, **layout)
    with writer:
        done = set(writer.fields)
        todo = [k for k in range(count) if field_name(plan.survey, k) not in done]
        render = partial(_archived, plan, roles, recipe.labels[0], recipe.clip_boxes)
        places, parts = plan.places(count)
        rendered = _rendered(render, places, workers, todo)
        for number, (k, (pixels, objects, wcs)) in enumerate(zip(todo, rendered, strict=True)):
            writer.append(
                pixels, objects, wcs=wcs, field=field_name(plan.survey, k), split=str(parts[k])
            )
            if progress is not None:
                progress("rendering", len(done) + number + 1, count)
        if not plan.parts:
            split_or_train(writer)
    objects = Archive(out, need_targets=False).table
    if not (objects["role"] == "target").any():
        warnings.warn(
            "nothing that was rendered is a target; more area, higher cluster odds or wider "
            "ranges of richness and redshift give some",
            UserWarning,
            stacklevel=2,
        )
    rich = int((objects["richness"] >= RICHNESS_CUT).sum())
    groups = len(objects) - rich
    return Rendered(str(out), count, count * plan.field_area, rich, groups, [str(out)])


def _binning(survey, recipe, asked):
    """How many of the survey's pixels a pixel of the recipe is wide."""
    check_choice("survey", survey, SURVEYS)
    own = SURVEYS[survey].pixel_scale
    wanted = recipe.pixel_scale / own
    # whole numbers are what a survey's images can be binned by
    whole = max(1, round(wanted))
    wanted = whole if abs(whole / wanted - 1) <= SCALE_TOLERANCE else wanted
    if wanted < 1:
        raise InputError(
            f"{recipe.name} has pixels of {recipe.pixel_scale:g} arcsec, finer than the {own:g} "
            f"of {survey}"
        )
    if asked is not None and abs(asked / wanted - 1) > SCALE_TOLERANCE:
        raise InputError(
            f"binning must bring the {survey} pixels to the {recipe.pixel_scale:g} "
            f"arcsec of {recipe.name}; {asked:g} gives {own * asked:g}"
        )
    return wanted if asked is None else asked


def _check_same(out, told):
    """Refuse to go on with an archive that was made with other settings."""
    before = Archive(out, need_targets=False).provenance
    for name, value in json.loads(json.dumps(told)).items():
        if name not in ("versions", "fields", "area_deg2") and before.get(name) != value:
            raise InputError(
                f"was made with {name} {before.get(name)}, and now it is {value}; give the same "
                "options, or another output",
                out,
            )


def _told(plan, survey, count):
    """Provenance of a rendered sky."""
    told = {
        "made_by": "rendered by astro_objdet",
        "survey_name": survey,
        "fields": count,
        "area_deg2": round(count * plan.field_area, 4),
        "parts": PARTS,
        "plan": asdict(plan),
        "versions": package_versions(),
    }
    return plain(told)


def _rendered(work, places, workers, numbers=None):
    """Results of ``work(number, place)`` in order, by several processes."""
    numbers = list(range(len(places))) if numbers is None else numbers
    if workers == 1 or not numbers:
        yield from (work(k, places[k]) for k in numbers)
        return
    # spawn: a process that has started threads must not be forked
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for start in range(0, len(numbers), 4 * workers):  # no more waits than fits in memory
            some = numbers[start : start + 4 * workers]
            yield from pool.map(work, some, [places[k] for k in some])


def _archived(plan, roles, label, clip, number, place):
    """Pixels (band, y, x) float16, objects, and WCS of one field for an archive."""
    rendered = plan.render(number, place)
    pixels = rendered.image / np.float32(plan.survey.pixel_scale**2)
    truth = rendered.truth
    x, y, half = (truth[name].to_value(u.pixel) for name in ("x", "y", "half_width"))
    # + 0.5: boxes count pixel edges, the truth pixel centres
    edges = np.array([x - half, y - half, x + half, y + half]) + 0.5
    edges = np.clip(edges, 0, plan.size) if clip else edges
    objects = {
        **dict(zip(("x1", "y1", "x2", "y2"), edges, strict=True)),
        "label": [label] * len(truth),
        "role": roles(np.asarray(truth["richness"]), np.asarray(truth["redshift"])),
        "ra": truth["ra"].to_value(u.deg),
        "dec": truth["dec"].to_value(u.deg),
        "redshift": np.asarray(truth["redshift"]),
        "richness": np.asarray(truth["richness"]),
        "i_central": truth["i_central"].to_value(u.mag),
    }
    return np.clip(pixels, -6e4, 6e4).astype(np.float16), QTable(objects), rendered.wcs
