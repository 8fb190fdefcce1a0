"""What commands say besides their result, all of it on standard error."""

import contextlib
import sys
import warnings

import click

from astro_objdet.textlines import table_lines

__all__ = ["complain", "progress_bar", "spoken_warnings", "table_lines"]


def complain(error):
    """Print an error as one line, whatever line breaks its text has."""
    click.echo(f"astro-objdet: error: {' '.join(str(error).split())}", err=True)


@contextlib.contextmanager
def spoken_warnings(*, quiet=False, verbose=False):
    """Show warnings as one line each; with ``verbose`` the libraries' own too."""
    from astropy.utils.exceptions import AstropyWarning

    def show(message, category, filename, lineno, file=None, line=None):
        text = " ".join(str(message).split())
        click.echo(f"astro-objdet: warning: {text}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        warnings.simplefilter("once" if verbose else "ignore")
        if not verbose and not quiet:
            warnings.simplefilter("once", UserWarning)
            # Astropy repairs many headers as it reads them and says so each time.
            warnings.simplefilter("ignore", AstropyWarning)
        yield


@contextlib.contextmanager
def progress_bar(*, quiet=False):
    """Yield a callable ``(label, done, total)`` that draws a bar, or None.

    There is a bar only where standard error is a terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("loading the model", total=None)

        def advance(label, done, total):
            bar.update(task, description=label, completed=done, total=total)

        yield advance
