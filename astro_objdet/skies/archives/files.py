"""Opening an archive's HDF5 file: for reading at any time, for writing by one program.

A writer uses HDF5's single-writer/multiple-reader mode, in which a reader finds a
consistent file at every moment, also when the writer was killed. A killed writer leaves a
flag in the file that makes HDF5 refuse to write to it again; `mend` copies what is whole.

HDF5's own locks are off: readers would keep a writer out for as long as they look. Writers
keep each other out by `Lock`.
"""

import contextlib
import errno
import os
import time
from pathlib import Path

from astro_objdet.errors import InputError, OutputExistsError, ResourceError
from astro_objdet.files import atomic_path
from astro_objdet.skies.archives.layout import FORMAT, VERSION, Header, create_datasets, whole_rows
from astro_objdet.skies.archives.pixels import chunk_index
from astro_objdet.skies.archives.superblock import Unflagged, check_length, was_closed

try:
    import h5py
except ImportError as error:
    raise ResourceError(
        'archives need h5py, which is not installed: pip install "astro-objdet[simulate]"'
    ) from error

__all__ = ["Lock", "mend", "new_file", "open_reading", "open_writing", "translated", "was_closed"]

# Seconds between attempts to open a file that is busy; 0 after the last.
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0)
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def translated(error, path, verb="read"):
    """This package's error for an OSError of h5py, naming the file."""
    text = " ".join(str(error).split())
    number = error.errno
    if number in _NO_SPACE or any(f"errno = {n}," in text for n in _NO_SPACE):
        return ResourceError(f"{path}: cannot be written: no space left on the disk")
    if isinstance(error, FileNotFoundError):
        return InputError("there is no such file", path)
    if _is_busy(text):
        return InputError("is open elsewhere; close it, or try again when that is done", path)
    if "truncated" in text:
        return InputError("is truncated: its end is missing. Copy or build it again", path)
    return InputError(f"cannot be {verb}, it may be damaged: {text}", path)


def open_reading(path, alive=None):
    """Open an archive for reading, also while another program appends to it.

    Parameters
    ----------
    path : path-like
    alive : bool, optional
        Whether a program is writing to it; found out by its lock.

    Returns
    -------
    file : `h5py.File`
    header : Header

    Raises
    ------
    InputError
        For anything but an archive of this version, naming the file and the rule.
    """

    def attempt():
        check_length(path)
        if was_closed(path):
            file = h5py.File(path, "r", locking=False)
        elif Lock.held(path) if alive is None else alive:
            file = h5py.File(path, "r", swmr=True, libver="latest", locking=False)
        else:
            # with swmr HDF5 would wait for a damaged piece to be written whole
            file = h5py.File(Unflagged(path), "r")
        try:
            return file, _header(file, path)
        except (InputError, RuntimeError):
            file.close()
            raise

    return _patiently(attempt, path, "read")


def _header(file, path):
    """The header of an archive, after a look at what it is."""
    try:
        told, version = file.attrs.get("format"), file.attrs.get("version")
        if told != FORMAT:
            raise InputError(f"is an HDF5 file, but no archive: it has no format {FORMAT!r}", path)
        if version != VERSION:
            raise InputError(f"is of format version {version}; this program reads {VERSION}", path)
        return Header.from_json(file["header"][:].tobytes())
    except InputError:
        raise
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"has a header that cannot be read: {error}", path) from error


def new_file(path, header, compression, overwrite):
    """Put an empty archive at ``path``, whole or not at all."""
    with (
        atomic_path(path, overwrite) as temporary,
        h5py.File(temporary, "w", libver="latest") as file,
    ):
        create_datasets(file, header, compression)


def open_writing(path):
    """Open an archive that was closed, for one writer and many readers."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_file_locking(False, False)
    access.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    # Marked for readers from the first moment on, which mode "r+" would not be.
    flags = h5py.h5f.ACC_RDWR | h5py.h5f.ACC_SWMR_WRITE

    def attempt():
        return h5py.File(h5py.h5f.open(os.fsencode(path), flags, fapl=access))

    return _patiently(attempt, path, "written")


def _patiently(attempt, path, verb):
    """Open a file that another program may just be opening, or closing."""
    for pause in _PAUSES:
        try:
            return attempt()
        except OSError as error:
            if pause == 0 or not _is_busy(str(error)):
                raise translated(error, path, verb) from error
        except RuntimeError as error:
            # a writer may have begun since; what is still so after a while is damage
            if pause == 0:
                raise translated(OSError(str(error)), path, verb) from error
        time.sleep(pause)
    return None


def _is_busy(text):
    return any(words in text for words in ("unable to lock", "already open", "locking flag"))


class Lock:
    """Held by the one program that writes to an archive; ends with the program.

    A lock of the archive itself would keep readers out, so it is one of a file beside it.
    """

    def __init__(self, path):
        path = Path(os.path.realpath(path))
        self._path, self._file = path.with_name(f".{path.name}.lock"), None
        try:
            import fcntl
        except ImportError:  # Windows does not let two programs write to one file
            return
        try:
            self._file = open(self._path, "wb")  # noqa: SIM115 (held as long as the lock)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A writer that has just ended may have removed the file between the two lines.
            same = os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path))
        except (BlockingIOError, FileNotFoundError):
            same = False
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror or error}", path) from error
        if not same:
            self._file.close()
            raise InputError("is being written by another program", path)

    @classmethod
    def held(cls, path):
        """Whether a program is writing to an archive, as far as can be told."""
        path = Path(os.path.realpath(path))
        try:
            import fcntl

            with open(path.with_name(f".{path.name}.lock"), "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except (ImportError, OSError):
            return True
        return False

    def release(self):
        """Let others write; a second call does nothing."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._file.close()
            self._file = None


def mend(path):
    """Replace an archive whose writer was killed by a copy of what is whole in it.

    Raises
    ------
    InputError, ResourceError
        If it is no archive, or the disk is full; it stays as it was.
    """
    try:
        source, header = open_reading(path, alive=False)
        with (
            source,
            atomic_path(path, overwrite=True) as temporary,
            h5py.File(temporary, "w", libver="latest") as target,
        ):
            create_datasets(target, header, source["images"].compression)
            _copy(source, target, path)
    except (OSError, RuntimeError) as error:
        if isinstance(error, (OutputExistsError, InputError)):
            raise
        error = error if isinstance(error, OSError) else OSError(str(error))
        raise translated(error, path, "copied") from error


def _copy(source, target, path):
    rows = source["rows"][:]
    rows = rows[: whole_rows(rows)]
    n_objects = int((rows["first_object"] + rows["objects"]).max(initial=0))
    n_bytes = int((rows["first_byte"] + rows["bytes"]).max(initial=0))
    for name, size in (
        ("rows", len(rows)),
        ("splits", len(rows)),
        ("objects", n_objects),
        ("headers", n_bytes),
        ("record", len(source["record"])),
    ):
        target[name].resize(size, axis=0)
        target[name][:] = source[name][:size]
    for name in ("state", "notes"):
        target[name][:] = source[name][:]
    images, packed = target["images"], source["images"]
    chunk_index(packed, len(rows), path)
    images.resize(len(rows), axis=0)
    for number in range(len(rows)):
        # bytes as they are: as fast as the disk
        place = (number, 0, 0, 0)
        skipped, content = packed.id.read_direct_chunk(place)
        images.id.write_direct_chunk(place, content, filter_mask=skipped)
