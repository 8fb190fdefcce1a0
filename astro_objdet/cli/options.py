"""Option types and options that several commands share."""

import click

__all__ = [
    "BANDS",
    "HDU",
    "NAMES",
    "LIMITS",
    "NUMBERS",
    "NUMBER_OR_NAME",
    "RANGE",
    "ZERO_POINT",
    "device_option",
    "json_option",
    "output_option",
    "overwrite_option",
    "quiet_option",
]


class CommaList(click.ParamType):
    """Words separated by commas, as a tuple of strings."""

    name = "names"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip() for word in value.split(","))
        if not all(words):
            self.fail(f"expected names separated by commas, got {value!r}", param, ctx)
        return words


class HduChoice(click.ParamType):
    """One or more HDUs by number or name; a single one is not a list."""

    name = "hdu"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        words = CommaList().convert(value, param, ctx)
        chosen = [int(word) if word.isdecimal() else word for word in words]
        return chosen[0] if len(chosen) == 1 else chosen


class ZeroPoint(click.ParamType):
    """An AB magnitude, or one per band as ``g=27.1,r=27.3``."""

    name = "mag"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        try:
            if "=" not in value:
                return float(value)
            pairs = [pair.split("=") for pair in value.split(",")]
            return {band.strip(): float(magnitude) for band, magnitude in pairs}
        except ValueError:
            self.fail(f"expected a magnitude or g=27.1,r=27.3, got {value!r}", param, ctx)


class Numbers(click.ParamType):
    """Numbers separated by commas, as a tuple of floats."""

    name = "numbers"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        try:
            return tuple(float(word) for word in value.split(","))
        except ValueError:
            self.fail(f"expected numbers separated by commas, got {value!r}", param, ctx)


class Range(click.ParamType):
    """``column=low:high``, either end left out for none, as a name and two floats."""

    name = "range"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        column, _, limits = value.rpartition("=")
        low, colon, high = limits.partition(":")
        try:
            if not (column and colon and limits != ":"):
                raise ValueError
            return column.strip(), (float(low or "-inf"), float(high or "inf"))
        except ValueError:
            self.fail(f"expected column=low:high, such as redshift=0.1:0.2, got {value!r}", param)


class Limits(click.ParamType):
    """``low:high``, either end left out for none, as a pair."""

    name = "limits"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        low, colon, high = value.partition(":")
        try:
            if not colon:
                raise ValueError
            return tuple(float(end) if end.strip() else None for end in (low, high))
        except ValueError:
            self.fail(f"expected low:high, such as 0.1:0.2, got {value!r}", param, ctx)


class NumberOrName(click.ParamType):
    """A number if it reads as one, else the name of a column."""

    name = "column"

    def convert(self, value, param, ctx):
        try:
            return float(value)
        except ValueError:
            return value


BANDS = NAMES = CommaList()
HDU = HduChoice()
LIMITS = Limits()
NUMBERS = Numbers()
NUMBER_OR_NAME = NumberOrName()
RANGE = Range()
ZERO_POINT = ZeroPoint()

device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Where the model runs: auto, cpu, cuda, cuda:1, mps.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON, and only that."
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace output files that exist."
)
quiet_option = click.option(
    "-q", "--quiet", is_flag=True, help="Print errors only; no bar, no warnings."
)


def output_option(default):
    """The folder to write to, with the default of a command."""
    return click.option(
        "-o",
        "--output",
        default=default,
        show_default=True,
        metavar="FOLDER",
        type=click.Path(),
        help="Folder for what is written; made if it does not exist.",
    )
