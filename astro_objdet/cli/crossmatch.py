"""``astro-objdet crossmatch``: two catalogues matched on the sky, or one with known ones."""

import json

import click

from astro_objdet.cli.messages import spoken_warnings, table_lines
from astro_objdet.cli.options import (
    NAMES,
    NUMBER_OR_NAME,
    RANGE,
    json_option,
    overwrite_option,
    quiet_option,
)

__all__ = ["crossmatch"]


@click.command()
@click.argument("left", type=click.Path())
@click.argument("right", required=False, type=click.Path())
@click.option(
    "--radius",
    metavar="RADIUS",
    help="Angle ('30 arcsec'), length ('100 kpc'), column, or a multiple of one.",
)
@click.option(
    "--redshift",
    type=NUMBER_OR_NAME,
    metavar="Z",
    help="Where a length is meant: a number, or a column of a table.",
)
@click.option("--max-dz", type=float, metavar="DZ", help="Largest difference of redshift.")
@click.option(
    "--dz",
    type=click.Choice(["absolute", "relative", "sigma"]),
    default="absolute",
    show_default=True,
    help="What --max-dz is of: dz, dz/(1+z), or dz over the combined errors.",
)
@click.option("--left-redshift", metavar="COLUMN", help="Redshift of LEFT, for --max-dz.")
@click.option("--right-redshift", metavar="COLUMN", help="Redshift of RIGHT, for --max-dz.")
@click.option(
    "--left-redshift-error", metavar="COLUMN", help="Standard error of it, for --dz sigma."
)
@click.option(
    "--right-redshift-error", metavar="COLUMN", help="Standard error of it, for --dz sigma."
)
@click.option(
    "--missing-redshift",
    type=click.Choice(["reject", "accept"]),
    help="What becomes of a pair of which a redshift is missing.",
)
@click.option(
    "--find",
    type=click.Choice(["best", "all", "best1", "best2"]),
    default="best",
    show_default=True,
    help="One to one, all pairs, or the best for each row of LEFT or RIGHT.",
)
@click.option(
    "--join",
    type=click.Choice(["1and2", "1or2", "all1", "all2", "1not2", "2not1", "1xor2"]),
    default="1and2",
    show_default=True,
    help="Which rows to write.",
)
@click.option(
    "--best-by",
    default="separation",
    show_default=True,
    metavar="COLUMN",
    help="What makes a pair better: separation, or a column, the highest first.",
)
@click.option("--radius-unit", metavar="UNIT", help="Unit of a radius column without one.")
@click.option(
    "--cosmology",
    metavar="NAME",
    help="Planck18, or H0=70,Om0=0.3.  [default: H0=71,Om0=0.27]",
)
@click.option("--left-columns", type=NAMES, metavar="RA,DEC", help="Position columns of LEFT.")
@click.option("--right-columns", type=NAMES, metavar="RA,DEC", help="Position columns of RIGHT.")
@click.option("--left-frame", metavar="FRAME", help="Frame of LEFT: icrs, galactic, fk4.")
@click.option("--right-frame", metavar="FRAME", help="Frame of RIGHT.")
@click.option(
    "--suffixes",
    type=NAMES,
    default="_1,_2",
    show_default=True,
    metavar="A,B",
    help="For column names that both tables have.",
)
@click.option(
    "--chance",
    type=click.IntRange(min=0),
    default=8,
    show_default=True,
    metavar="N",
    help="Shifts of the tables to count matches by chance.",
)
@click.option(
    "--with",
    "known",
    type=NAMES,
    metavar="NAMES",
    help="Instead of RIGHT, known catalogues by name or file: redmapper,abell.",
)
@click.option(
    "--range",
    "ranges",
    type=RANGE,
    multiple=True,
    metavar="COLUMN=LOW:HIGH",
    help="With --with: known objects outside do not count; may be repeated.",
)
@click.option("-o", "--output", type=click.Path(), metavar="FILE", help="Table to write.")
@overwrite_option
@json_option
@quiet_option
@click.pass_context
def crossmatch(ctx, left, right, known, output, overwrite, as_json, quiet, **options):
    """Match the catalogues LEFT and RIGHT on the sky.

    Tables are FITS, ECSV, CSV, VOTable, Parquet or DS9 regions; position columns are found
    by UCD, unit and usual names. With --with, LEFT is looked up in known catalogues instead:
    what is known of each row, and which are new.

    \b
    Examples:
      astro-objdet crossmatch found.ecsv redmapper.fits --radius "100 kpc" --redshift Z_LAMBDA
      astro-objdet crossmatch a.fits b.fits --radius "30 arcsec" --join 1or2 -o both.fits
      astro-objdet crossmatch found.ecsv --with redmapper,wen2012,abell -o known.ecsv
    """
    if (right is None) == (known is None):
        raise click.UsageError("give RIGHT, or known catalogues by --with")
    from astro_objdet import crossmatches

    with spoken_warnings(quiet=quiet):
        if known is not None:
            given = _only_triage(ctx, options)
            report = crossmatches.triage_files(left, known, output, overwrite=overwrite, **given)
            show = _show_triage
        else:
            if options["radius"] is None:
                raise click.UsageError("give --radius, such as '30 arcsec' or '100 kpc'")
            if options.pop("ranges"):
                raise click.UsageError("--range goes with --with")
            report = crossmatches.crossmatch_files(
                left, right, output, overwrite=overwrite, **options
            )
            show = _show_match
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    elif not quiet:
        show(report)


def _only_triage(ctx, options):
    """The options that --with takes; refuse others."""
    names = {
        "radius": "radius",
        "radius_unit": "radius_unit",
        "redshift": "redshift",
        "ranges": "ranges",
        "missing_redshift": "missing",
        "cosmology": "cosmology",
        "left_columns": "columns",
        "left_frame": "frame",
    }
    given = {}
    for name, value in options.items():
        if ctx.get_parameter_source(name) is click.core.ParameterSource.DEFAULT:
            continue
        if name not in names:
            raise click.UsageError(f"--{name.replace('_', '-')} does not go with --with")
        given[names[name]] = dict(value) if name == "ranges" else value
    return given


def _show_match(report):
    """Print the counts, and what was guessed."""
    record = report.record
    for side, path in (("left", report.left), ("right", report.right)):
        click.echo(_side_line(side, path, record[side]))
    parameters = record["parameters"]
    line = f"radius {parameters['radius']}"
    if parameters["redshift"] is not None:
        line += f" at redshift {parameters['redshift']}"
    if "cosmology" in record:
        line += f", cosmology {record['cosmology']['name']}"
    click.echo(line)
    shares = (f"{_share(record[side])} of {side}" for side in ("left", "right"))
    click.echo(f"{record['pairs']} pairs: {', '.join(shares)}")
    if "chance" in record:
        click.echo(_chance_line(record["chance"]))
    if report.written is not None:
        click.echo(f"wrote {report.written}: {len(report.table)} rows")


def _side_line(side, path, record):
    columns = ", ".join(record["position"])
    line = f"{side}: {path.name}, {record['rows']} rows, position {columns} ({record['frame']}"
    line += f", by {record['position_by']})"
    if "redshift" in record:
        line += f", redshift {record['redshift']}"
    for reason, count in record["set_aside"].items():
        line += f"\n  {count} rows set aside: {reason}"
    return line


def _chance_line(chance):
    if "matches" not in chance:
        return (
            f"by chance: not known, as only {100 * chance['share']:.0f} % of the rows stay in the "
            f"field when shifted by {chance['shift']}"
        )
    return (
        f"by chance {chance['matches']:.1f} ({chance['low']:.1f} to {chance['high']:.1f} at "
        f"95 %, {chance['trials']} shifts)"
    )


def _share(record):
    """How many rows of a table were matched."""
    matched, total = record["matched"], record["rows"]
    percent = f" ({100 * matched / total:.1f} %)" if total else ""
    return f"{matched} rows{percent}"


def _show_triage(report):
    """Print how many rows each catalogue has."""
    rows = [(name, known) for name, known in report.known.items()]
    for line in table_lines(("catalogue", "known"), rows):
        click.echo(line)
    click.echo(f"{report.new} of {len(report.table)} are in none of them")
    if report.written is not None:
        click.echo(f"wrote {report.written}")
