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

try:
    import h5py
except ImportError as error:
    raise ResourceError(
        'archives need h5py, which is not installed: pip install "astro-objdet[simulate]"'
    ) from error

__all__ = ["Lock", "mend", "new_file", "open_reading", "open_writing", "translated", "was_closed"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Superblock of version 3 (HDF5 file format, II.A): file consistency flags, end of file.
_SUPERBLOCK, _FLAGS_BYTE, _END_BYTES = 48, 11, slice(28, 36)
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


def _superblock(path):
    """Consistency flags of an HDF5 file and where it ends, without HDF5.

    Returns
    -------
    flags, end : int
        0 and 0 for files of older versions, which no archive is.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(_SUPERBLOCK)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot be read: {reason}", path) from error
    if not start.startswith(_SIGNATURE):
        raise InputError("is no archive: it is not an HDF5 file", path)
    if len(start) < _SUPERBLOCK or start[8] < 3:
        return 0, 0
    return start[_FLAGS_BYTE], int.from_bytes(start[_END_BYTES], "little")


def was_closed(path):
    """Whether no writer has the file open, or was killed while it had."""
    return _superblock(path)[0] == 0


def _check_start(path):
    """Refuse what is no HDF5 file, or ends too early; HDF5 says nothing for SWMR readers."""
    flags, end = _superblock(path)
    if flags == 0 and end > os.path.getsize(path):
        raise InputError("is truncated: its end is missing. Copy or build it again", path)


def open_reading(path):
    """Open an archive for reading, also while another program appends to it.

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
        _check_start(path)
        return h5py.File(path, "r", swmr=True, libver="latest", locking=False)

    file = _patiently(attempt, path, "read")
    try:
        return file, _header(file, path)
    except InputError:
        file.close()
        raise


def _header(file, path):
    """The header of an archive, after a look at what it is."""
    if file.attrs.get("format") != FORMAT:
        raise InputError(f"is an HDF5 file, but no archive: it has no format {FORMAT!r}", path)
    version = file.attrs.get("version")
    if version != VERSION:
        raise InputError(f"is of format version {version}; this program reads {VERSION}", path)
    try:
        return Header.from_json(file["header"][:].tobytes())
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
        source, header = open_reading(path)
        with (
            source,
            atomic_path(path, overwrite=True) as temporary,
            h5py.File(temporary, "w", libver="latest") as target,
        ):
            create_datasets(target, header, source["images"].compression)
            _copy(source, target)
    except OSError as error:
        if isinstance(error, OutputExistsError):
            raise
        raise translated(error, path, "copied") from error


def _copy(source, target):
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
    chunk_index(packed, len(rows), source.filename)
    images.resize(len(rows), axis=0)
    for number in range(len(rows)):
        # bytes as they are: as fast as the disk
        place = (number, 0, 0, 0)
        skipped, content = packed.id.read_direct_chunk(place)
        images.id.write_direct_chunk(place, content, filter_mask=skipped)
