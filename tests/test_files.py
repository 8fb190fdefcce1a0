"""Files appear whole or not at all, and errors name the file asked for."""

import errno
import hashlib
import os
import stat

import pytest

from astro_objdet import files
from astro_objdet.errors import InputError, OutputExistsError, ResourceError
from astro_objdet.files import atomic_path, sha256_of, write_whole


def test_writes_beside_with_same_suffix_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "field.fits.gz"
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".fits.gz")
        assert not temporary.exists()
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_long_names_leave_room(tmp_path):
    target = tmp_path / ("a" * 120 + "." + "b" * 120 + ".csv")
    write_whole(target, "x")
    assert target.read_text() == "x"


def test_new_file_obeys_umask_and_overwritten_file_keeps_its_mode(tmp_path):
    target = tmp_path / "a.txt"
    old = os.umask(0o027)
    try:
        write_whole(target, "one")
    finally:
        os.umask(old)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    target.chmod(0o604)
    write_whole(target, "two", overwrite=True)
    assert stat.S_IMODE(target.stat().st_mode) == 0o604


def test_text_is_utf8_with_its_own_line_ends(tmp_path):
    write_whole(tmp_path / "a.txt", "é\r\n\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\r\n\n".encode()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_leaves_the_old_file(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error, match="stop"), atomic_path(target, True) as temporary:
        temporary.write_text("half")
        raise error("stop")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_existing_file_is_refused_before_any_work(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with (
        pytest.raises(OutputExistsError, match=r"a\.txt: exists; overwriting"),
        atomic_path(target),
    ):
        pytest.fail("the body ran")
    assert target.read_text() == "old"


@pytest.mark.parametrize("linkable", [True, False])
def test_file_made_meanwhile_is_not_overwritten(tmp_path, monkeypatch, linkable):
    if not linkable:
        monkeypatch.setattr(files.os, "link", _refuse_link)
    target = tmp_path / "a.txt"
    with (
        pytest.raises(OutputExistsError, match="made by another program"),
        atomic_path(target) as temporary,
    ):
        temporary.write_text("ours")
        target.write_text("theirs")
    assert target.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_file_systems_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "link", _refuse_link)
    write_whole(tmp_path / "a.txt", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_symbolic_link_is_followed(tmp_path):
    real = tmp_path / "real.txt"
    real.write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to(real)
    write_whole(link, "new", overwrite=True)
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_full_disk(tmp_path):
    target = tmp_path / "a.txt"
    with (
        pytest.raises(ResourceError, match=r"a\.txt: cannot be written: No space"),
        atomic_path(target),
    ):
        # As a failing write does: no file name in the error.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_from_the_kernel(tmp_path):
    with (
        pytest.raises(ResourceError, match="No space left"),
        atomic_path(tmp_path / "a.txt") as temporary,
    ):
        temporary.symlink_to("/dev/full")
        temporary.write_bytes(b"x" * 100_000)
    assert not list(tmp_path.iterdir())


def test_no_permission_names_the_file_asked_for(tmp_path):
    with (
        pytest.raises(InputError, match=r"a\.txt: cannot be written: Permission"),
        atomic_path(tmp_path / "a.txt") as temporary,
    ):
        # Raised by hand, because the super-user may write anywhere.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(temporary))


def test_an_error_about_another_file_passes_through(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="other"),
        atomic_path(tmp_path / "a.txt"),
    ):
        (tmp_path / "other").read_bytes()


def test_bad_targets(tmp_path):
    with pytest.raises(InputError, match="folder .*none does not exist"):
        write_whole(tmp_path / "none" / "a.txt", "x")
    with pytest.raises(InputError, match="it is a folder"):
        write_whole(tmp_path, "x", overwrite=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a plain file"):
        write_whole(tmp_path / "pipe", "x", overwrite=True)


def test_body_that_writes_nothing(tmp_path):
    with (
        pytest.raises(InputError, match=r"a\.txt: cannot be written: No such file"),
        atomic_path(tmp_path / "a.txt"),
    ):
        pass


def test_sha256_of(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc" * 1_000_000)
    assert sha256_of(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    with pytest.raises(InputError, match=r"none\.bin: cannot be read: No such file"):
        sha256_of(tmp_path / "none.bin")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        sha256_of(tmp_path)


def _refuse_link(*args):
    raise OSError(errno.EPERM, "no hard links here")
