"""Several files that belong together, written all or none."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from astro_objdet.files import translated

__all__ = ["publish", "staged"]


@contextlib.contextmanager
def staged(folder):
    """Give a temporary folder inside ``folder`` to write into.

    Whatever `publish` did not move from there is removed at the end, and so are the
    folders made for it if nothing came to lie in them.

    Parameters
    ----------
    folder : path-like
        The folder the files are meant for; made, with its parents, if missing.

    Yields
    ------
    `~pathlib.Path`

    Raises
    ------
    InputError
        If the folder cannot be made or written to.
    ResourceError
        If the disk is full.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stage = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
        except OSError as error:
            raise translated(error, folder, "written") from error
        try:
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


def publish(stage, folder):
    """Move every file from ``stage`` to ``folder``, over files of the same name.

    Returns
    -------
    list of `~pathlib.Path`
        The files at their final places, sorted.

    Raises
    ------
    InputError, ResourceError
        As `staged` does.
    """
    folder = Path(folder)
    published = []
    for source in sorted(Path(stage).iterdir()):
        target = folder / source.name
        try:
            os.replace(source, target)
        except OSError as error:
            raise translated(error, target, "written") from error
        published.append(target)
    return published
