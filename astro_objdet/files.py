"""Files written whole or not at all, and checksums of files read."""

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from pathlib import Path

from astro_objdet.errors import InputError, OutputExistsError, ResourceError

__all__ = ["atomic_path", "check_writable", "sha256_of", "translated", "write_whole"]

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def atomic_path(path, overwrite=False):
    """Give a temporary path to write to, and move it to ``path`` at the end.

    The temporary file lies in the folder of ``path`` and ends in the same
    suffixes, so that writers which choose a format by name still do. It is
    flushed to disk before it takes its name; if anything fails it is removed
    and ``path`` stays as it was.

    Parameters
    ----------
    path : path-like
        The file to write. A symbolic link is followed.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Yields
    ------
    `pathlib.Path`
        A path at which no file exists yet.

    Raises
    ------
    OutputExistsError
        If ``path`` exists, at the start or by the end, and ``overwrite`` is
        false.
    InputError
        If ``path`` cannot be written: no such folder, no permission, or
        something there that is not a plain file.
    ResourceError
        If the disk is full or a quota is reached.
    """
    target = Path(os.path.realpath(path))
    _check_target(path, target, overwrite)
    suffix = "".join(target.suffixes[-2:])[-32:]
    temporary = target.parent / f".{secrets.token_hex(8)}{suffix}"
    try:
        yield temporary
        _sync(temporary)
        _move(temporary, target, overwrite)
    except OutputExistsError:
        raise
    except OSError as error:
        # An OSError with another file's name is the caller's own affair.
        if error.errno in _NO_SPACE or error.filename in (
            str(temporary),
            temporary,
            str(target),
        ):
            raise translated(error, path, "written") from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(path, overwrite=False, inputs=()):
    """Raise what `atomic_path` would, before any work is done for a file.

    Parameters
    ----------
    path : path-like
        The file to write.
    overwrite : bool, optional
        Whether an existing file may be replaced.
    inputs : iterable of path-like, optional
        Files that are read for it, which are never replaced.

    Raises
    ------
    OutputExistsError, InputError
        As `atomic_path` does, and if ``path`` is one of the inputs, by whatever name.
    """
    target = os.path.realpath(path)
    if target in {os.path.realpath(name) for name in inputs}:
        raise InputError("is read for this, and never replaced; give another output", path)
    _check_target(path, Path(target), overwrite)


def write_whole(path, content, overwrite=False):
    """Write ``content`` to ``path`` whole or not at all.

    Parameters
    ----------
    path : path-like
        The file to write.
    content : bytes or str
        Text is encoded as UTF-8, its line ends kept.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    OutputExistsError, InputError, ResourceError
        As `atomic_path` does.
    """
    if isinstance(content, str):
        content = content.encode()
    with atomic_path(path, overwrite) as temporary:
        temporary.write_bytes(content)


def sha256_of(path):
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise translated(error, path, "read") from error


def _check_target(path, target, overwrite):
    """Refuse what can be seen to fail before any work is done."""
    if not target.parent.is_dir():
        raise InputError(f"folder {target.parent} does not exist", path)
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise translated(error, path, "written") from error
    # Renaming over a device or a pipe would replace it by a plain file.
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "not a plain file"
        raise InputError(f"cannot be written: it is {what}", path)
    if not overwrite:
        raise OutputExistsError("exists; overwriting was not asked for", path)
    # Replacing the name needs no right to the file itself: ask for it all the same.
    if not mode & stat.S_IWUSR:
        raise InputError("cannot be written: it is read-only", path)


def _sync(temporary):
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())


def _move(temporary, target, overwrite):
    if overwrite:
        with contextlib.suppress(OSError):
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    else:
        _move_to_free_name(temporary, target)
    # The new name itself reaches the disk only with its folder. Not every
    # system can open a folder, and the file is complete without this.
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _move_to_free_name(temporary, target):
    # A hard link, unlike a rename, fails if the name was taken meanwhile.
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise OutputExistsError("was made by another program", target) from None
    except OSError:
        if os.path.lexists(target):
            raise OutputExistsError("was made by another program", target) from None
        os.replace(temporary, target)


def translated(error, path, verb):
    """Turn an OSError into this package's error, naming the file asked for.

    Parameters
    ----------
    error : OSError
    path : path-like
    verb : str
        What could not be done to it: "written".

    Returns
    -------
    `ResourceError` where the disk is full, `InputError` else.
    """
    reason = error.strerror or str(error)
    if error.errno in _NO_SPACE:
        return ResourceError(f"{path}: cannot be {verb}: {reason}")
    return InputError(f"cannot be {verb}: {reason}", path)
