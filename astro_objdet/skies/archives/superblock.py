"""The first 48 bytes of an archive: whether a writer has it open, and where it ends.

A writer that is killed leaves its flag behind. To HDF5 such a file is open still: it
refuses to read it, or, as a reader beside a writer, waits for ever for a damaged piece to
become whole. `Unflagged` shows HDF5 the file without the flag.
"""

import io
import os

from astro_objdet.errors import InputError

__all__ = ["Unflagged", "check_length", "was_closed"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Superblock of version 3 (HDF5 file format, II.A): file consistency flags, end of file,
# and a checksum of all before it.
_SIZE, _FLAGS, _END, _SUM = 48, 11, slice(28, 36), slice(44, 48)
TRUNCATED = "is truncated: its end is missing. Copy or build it again"


def _read(path):
    try:
        with open(path, "rb") as file:
            start = file.read(_SIZE)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot be read: {reason}", path) from error
    if not start.startswith(_SIGNATURE):
        raise InputError("is no archive: it is not an HDF5 file", path)
    if len(start) < _SIZE:
        raise InputError(TRUNCATED, path)
    return start


def was_closed(path):
    """Whether no writer has the file open, or was killed while it had.

    Files of older versions have no such flag, and are no archives.
    """
    start = _read(path)
    return start[8] < 3 or start[_FLAGS] == 0


def check_length(path):
    """Refuse what is no HDF5 file, or ends before its end."""
    start = _read(path)
    end = int.from_bytes(start[_END], "little")
    # while a writer has it open, the end is where it was when it began
    if start[8] >= 3 and start[_FLAGS] == 0 and end > os.path.getsize(path):
        raise InputError(TRUNCATED, path)


class Unflagged(io.RawIOBase):
    """A file that a killed writer has left, as if it had been closed.

    It is closed with the last reference to it, since h5py leaves that to others.

    Parameters
    ----------
    path : path-like
    """

    def __init__(self, path):
        start = bytearray(_read(path))
        start[_FLAGS] = 0
        start[_END] = os.path.getsize(path).to_bytes(8, "little")
        start[_SUM] = lookup3(bytes(start[: _SUM.start])).to_bytes(4, "little")
        self._begin = bytes(start)
        self._file = io.FileIO(path)

    def readable(self):
        """It can be read."""
        return True

    def seekable(self):
        """It can be read anywhere."""
        return True

    def seek(self, offset, whence=os.SEEK_SET):
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self):
        """Where it stands."""
        return self._file.tell()

    def readinto(self, buffer):
        """Fill a buffer from where it stands."""
        place = self.tell()
        count = self._file.readinto(buffer)
        ours = self._begin[place : place + count]
        with memoryview(buffer).cast("B") as view:
            view[: len(ours)] = ours
        return count

    def close(self):
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()


def lookup3(data):
    """Checksum of HDF5's metadata: Jenkins' lookup3, hashlittle, from 0."""
    a = b = c = (0xDEADBEEF + len(data)) & 0xFFFFFFFF
    words = [int.from_bytes(data[k : k + 4], "little") for k in range(0, len(data), 4)]
    while len(words) > 3:
        a, b, c = a + words[0], b + words[1], c + words[2]
        a, b, c = _mix(a, b, c)
        words = words[3:]
    a, b, c = (v + w for v, w in zip((a, b, c), [*words, 0, 0][:3], strict=True))
    return _last(a, b, c)


def _turned(value, bits):
    value &= 0xFFFFFFFF
    return (value << bits | value >> 32 - bits) & 0xFFFFFFFF


def _mix(a, b, c):
    for bits in (4, 6, 8, 16, 19, 4):
        a = (a - c) ^ _turned(c, bits)
        c += b
        a, b, c = b, c, a
    return a, b, c


def _last(a, b, c):
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _turned(b, bits)
        a, b, c = b, c, a
    return _turned(b, 0)
