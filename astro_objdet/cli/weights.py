"""``astro-objdet weights``: what models there are, converting and calibrating them."""

import json

import click

from astro_objdet.cli.messages import spoken_warnings, table_lines
from astro_objdet.cli.options import json_option, overwrite_option

__all__ = ["weights"]


@click.group()
def weights():
    """List, describe, convert and calibrate the weights of detectors.

    \b
    Example:
      astro-objdet weights list
    """


@weights.command("list")
@json_option
def list_(as_json):
    """List the weights that come with the package.

    \b
    Example:
      astro-objdet weights list --json
    """
    from astro_objdet.engine.weights import list_weights

    entries = list_weights()
    if as_json:
        click.echo(json.dumps(entries, indent=2, default=str))
        return
    rows = [
        (
            entry["name"],
            f"{entry['size'] / 1e6:.1f} MB",
            entry["sha256"][:12],
            entry["title"],
        )
        for entry in entries
    ]
    for line in table_lines(("name", "size", "sha256", "what it finds"), rows):
        click.echo(line)


@weights.command()
@click.argument("name")
@json_option
def show(name, as_json):
    """Show the model card of NAME: what it was trained on and how it scored.

    NAME is one of `weights list`, a .safetensors file, or hf://owner/name.

    \b
    Example:
      astro-objdet weights show deepcee
    """
    from astro_objdet.engine.weights import load_card

    card = load_card(name)
    if as_json:
        click.echo(json.dumps(card, indent=2, default=str))
        return
    if isinstance(card.get("calibration"), dict):
        card = {**card, "calibration": _calibration_entries(card["calibration"])}
    for line in _card_lines(card):
        click.echo(line)


@weights.command()
@click.argument("source", type=click.Path(), metavar="FILE.pth")
@click.option(
    "--recipe",
    required=True,
    metavar="NAME",
    help="The recipe that the weights are for, such as deepcee-lite0.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="OUT.safetensors",
    help="The file to write.",
)
@click.option("--title", help="What the weights find, for the model card.")
@overwrite_option
def convert(source, recipe, output, title, overwrite):
    """Convert a PyTorch file of weights into a safetensors file.

    A .pth file is a pickle, which can run code when it is opened; here it is opened
    with tensors as the only content allowed.

    \b
    Example:
      astro-objdet weights convert mine.pth --recipe deepcee-lite0 -o mine.safetensors
    """
    from astro_objdet.detectors import get_recipe
    from astro_objdet.engine.convert import convert_weights

    digest = convert_weights(source, output, get_recipe(recipe), title=title, overwrite=overwrite)
    click.echo(f"wrote {output}, sha256 {digest}")


@weights.command()
@click.argument("name")
@click.argument("table", type=click.Path(), metavar="TABLE")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="OUT.safetensors",
    help="The file to write.",
)
@click.option("--sky", metavar="TEXT", help="What sky the detections are of, for the model card.")
@click.option(
    "--plot",
    type=click.Path(),
    metavar="FILE.png",
    help="Draw a reliability diagram, the detections of each field judged by the other fields.",
)
@overwrite_option
def calibrate(name, table, output, sky, plot, overwrite):
    """Copy the weights NAME with a calibration of their scores.

    TABLE holds detections that are known to be true or false, in its columns score and
    status: the detections.ecsv of `evaluate`. They must be of sky that the weights were
    not trained on. Catalogues made with the copy have the column probability.

    \b
    Example:
      astro-objdet weights calibrate deepcee evaluation/detections.ecsv -o mine.safetensors
    """
    with spoken_warnings():
        from astro_objdet.evaluations import calibrate_files

        calibration, digest = calibrate_files(
            name, table, output, sky=sky, plot=plot, overwrite=overwrite
        )
    for line in _card_lines({"calibration": _calibration_entries(calibration.to_dict())}):
        click.echo(line)
    click.echo(f"wrote {output}, sha256 {digest}")
    if plot:
        click.echo(f"wrote {plot}")


def _calibration_entries(values):
    """A calibration with its knots as a short table of scores and probabilities."""
    from astro_objdet.catalogs.calibration import Calibration

    calibration = Calibration.from_dict(values)
    lowest = calibration.lowest_score
    scores = [lowest, *(k / 10 for k in range(1, 11) if k / 10 > lowest)]
    rows = [
        {"score": f"{score:.3g}", "probability": f"{probability:.3g}"}
        for score, probability in zip(scores, calibration.probability(scores), strict=True)
    ]
    rest = {name: values[name] for name in values if name not in ("scores", "probabilities")}
    if rest.get("quality"):
        rest["quality"] = {name: _short(value) for name, value in rest["quality"].items()}
    return {"probability by score": rows, **rest, "lowest_score": f"{lowest:.3g}"}


def _short(value):
    return f"{value:.3g}" if isinstance(value, float) else value


def _card_lines(values, indent=""):
    """Lines of a nested dict, one entry a line; sentences and tables below their name."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _card_lines(value, indent + "  ")
        elif _is_table(value):
            yield f"{indent}{key}:"
            header = tuple(value[0])
            rows = [tuple(_cell(row.get(name)) for name in header) for row in value]
            for line in table_lines(header, rows):
                yield f"{indent}  {line}"
        elif isinstance(value, list | tuple) and any(" " in str(v) for v in value):
            yield f"{indent}{key}:"
            yield from (f"{indent}  - {entry}" for entry in value)
        elif isinstance(value, list | tuple):
            yield f"{indent}{key}: {', '.join(map(str, value))}"
        else:
            yield f"{indent}{key}: {value}"


def _is_table(value):
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict)


def _cell(value):
    if isinstance(value, list | tuple):
        return "-".join(map(str, value))
    return "" if value is None else str(value)
