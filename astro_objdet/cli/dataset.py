"""``astro-objdet dataset``: archives of labelled images."""

import json

import click

from astro_objdet.cli.datasetbuild import build
from astro_objdet.cli.datasetfetch import fetch
from astro_objdet.cli.datasetoptions import seed_option
from astro_objdet.cli.messages import spoken_warnings, table_lines
from astro_objdet.cli.options import json_option, overwrite_option, quiet_option
from astro_objdet.cli.simulate import simulate_archive

__all__ = ["dataset"]


class _Fractions(click.ParamType):
    """``train=0.8,test=0.2`` as a dict."""

    name = "fractions"

    def convert(self, value, param, ctx):
        if isinstance(value, dict):
            return value
        try:
            pairs = [pair.split("=") for pair in value.split(",")]
            return {name.strip(): float(part) for name, part in pairs}
        except ValueError:
            self.fail(f"expected train=0.8,test=0.2, got {value!r}", param, ctx)


class _PartOrNumber(click.ParamType):
    """``0.1`` as a part, ``204`` as a number."""

    name = "part"

    def convert(self, value, param, ctx):
        try:
            return int(value) if str(value).isdigit() else float(value)
        except ValueError:
            self.fail(f"expected a part such as 0.1 or a number, got {value!r}", param, ctx)


@click.group()
def dataset():
    """Build, split and show archives of labelled images for training.

    \b
    Example:
      astro-objdet dataset show archive.h5
    """


dataset.add_command(build)
dataset.add_command(fetch)
dataset.add_command(simulate_archive)


@dataset.command()
@click.argument("archive", type=click.Path())
@click.option("--preview", type=click.Path(), metavar="PNG", help="Draw images with their boxes.")
@click.option(
    "--images",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    metavar="N",
    help="How many to draw.",
)
@click.option("--split", metavar="NAME", help="Draw images of this split only.")
@overwrite_option
@json_option
def show(archive, preview, images, split, overwrite, as_json):
    """Show what ARCHIVE holds: images, objects, splits, sky, and how it was made.

    \b
    Example:
      astro-objdet dataset show archive.h5 --preview archive.png
    """
    with spoken_warnings():
        from astro_objdet.skies import dataset as library

        summary = library.show(archive)
        if preview is not None:
            library.preview(
                archive,
                preview,
                images=images,
                split=split,
                stretch=_stretch_of(summary),
                overwrite=overwrite,
            )
    if as_json:
        click.echo(json.dumps(summary, indent=2, allow_nan=False))
        return
    for line in _show_lines(summary):
        click.echo(line)
    if preview is not None:
        click.echo(f"wrote {preview}")


def _stretch_of(summary):
    """The stretch of the recipe that an archive names, None if there is no such recipe."""
    from astro_objdet.detectors import get_recipe
    from astro_objdet.errors import AstroObjdetError

    try:
        return get_recipe(summary["recipe"]).stretch
    except AstroObjdetError:
        return None


def _show_lines(summary):
    """The summary as text."""
    ny, nx = summary["shape"]
    state = "" if summary["complete"] else ", half-built"
    yield f"{summary['path']}: {summary['images']} images{state}"
    bands, scale = ", ".join(summary["bands"]), summary["pixel_scale_arcsec"]
    yield f"  {nx} x {ny} px of {scale:g} arcsec; {bands}; {summary['kind']} {summary['dtype']}"
    yield f"  recipe {summary['recipe'] or '-'}, classes {', '.join(summary['labels'])}"
    if summary["sky_area_deg2"] is not None:
        yield f"  {summary['sky_area_deg2']:g} square degrees of sky"
    rows = [(item["label"], item["role"], item["count"]) for item in summary["objects"]]
    for line in table_lines(("class", "role", "objects"), rows):
        yield f"  {line}"
    yield f"  {summary['empty_images']} images without a target"
    for name in ("redshift", "richness"):
        if summary[name]:
            low, middle, high = summary[name]
            yield f"  {name} of targets {low:g} to {high:g}, median {middle:g}"
    splits = ", ".join(f"{name or 'none'} {n}" for name, n in summary["splits"].items())
    yield f"  splits ({summary['split_record'].get('scheme', '-')}): {splits}"
    if summary["leak"]:
        yield f"  leak: {summary['leak']}"
    for name, value in summary["provenance"].items():
        text = json.dumps(value)
        yield f"  {name}: {text if len(text) <= 200 else text[:200] + ' ...'}"


@dataset.command()
@click.argument("archive", type=click.Path())
@click.option(
    "--scheme",
    type=click.Choice(["cells", "paper", "kfold"]),
    default="cells",
    show_default=True,
    help="Whole cells of sky, images at random as in paper I, or stratified folds.",
)
@seed_option
@click.option("--nside", type=int, metavar="N", help="HEALPix cells (cells).  [default: 16]")
@click.option(
    "--fractions",
    type=_Fractions(),
    metavar="NAME=PART,...",
    help="Parts of the sky (cells).  [default: train=0.8,valid=0.1,test=0.1]",
)
@click.option(
    "--test",
    type=_PartOrNumber(),
    metavar="PART",
    help="Part of the images (paper), or their number.  [default: 0.1]",
)
@click.option(
    "--folds", type=click.IntRange(min=2), metavar="N", help="How many (kfold).  [default: 5]"
)
@click.option(
    "--test-fold",
    type=click.IntRange(min=0),
    metavar="K",
    help="The fold to test with (kfold).  [default: names fold0, fold1, ...]",
)
@json_option
@quiet_option
def split(archive, as_json, quiet, **options):
    """Split the images of ARCHIVE into training and test anew.

    \b
    Examples:
      astro-objdet dataset split archive.h5 --scheme cells --seed 3
      astro-objdet dataset split archive.h5 --scheme kfold --folds 5 --test-fold 0
    """
    with spoken_warnings(quiet=quiet):
        from astro_objdet.skies import dataset as library

        found = library.split(archive, **options)
    if as_json:
        values = {"scheme": found.scheme, "counts": found.counts, "leak": found.leak}
        click.echo(json.dumps(values, indent=2))
    elif not quiet:
        rows = [(name or "none", count) for name, count in found.counts.items()]
        for line in table_lines(("split", "images"), rows):
            click.echo(line)
        click.echo(f"leak: {found.leak}" if found.leak else "nothing leaks")
