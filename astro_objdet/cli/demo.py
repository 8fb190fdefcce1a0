"""``astro-objdet demo``: everything once, on a field that comes along."""

import json

import click

from astro_objdet.cli.detect import show_report
from astro_objdet.cli.messages import progress_bar, spoken_warnings, table_lines
from astro_objdet.cli.options import (
    device_option,
    json_option,
    output_option,
    overwrite_option,
    quiet_option,
)

__all__ = ["demo"]


@click.command()
@output_option("astro-objdet-demo")
@device_option
@overwrite_option
@json_option
@quiet_option
def demo(output, device, overwrite, as_json, quiet):
    """Detect galaxy clusters in a packaged field and compare with the truth.

    Writes catalogue, region file and picture into a folder, prints which clusters
    were found, and opens nothing.

    \b
    Example:
      astro-objdet demo -o my-demo/
    """
    from astro_objdet.demo import demo as run_demo

    with spoken_warnings(quiet=quiet), progress_bar(quiet=quiet) as progress:
        report = run_demo(output, device=device, overwrite=overwrite, progress=progress)
    if as_json:
        from astro_objdet.reports import table_rows

        result = report.run.to_dict()
        result["matches"] = table_rows(report.matches)
        result["clusters"] = report.clusters
        click.echo(json.dumps(result, indent=2, allow_nan=False))
    elif not quiet:
        _show(report)


def _show(report):
    """Print the detections with the clusters they are, and what to do next."""
    header = ("found", "score", "cluster", "redshift", "richness", "arcsec", "kpc")
    rows = [
        (
            row["id"],
            f"{row['score']:.2f}",
            *(
                (
                    f"no. {row['cluster']}",
                    f"{row['redshift']:.3f}",
                    f"{row['richness']:.0f}",
                    f"{row['separation'].value:.1f}",
                    f"{row['distance'].value:.0f}",
                )
                if row["cluster"]
                else ("none", "-", "-", "-", "-")
            ),
        )
        for row in report.matches
    ]
    for line in table_lines(header, rows):
        click.echo(line)
    wrong = len(report.matches) - report.matched - report.on_groups
    click.echo(
        f"\n{report.matched} of {report.clusters} clusters found (richness 20 or more); "
        f"{report.on_groups} more on poorer groups, {wrong} on nothing\n"
    )
    show_report(report.run)
    folder = report.run.written[0].parent
    click.echo(
        f"\nNext: look at {folder / 'detections.png'},\n"
        f"load {folder / 'detections.reg'} into DS9 or the catalogue into TOPCAT,\n"
        "and try your own images: astro-objdet detect image_g.fits image_r.fits "
        "image_i.fits -o out/"
    )
