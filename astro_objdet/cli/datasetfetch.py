"""``astro-objdet dataset fetch``: an archive of a survey's images of known clusters."""

import click

from astro_objdet.cli.datasetoptions import (
    columns_option,
    output_option,
    recipe_option,
    redshift_option,
    resume_option,
    richness_option,
    seed_option,
    split_option,
    tell,
)
from astro_objdet.cli.messages import progress_bar, spoken_warnings
from astro_objdet.cli.options import (
    LIMITS,
    json_option,
    overwrite_option,
    quiet_option,
)

__all__ = ["fetch"]


@click.command()
@click.argument("catalogue", type=click.Path())
@click.option(
    "--survey", default="sdss", show_default=True, metavar="NAME", help="Where images come from."
)
@output_option("The archive to write.")
@recipe_option
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
@columns_option
@redshift_option
@richness_option
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
@split_option
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
@resume_option
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
    tell(ctx, report, as_json, quiet)
