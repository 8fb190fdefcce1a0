"""``astro-objdet simulate``: render fields of a survey with known clusters."""

import json

import click

from astro_objdet.cli.datasetoptions import recipe_option
from astro_objdet.cli.messages import progress_bar, spoken_warnings
from astro_objdet.cli.options import (
    LIMITS,
    NUMBERS,
    json_option,
    output_option,
    overwrite_option,
    quiet_option,
)

__all__ = ["simulate", "simulate_archive"]

_OPTIONS = (
    click.option(
        "--survey",
        type=click.Choice(["sdss", "des", "hsc", "lsst"]),
        default="sdss",
        show_default=True,
        help="Pixel scale, PSF, depth, noise and zero point.",
    ),
    click.option(
        "--area",
        type=click.FloatRange(min=0, min_open=True),
        default=1.0,
        show_default=True,
        metavar="DEG2",
        help="Square degrees, rounded up to whole fields.",
    ),
    click.option("--seed", type=click.IntRange(min=0), required=True, metavar="N"),
    click.option(
        "--binning",
        type=click.IntRange(min=1),
        metavar="N",
        help="Average N by N of the survey's pixels.",
    ),
    click.option(
        "--part",
        "parts",
        multiple=True,
        type=click.Choice(["train", "valid", "test"]),
        help="Part of the sky the fields lie in, 80, 10 and 10 per cent of it in cells of "
        "3.7 deg that never meet. May be given twice.  [default: anywhere]",
    ),
    click.option(
        "--cluster-odds",
        type=NUMBERS,
        metavar="P0,P1,...",
        help="Odds of a field to have 0, 1, ... clusters, spread evenly in redshift.  "
        "[default: nature's clusters]",
    ),
    click.option(
        "--seeing-spread",
        type=click.FloatRange(min=0, min_open=True),
        metavar="RMS",
        help="Rms of ln(PSF FWHM) from field to field.  [default: the survey's]",
    ),
    click.option(
        "--bright-excess",
        type=click.FloatRange(min=0),
        default=1.0,
        show_default=True,
        metavar="FACTOR",
        help="Factor on the number of bright stars and nearby galaxies.",
    ),
    click.option(
        "--faintest",
        type=float,
        metavar="MAG",
        help="Faintest r magnitude.  [default: the survey's depth]",
    ),
    click.option("--noise/--no-noise", default=True, help="Add the noise of sky and photons."),
    click.option(
        "--artefacts/--no-artefacts",
        default=True,
        help="Add saturated stars, satellite trails and masked edges.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Processes that render; the result does not depend on it.",
    ),
)


def _rendering_options(command):
    """The options that `simulate` and `dataset simulate` share."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _given(options):
    """Options that were given, so that the library's defaults hold for the others."""
    return {name: value for name, value in options.items() if value is not None}


@click.command()
@_rendering_options
@output_option("skies")
@click.option(
    "--size",
    type=click.IntRange(min=32),
    default=2048,
    show_default=True,
    metavar="PIXELS",
    help="Side of the fields.",
)
@overwrite_option
@json_option
@quiet_option
def simulate(output, as_json, quiet, **options):
    """Render survey fields in g, r, i with known clusters of galaxies.

    Written are a FITS file per field and band, the table truth.ecsv of clusters and
    groups, and simulate.json, which says how. Clusters have redMaPPer's redshifts,
    richness and density on the sky; poorer groups, field galaxies, stars, saturation,
    satellite trails and masked edges are there to be mistaken for them.

    \b
    Examples:
      astro-objdet simulate --survey sdss --area 2 --seed 7 -o skies/
      astro-objdet simulate --survey des --area 0.1 --cluster-odds 0,1 --seed 1 -o des/
    """
    from astro_objdet.skies import rendering

    with spoken_warnings(quiet=quiet), progress_bar(quiet=quiet) as progress:
        done = rendering.simulate(out=output, progress=progress, **_given(options))
    _show_rendered(done, as_json, quiet)


@click.command("simulate")
@_rendering_options
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="The archive to write.",
)
@recipe_option
@click.option(
    "--size",
    type=click.IntRange(min=32),
    metavar="PIXELS",
    help="Side of the images.  [default: the recipe's view, 1024]",
)
@click.option(
    "--min-richness",
    type=click.FloatRange(min=0),
    default=20.0,
    show_default=True,
    metavar="N",
    help="Clusters to be found have it.",
)
@click.option(
    "--ignored-richness",
    type=click.FloatRange(min=0),
    default=12.0,
    show_default=True,
    metavar="N",
    help="Poorer ones down to it count as neither object nor background.",
)
@click.option(
    "--decoy-richness",
    type=click.FloatRange(min=0),
    default=6.0,
    show_default=True,
    metavar="N",
    help="Poorer ones down to it are taught apart from clusters.",
)
@click.option(
    "--redshift-range",
    type=LIMITS,
    default="0.08:0.38",
    show_default=True,
    metavar="LOW:HIGH",
    help="Redshifts of clusters to be found; others are ignored.",
)
@click.option(
    "--fading",
    nargs=2,
    type=click.FloatRange(min=0),
    metavar="Z RATE",
    help="Beyond redshift Z clusters to be found are richer, by exp(RATE (z - Z)), as where "
    "faint members are lost.",
)
@click.option("--resume", is_flag=True, help="Go on with an archive that was interrupted.")
@overwrite_option
@json_option
@quiet_option
def simulate_archive(
    output,
    recipe,
    min_richness,
    ignored_richness,
    decoy_richness,
    redshift_range,
    fading,
    as_json,
    quiet,
    **options,
):
    """Render fields straight into an archive for training.

    As `astro-objdet simulate`, without FITS files between. With --no-noise each
    training view gets noise of its own, and the archive serves any depth.

    \b
    Example:
      astro-objdet dataset simulate --area 30 --cluster-odds 35,45,20 --no-noise \\
          --part train --part test --seed 7 -o archive.h5
    """
    from astro_objdet.detectors import get_recipe
    from astro_objdet.skies import rendering

    limits = min_richness, ignored_richness, decoy_richness
    roles = rendering.Roles(*limits, redshift=redshift_range, fading=fading)
    with spoken_warnings(quiet=quiet), progress_bar(quiet=quiet) as progress:
        done = rendering.render_archive(
            output, recipe=get_recipe(recipe), roles=roles, progress=progress, **_given(options)
        )
    _show_rendered(done, as_json, quiet)


def _show_rendered(done, as_json, quiet):
    """Say what was rendered."""
    if as_json:
        click.echo(json.dumps(vars(done), indent=2))
    elif not quiet:
        click.echo(
            f"{done.fields} fields, {done.area:.3g} deg2: {done.clusters} clusters of richness "
            f"20 or more, {done.groups} poorer groups"
        )
        click.echo(f"wrote {done.path}")
