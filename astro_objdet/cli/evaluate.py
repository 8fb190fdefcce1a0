"""``astro-objdet evaluate``: detections against known objects."""

import json

import click

from astro_objdet.cli.messages import spoken_warnings
from astro_objdet.cli.options import (
    NAMES,
    NUMBER_OR_NAME,
    NUMBERS,
    RANGE,
    json_option,
    output_option,
    overwrite_option,
    quiet_option,
)

__all__ = ["evaluate"]


@click.command()
@click.argument("found", type=click.Path())
@click.argument("truth", type=click.Path())
@click.option(
    "--radius",
    default="100 kpc",
    show_default=True,
    metavar="RADIUS",
    help="How far a true detection may be off: a length at the redshift of TRUTH, an angle "
    "('30 arcsec'), a column of TRUTH, or a multiple of one ('0.75 psf_fwhm').",
)
@click.option("--radius-unit", metavar="UNIT", help="Unit of a radius column without one.")
@click.option(
    "--redshift",
    type=NUMBER_OR_NAME,
    metavar="Z",
    help="Column of TRUTH, or the redshift of all.  [default: found by its name]",
)
@click.option(
    "--thresholds",
    type=NUMBERS,
    metavar="LIST",
    help="Scores to count at.  [default: 0,0.1,...,1]",
)
@click.option(
    "--threshold",
    type=float,
    metavar="SCORE",
    help="Where to look at centres, distributions and the selection function.  "
    "[default: where F1 is highest]",
)
@click.option(
    "--range",
    "ranges",
    type=RANGE,
    multiple=True,
    metavar="COLUMN=LOW:HIGH",
    help="Count objects of TRUTH with this property only; may be repeated.",
)
@click.option(
    "--find",
    type=click.Choice(["score", "separation"]),
    default="score",
    show_default=True,
    help="Which detection an object gets first: of the highest score, or the closest.",
)
@click.option("--inclusive", is_flag=True, help="Count a score equal to the threshold too.")
@click.option("--score", metavar="COLUMN", help="Scores, a column of FOUND.")
@click.option("--richness", metavar="COLUMN", help="Richness, a column of TRUTH.")
@click.option("--magnitude", metavar="COLUMN", help="Magnitude, a column of TRUTH.")
@click.option("--found-columns", type=NAMES, metavar="RA,DEC", help="Position columns of FOUND.")
@click.option("--truth-columns", type=NAMES, metavar="RA,DEC", help="Position columns of TRUTH.")
@click.option("--found-frame", metavar="FRAME", help="Frame of FOUND: icrs, galactic, fk4.")
@click.option("--truth-frame", metavar="FRAME", help="Frame of TRUTH.")
@click.option(
    "--footprint",
    metavar="FILE",
    help="MOC of the sky that was searched, or none for everywhere.  "
    "[default: the footprints that FOUND records]",
)
@click.option("--area", type=float, metavar="DEG2", help="Square degrees that were searched.")
@click.option(
    "--cosmology", metavar="NAME", help="Planck18, or H0=70,Om0=0.3.  [default: H0=71,Om0=0.27]"
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    metavar="SHARE",
    help="Of the intervals.",
)
@click.option("--coco", is_flag=True, help="Compute the COCO metrics of the boxes too.")
@click.option(
    "--coco-box",
    metavar="RADIUS",
    help="The same, with true boxes that reach so far from their positions.  [default: 250 kpc]",
)
@output_option("astro-objdet-evaluation")
@click.option(
    "--format",
    type=click.Choice(["ecsv", "fits", "vot", "parquet", "csv"]),
    default="ecsv",
    show_default=True,
    help="Format of the tables of detections and truth.",
)
@click.option("--plots/--no-plots", "pictures", default=True, help="Draw the figures or not.")
@click.option("--html", is_flag=True, help="Write one report with everything in it.")
@overwrite_option
@json_option
@quiet_option
def evaluate(found, truth, output, ranges, coco, coco_box, as_json, quiet, **options):
    """Compare the detections FOUND with the known objects TRUTH.

    Counts true and false detections and missed objects at each score threshold, and
    writes into a folder: these counts with purity, completeness and their intervals, what
    became of each row of both tables, the selection function, and figures. Tables are FITS,
    ECSV, CSV, VOTable, Parquet or DS9 regions.

    \b
    Examples:
      astro-objdet evaluate found.ecsv redmapper.fits --redshift Z_LAMBDA --html
      astro-objdet evaluate found.ecsv truth.csv --radius "30 arcsec" -o out/
      astro-objdet evaluate found.ecsv truth.fits --range redshift=0.1:0.2 --threshold 0.8
    """
    with spoken_warnings(quiet=quiet):
        from astro_objdet.evaluations import evaluate_files

        given = {name: value for name, value in options.items() if value is not None}
        report = evaluate_files(
            found, truth, output, ranges=dict(ranges), coco=coco_box or coco, **given
        )
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    elif not quiet:
        _show(report)


def _show(report):
    """Print what the evaluation found, and what was written."""
    click.echo(report.evaluation.summary(report.threshold))
    for note in report.notes:
        click.echo(f"note: {note}")
    for path in report.written:
        click.echo(f"wrote {path}")
