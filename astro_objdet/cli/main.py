"""The group of commands, and the one place where errors become exit codes.

Subcommands are imported when they are asked for, and import the library inside
their bodies, so that ``--help`` and shell completion stay fast.
"""

import errno
import re
import sys
import traceback
from importlib import import_module

import click

from astro_objdet.allocator import keep_memory
from astro_objdet.cli.messages import complain
from astro_objdet.errors import AstroObjdetError

__all__ = ["main", "run"]

# What a shell reports for a program ended by Ctrl-C: 128 + SIGINT.
INTERRUPTED = 130

COMMANDS = (
    "detect",
    "crossmatch",
    "evaluate",
    "simulate",
    "dataset",
    "train",
    "demo",
    "weights",
    "doctor",
    "completion",
)

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}

REPORT_HINT = (
    "astro-objdet: this is a bug in astro_objdet, not in your data. Please report it "
    "with the lines above, your command, and what `astro-objdet doctor` prints."
)


class LazyGroup(click.Group):
    """A group whose commands live in modules of the same name beside this one."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, cmd_name):
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(f".{cmd_name}", __package__), cmd_name)

    def _in_words_of_the_command(self, ctx, text):
        """The library names its parameters: turn ``max_dz`` into ``--max-dz``."""
        command = self.get_command(ctx, ctx.invoked_subcommand)
        params = command.params if command else []
        if isinstance(command, click.Group):
            # which of its commands ran is forgotten; they agree where they share a name
            params = [o for name in command.commands for o in command.commands[name].params]
        for option in params:
            if "_" in option.name and isinstance(option, click.Option):
                text = re.sub(rf"(?<![\w.-]){option.name}(?!\w)", option.opts[-1], text)
        return text

    def invoke(self, ctx):
        """Run a command; an error this package foresees ends as one line."""
        try:
            return super().invoke(ctx)
        except AstroObjdetError as error:
            complain(self._in_words_of_the_command(ctx, str(error)))
            ctx.exit(error.exit_code)
        except MemoryError:
            complain("memory ran out; try a smaller --batch-size or fewer --workers")
            ctx.exit(7)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            complain(f"{error.filename or 'the output'}: no space left on the disk")
            ctx.exit(7)
        except KeyboardInterrupt:
            click.echo(err=True)
            complain("interrupted; no half-written file is left behind")
            ctx.exit(INTERRUPTED)


def _explain_bug(kind, error, trace):
    """Show an error nobody foresaw in full, and say whom it concerns."""
    traceback.print_exception(kind, error, trace)
    click.echo(REPORT_HINT, err=True)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a bug, 2 wrong usage, 3 bad input, 4 some inputs "
    "failed, 5 network, 6 model, 7 disk or memory.",
)
@click.version_option(package_name="astro-objdet", prog_name="astro-objdet")
def main():
    """Find objects in survey images and write them as catalogues on the sky.

    \b
    Example:
      astro-objdet detect field_g.fits field_r.fits field_i.fits -o out/

    `astro-objdet COMMAND --help` explains a command, with an example;
    `astro-objdet demo` shows all of it on a field that comes with the package.
    """


def run():
    """Run the command line as a program: what the console script calls."""
    sys.excepthook = _explain_bug
    keep_memory()
    main(prog_name="astro-objdet")
