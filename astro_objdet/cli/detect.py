"""``astro-objdet detect``: from image files to a catalogue on the sky."""

import json

import click

from astro_objdet.cli.messages import (
    complain,
    progress_bar,
    spoken_warnings,
    table_lines,
)
from astro_objdet.cli.options import (
    BANDS,
    HDU,
    ZERO_POINT,
    device_option,
    json_option,
    output_option,
    overwrite_option,
    quiet_option,
)

__all__ = ["detect", "show_report"]

FORMATS = ("ecsv", "fits", "vot", "parquet", "csv")
# Options that tell what is read and written, all that a preview needs.
PREVIEWED = ("bands", "hdu", "pixel_only", "format", "overlay", "overwrite")


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IMAGES...")
@click.option(
    "--model",
    default="deepcee",
    show_default=True,
    metavar="NAME",
    help="Bundled weights, a .safetensors file, or hf://owner/name.",
)
@output_option("astro-objdet-out")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="SCORE",
    help="Lowest score to keep, 0 to 1.  [default: the model's own]",
)
@click.option(
    "--bands",
    type=BANDS,
    metavar="R,G,B",
    help="Bands to use as red, green, blue, such as i,r,g; for a cube that does not "
    "name its planes, the bands of the planes in their order.",
)
@click.option(
    "--hdu",
    type=HDU,
    metavar="HDU",
    help="HDU to read, by number or name; several separated by commas.",
)
@click.option("--unit", metavar="UNIT", help="Unit of the pixels if the header has none: nJy, adu.")
@click.option(
    "--zero-point",
    type=ZERO_POINT,
    metavar="MAG",
    help="AB magnitude of one count; 27, or per band g=27.1,r=27.3.",
)
@click.option(
    "--stretch",
    type=click.Choice(["identity", "sqrt", "lupton", "hsc"]),
    help="How flux becomes brightness; identity for pictures that are stretched "
    "already.  [default: the model's own]",
)
@click.option("--pixel-only", is_flag=True, help="Go on without sky coordinates.")
@device_option
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Tiles in the model at a time.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Threads that read tiles.",
)
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    default="ecsv",
    show_default=True,
    help="Format of the catalogue.",
)
@click.option("--overlay/--no-overlay", default=True, help="Draw the pictures or not.")
@overwrite_option
@click.option("--dry-run", is_flag=True, help="Say what would be read and written, and stop.")
@json_option
@quiet_option
@click.option("-v", "--verbose", is_flag=True, help="Print the libraries' warnings too.")
@click.pass_context
def detect(ctx, inputs, output, dry_run, as_json, quiet, verbose, **options):
    """Detect objects in IMAGES and write where they are on the sky.

    IMAGES are FITS files (.fits, also with .gz, .bz2 or .fz), PNG or JPEG pictures
    with their header beside them, patterns in quotes, or folders. Files whose names
    differ in the band only are one field. Written are the catalogue
    detections.ecsv, the DS9 region file detections.reg, and a picture per field.

    \b
    Examples:
      astro-objdet detect abell_g.fits abell_r.fits abell_i.fits -o out/
      astro-objdet detect survey/ --threshold 0.8 --format fits -o out/
      astro-objdet detect cutout.fits --stretch identity --dry-run
    """
    with spoken_warnings(quiet=quiet, verbose=verbose):
        if dry_run:
            from astro_objdet.preview import preview

            reading = {name: options[name] for name in PREVIEWED}
            report, show = preview(inputs, output, **reading), _show_preview
        else:
            from astro_objdet import runs

            with progress_bar(quiet=quiet) as progress:
                report = runs.detect(inputs, output, progress=progress, **options)
            show = show_report
        if as_json:
            click.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
        elif not quiet:
            show(report)
        for failure in report.failures:
            complain(failure.error)
        if report.failures:
            total = len(report.failures) + len(report.fields)
            click.echo(f"astro-objdet: {len(report.failures)} of {total} inputs failed", err=True)
    ctx.exit(report.exit_code)


def show_report(report):
    """Print what was found in each field, and the files written."""
    rows = [
        (
            field.name,
            field.detections,
            "-" if field.best_score is None else f"{field.best_score:.2f}",
            f"{field.seconds:.1f} s",
        )
        for field in report.fields
    ]
    if rows:
        for line in table_lines(("field", "detections", "best score", "time"), rows):
            click.echo(line)
    for path in report.written:
        click.echo(f"wrote {path}")


def _show_preview(preview):
    """Print what would be read and what would be written."""
    for field in preview.fields:
        click.echo(f"would read {field.name}")
        for line in field.contents:
            click.echo(f"  {line}")
    for path in preview.written:
        click.echo(f"would write {path}")
