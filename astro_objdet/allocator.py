"""The C library's allocator, told to keep the memory it has."""

import ctypes
import os
import sys

__all__ = ["keep_memory"]

# mallopt's parameters and what they are set to, from glibc's malloc.h: nothing is mapped apart,
# freed memory goes back beyond 2 GB, and more is fetched 256 MB at a time.
SETTINGS = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_TOP_PAD": (-2, 2**28)}
#: Variables by which users settle it themselves.
OWN_SETTINGS = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")


def keep_memory():
    """Let freed memory be used again, where by default it is given back and fetched anew.

    A model's feature maps are tens of MB each. glibc maps each one afresh, and the kernel
    clears its pages: on a CPU that takes as long as the model itself. The commands do this by
    themselves; the library does not, since it concerns all that runs in a process. The most
    memory that was ever in use stays with the process.

    Returns
    -------
    bool
        Whether it was set; not without glibc, nor where the environment sets the allocator.
    """
    if sys.platform != "linux" or any(name.startswith(OWN_SETTINGS) for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(*pair) == 1 for pair in SETTINGS.values())
