"""``astro-objdet dataset build``: an archive of images and a table of what is in them."""

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
    BANDS,
    HDU,
    NAMES,
    RANGE,
    ZERO_POINT,
    json_option,
    overwrite_option,
    quiet_option,
)

__all__ = ["build"]


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option(
    "--truth",
    type=click.Path(),
    metavar="FILE",
    help="Table of known objects.  [default: truth.ecsv in the folder]",
)
@output_option("The archive to write.")
@recipe_option
@click.option(
    "--size",
    type=click.IntRange(min=32),
    metavar="PIXELS",
    help="Side of the windows, in pixels of the recipe.  [default: its view, 1024, or the field]",
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
@columns_option
@redshift_option
@richness_option
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
@split_option
@seed_option
@click.option("--bands", type=BANDS, metavar="LIST", help="Bands, or those of a cube's planes.")
@click.option("--hdu", type=HDU, metavar="HDU", help="HDU to read, by number or name.")
@click.option("--unit", metavar="UNIT", help="Unit of the pixels if the header has none.")
@click.option("--zero-point", type=ZERO_POINT, metavar="MAG", help="AB magnitude of one count.")
@resume_option
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
    tell(ctx, report, as_json, quiet)
