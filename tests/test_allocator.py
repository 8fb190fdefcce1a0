"""The allocator's settings, in processes of their own."""

import os
import platform
import subprocess
import sys

import pytest

from astro_objdet.allocator import OWN_SETTINGS, keep_memory

GLIBC = platform.libc_ver()[0] == "glibc"

# Blocks of 64 MB are written and freed in turn, as feature maps are: how many pages of 4 kB the
# kernel has to fetch for the last ten of them.
FAULTS = """
import numpy as np, resource
from astro_objdet.allocator import keep_memory
print(keep_memory())
for number in range(12):
    if number == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.full(2**23, 1.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**settings):
    kept = {name: v for name, v in os.environ.items() if not name.startswith(OWN_SETTINGS)}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env=kept | settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    was_set, count = done.stdout.split()
    return was_set == "True", int(count)


@pytest.mark.skipif(not GLIBC, reason="the settings are those of glibc")
def test_memory_is_used_again():
    was_set, count = faults()
    assert was_set
    assert count < 20


@pytest.mark.skipif(not GLIBC, reason="the settings are those of glibc")
def test_settings_of_the_user_win():
    was_set, count = faults(MALLOC_MMAP_THRESHOLD_="65536")
    assert not was_set
    assert count > 200


def test_nothing_is_done_where_there_is_no_glibc(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_memory() is False
