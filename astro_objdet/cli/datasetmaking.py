"""``astro-objdet dataset build`` and ``fetch``: the commands that make archives."""

import json

import click

from astro_objdet.cli.messages import complain, progress_bar, spoken_warnings
from astro_objdet.cli.options import (
    BANDS,
    HDU,
    LIMITS,
    NAMES,
    RANGE,
    ZERO_POINT,
    json_option,
    overwrite_option,
    quiet_option,
)

__all__ = ["build", "fetch", "seed_option"]


def _output_option(what):
    return click.option(
        "-o", "--output", required=True, type=click.Path(), metavar="FILE", help=what
    )


_recipe_option = click.option(
    "--recipe",
    default="deepcee-lite0",
    show_default=True,
    metavar="NAME",
    help="Recipe that the images are for: its bands, pixel scale and classes.",
)
seed_option = click.option(
    "--seed", type=int, default=0, show_default=True, metavar="N", help="Of the random split."
)
_resume_option = click.option(
    "--resume", is_flag=True, help="Go on with an archive that was interrupted."
)


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option(
    "--truth",
    type=click.Path(),
    metavar="FILE",
    help="Table of known objects.  [default: truth.ecsv in the folder]",
)
@_output_option("The archive to write.")
@_recipe_option
@click.option(
    "--size",
    type=click.IntRange(min=32),
    default=640,
    show_default=True,
    metavar="PIXELS",
    help="Side of the windows, in pixels of the recipe.",
)
@click.option(
    "--overlap",
    type=click.IntRange(min=0),
    metavar="PIXELS",
    help="What neighbouring windows share.  [default: a quarter of the side]",
)
@click.option(
    "--box-size",
    default="500 kpc",
    show_default=True,
    metavar="SIZE",
    help="Side of the square boxes: a length at the redshift of each object, an angle "
    "('30 arcsec'), a column, or two of these separated by a comma for width and height.",
)
@click.option(
    "--label", metavar="NAME", help="Class of all objects.  [default: the recipe's first]"
)
@click.option("--label-column", metavar="COLUMN", help="Column with the class of each object.")
@click.option(
    "--target",
    type=RANGE,
    multiple=True,
    metavar="COLUMN=LOW:HIGH",
    help="Objects inside all these ranges are to be found, the others count as background; "
    "may be repeated.  [default: all are]",
)
@click.option(
    "--min-richness",
    type=float,
    metavar="N",
    help="The same as --target richness=N:.",
)
@click.option(
    "--ignore",
    type=RANGE,
    multiple=True,
    metavar="COLUMN=LOW:HIGH",
    help="Of the others, those inside all these ranges count as neither; may be repeated.",
)
@click.option(
    "--decoy",
    type=RANGE,
    multiple=True,
    metavar="COLUMN=LOW:HIGH",
    help="Of the rest, those inside all these ranges are decoys, which training teaches apart; "
    "may be repeated.",
)
@click.option("--keep", type=NAMES, metavar="LIST", help="Columns of numbers to take along.")
@click.option("--columns", type=NAMES, metavar="RA,DEC", help="Position columns of the table.")
@click.option("--redshift", metavar="COLUMN", help="Redshifts.  [default: found by its name]")
@click.option("--richness", metavar="COLUMN", help="Richness.  [default: found by its name]")
@click.option(
    "--cosmology", metavar="NAME", help="Planck18, or H0=70,Om0=0.3.  [default: H0=71,Om0=0.27]"
)
@click.option(
    "--stretched", is_flag=True, help="Store 8-bit pictures as the recipe sees them, not fluxes."
)
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    show_default=True,
    help="How fluxes are stored.",
)
@click.option(
    "--compression",
    type=click.Choice(["auto", "gzip", "none"]),
    default="auto",
    show_default=True,
    help="Of the pixels; auto packs pictures only.",
)
@click.option(
    "--max-masked",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    metavar="SHARE",
    help="Leave windows out that have more bad pixels.",
)
@click.option(
    "--split",
    "scheme",
    type=click.Choice(["cells", "paper", "kfold", "none"]),
    help="How to part training and test.  [default: cells, if the sky is large enough]",
)
@seed_option
@click.option("--bands", type=BANDS, metavar="LIST", help="Bands, or those of a cube's planes.")
@click.option("--hdu", type=HDU, metavar="HDU", help="HDU to read, by number or name.")
@click.option("--unit", metavar="UNIT", help="Unit of the pixels if the header has none.")
@click.option("--zero-point", type=ZERO_POINT, metavar="MAG", help="AB magnitude of one count.")
@_resume_option
@overwrite_option
@json_option
@quiet_option
@click.pass_context
def build(ctx, images, output, recipe, box_size, min_richness, as_json, quiet, **options):
    """Cut IMAGES into labelled windows and archive them.

    IMAGES are files, patterns or folders as for `detect`. They are brought to the pixel scale of
    the recipe and cut into windows; each known object lies whole in at least one. Rows of the
    table that cannot be used are counted with the reason.

    \b
    Examples:
      astro-objdet dataset build skies/ -o archive.h5 --min-richness 20
      astro-objdet dataset build survey/ --truth redmapper.fits --redshift Z_LAMBDA -o sdss.h5
      astro-objdet dataset build tiles/ --truth arcs.csv --box-size "30 arcsec" -o arcs.h5
    """
    target = dict(options.pop("target"))
    if min_richness is not None:
        target["richness"] = (min_richness, float("inf"))
    sizes = [part.strip() for part in box_size.split(",")]
    with spoken_warnings(quiet=quiet):
        from astro_objdet.detectors import get_recipe
        from astro_objdet.skies import dataset as library

        with progress_bar(quiet=quiet) as progress:
            report = library.build(
                images,
                output,
                recipe=get_recipe(recipe),
                box_size=sizes[0] if len(sizes) == 1 else sizes,
                target=target,
                ignore=dict(options.pop("ignore")),
                # None is not noted: archives without decoys can be resumed
                decoy=dict(options.pop("decoy")) or None,
                keep=options.pop("keep") or (),
                progress=progress,
                **options,
            )
    _report(ctx, report, as_json, quiet)


def _report(ctx, report, as_json, quiet):
    """Print what a build came to, complain of what failed, and end."""
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    elif not quiet:
        for line in _build_lines(report):
            click.echo(line)
    for _, text, _ in report.failures:
        complain(text)
    ctx.exit(report.exit_code)


def _build_lines(report):
    objects = ", ".join(f"{n} {role}" for role, n in report.objects.items()) or "no objects"
    yield f"{report.images} images of {report.fields} fields: {objects}"
    if report.masked_windows:
        yield f"{report.masked_windows} windows left out, too many bad pixels"
    for reason, count in report.set_aside.items():
        yield f"{count} of {report.rows} rows set aside: {reason}"
    if report.outside:
        yield f"{report.outside} objects lie on no field"
    splits = ", ".join(f"{name or 'none'} {n}" for name, n in report.splits.items())
    yield f"splits: {splits}"
    if report.leak:
        yield f"leak: {report.leak}"
    yield f"wrote {report.path}"


@click.command()
@click.argument("catalogue", type=click.Path())
@click.option(
    "--survey", default="sdss", show_default=True, metavar="NAME", help="Where images come from."
)
@_output_option("The archive to write.")
@_recipe_option
@click.option(
    "--redshift-range",
    type=LIMITS,
    default="0.1:0.2",
    show_default=True,
    metavar="LOW:HIGH",
    help="Redshifts of the clusters.",
)
@click.option(
    "--richness-range",
    type=LIMITS,
    default="20:",
    show_default=True,
    metavar="LOW:HIGH",
    help="Richness of the clusters, or members.",
)
@click.option(
    "--declination-range",
    type=LIMITS,
    default="0:",
    show_default=True,
    metavar="LOW:HIGH",
    help="Declinations of the clusters, degrees.",
)
@click.option("--columns", type=NAMES, metavar="RA,DEC", help="Position columns of the table.")
@click.option("--redshift", metavar="COLUMN", help="Redshifts.  [default: found by its name]")
@click.option("--richness", metavar="COLUMN", help="Richness.  [default: found by its name]")
@click.option(
    "--offsets",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    metavar="N",
    help="Images of each cluster, each with another offset.",
)
@click.option(
    "--radius",
    type=click.FloatRange(min=0),
    default=270.0,
    show_default=True,
    metavar="ARCSEC",
    help="Largest offset along x and along y.",
)
@click.option(
    "--size",
    type=click.IntRange(min=32),
    default=2000,
    show_default=True,
    metavar="PIXELS",
    help="Side of the images asked for.",
)
@click.option(
    "--pixel-scale",
    type=float,
    default=0.396,
    show_default=True,
    metavar="ARCSEC",
    help="Of the images asked for.",
)
@click.option(
    "--box-size",
    default="500 kpc",
    show_default=True,
    metavar="SIZE",
    help="Side of the square boxes, as for `dataset build`.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Take N clusters only.")
@click.option(
    "--split",
    "scheme",
    type=click.Choice(["cells", "paper", "kfold", "none"]),
    help="How to part training and test.  [default: cells, if the sky is large enough]",
)
@seed_option
@click.option(
    "--connections",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    metavar="N",
    help="Images to fetch at a time.",
)
@click.option(
    "--timeout",
    type=float,
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Without a byte, after which a request is given up.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="How often to ask again.",
)
@click.option("--cache", type=click.Path(), metavar="FOLDER", help="Where replies are kept.")
@_resume_option
@overwrite_option
@json_option
@quiet_option
@click.pass_context
def fetch(
    ctx, catalogue, output, recipe, columns, redshift, richness, cache, as_json, quiet, **options
):  # fmt: skip
    """Build the training set of paper I from the CATALOGUE of clusters and a survey.

    Clusters that pass the cuts are targets, the others of the catalogue are ignored. Images that
    do not come are listed in a table beside the archive, FILE.failures.ecsv; --resume asks
    for them again.

    \b
    Examples:
      astro-objdet dataset fetch redmapper.fits --redshift Z_LAMBDA -o sdss.h5
      astro-objdet dataset fetch wen2012.fits --richness N200 --split paper -o paper.h5
    """
    for name in ("redshift", "richness", "declination"):
        options[name] = options.pop(f"{name}_range")
    with spoken_warnings(quiet=quiet):
        from astro_objdet.catalogs.columns import position_names
        from astro_objdet.detectors import get_recipe
        from astro_objdet.skies import dataset as library

        ra, dec = position_names(columns, "columns")
        given = {"ra": ra, "dec": dec, "redshift": redshift, "richness": richness}

        with progress_bar(quiet=quiet) as progress:
            report = library.fetch(
                catalogue,
                output,
                recipe=get_recipe(recipe),
                columns={name: value for name, value in given.items() if value is not None},
                cache=True if cache is None else cache,
                progress=progress,
                **options,
            )
    _report(ctx, report, as_json, quiet)
