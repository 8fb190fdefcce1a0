"""Pixels of an image straight from the file, past HDF5.

HDF5 tells where each image lies and how it is packed. Reading it needs no more than that:
no lock among threads, no handle that a forked or pickled process would have to give up, and
no cache that could be older than the file.
"""

import os
import zlib

import numpy as np

from astro_objdet.errors import InputError

__all__ = ["CHUNK", "chunk_index", "identity", "read_chunk"]

#: Where an image lies: byte offset, bytes, and the filters that were left out for it.
CHUNK = np.dtype([("offset", "<i8"), ("size", "<i8"), ("skipped", "<u4")])


def chunk_index(images, count, path):
    """Where the first ``count`` images lie: `numpy.ndarray` of `CHUNK`.

    Raises
    ------
    InputError
        If one lies beyond the end of the file.
    """
    index, end = np.zeros(count, CHUNK), os.path.getsize(path)
    for number in range(count):
        chunk = images.id.get_chunk_info_by_coord((number, 0, 0, 0))
        if chunk.byte_offset is None or chunk.byte_offset + chunk.size > end:
            raise InputError(f"is truncated: image {number} of {count} is missing", path)
        index[number] = chunk.byte_offset, chunk.size, chunk.filter_mask
    return index


def identity(path):
    """What tells a file from another of its name that takes its place."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def read_chunk(path, known, chunk, filters, dtype, shape):
    """Pixels of one image.

    Parameters
    ----------
    path : str
    known : tuple
        `identity` of the file when its index was read.
    chunk : record of `CHUNK`
    filters : tuple of str
        "shuffle" and "gzip", in the order in which they were applied.
    dtype : str
    shape : tuple of int

    Returns
    -------
    `numpy.ndarray`

    Raises
    ------
    InputError
        If the file was replaced, is damaged, or cannot be read.
    """
    dtype, size = np.dtype(dtype), int(chunk["size"])
    try:
        with open(path, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) != known:
                raise InputError("was replaced since it was opened; open it again", path)
            file.seek(int(chunk["offset"]))
            data = np.fromfile(file, np.uint8, size)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path) from error
    try:
        for number, name in reversed([*enumerate(filters)]):
            if not chunk["skipped"] >> number & 1:
                data = _UNPACK[name](data, dtype.itemsize)
        image = data.view(dtype).reshape(shape)
    except (zlib.error, ValueError) as error:
        raise InputError(f"is damaged: an image cannot be unpacked: {error}", path) from error
    return image if image.flags.writeable else image.copy()


def _inflate(data, itemsize):
    return np.frombuffer(zlib.decompress(data), np.uint8)


def _unshuffle(data, itemsize):
    planes = data.reshape(itemsize, -1)
    whole = np.empty(planes.shape[::-1], np.uint8)
    for number, plane in enumerate(planes):
        whole[:, number] = plane
    return whole.reshape(-1)


_UNPACK = {"gzip": _inflate, "shuffle": _unshuffle}
