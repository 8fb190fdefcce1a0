"""What the commands that make archives share: options, and how they tell of the result."""

import json

import click

from astro_objdet.cli.messages import complain
from astro_objdet.cli.options import NAMES

__all__ = [
    "columns_option",
    "output_option",
    "recipe_option",
    "redshift_option",
    "resume_option",
    "richness_option",
    "seed_option",
    "split_option",
    "tell",
]


def output_option(what):
    return click.option(
        "-o", "--output", required=True, type=click.Path(), metavar="FILE", help=what
    )


recipe_option = click.option(
    "--recipe",
    default="deepcee-lite0",
    show_default=True,
    metavar="NAME",
    help="Recipe that the images are for: its bands, pixel scale and classes.",
)
seed_option = click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Of all that is drawn at random.",
)
resume_option = click.option(
    "--resume", is_flag=True, help="Go on with an archive that was interrupted."
)
columns_option = click.option(
    "--columns", type=NAMES, metavar="RA,DEC", help="Position columns of the table."
)
redshift_option = click.option(
    "--redshift", metavar="COLUMN", help="Redshifts.  [default: found by its name]"
)
richness_option = click.option(
    "--richness", metavar="COLUMN", help="Richness.  [default: found by its name]"
)
split_option = click.option(
    "--split",
    "scheme",
    type=click.Choice(["cells", "paper", "kfold", "none"]),
    help="How to part training and test.  [default: cells, if the sky is large enough]",
)


def tell(ctx, report, as_json, quiet):
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
