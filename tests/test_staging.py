"""Several files written all or none."""

import errno
import os

import pytest

from astro_objdet.errors import InputError, ResourceError
from astro_objdet.staging import publish, staged


def test_published_together(tmp_path):
    folder = tmp_path / "a" / "b"
    with staged(folder) as stage:
        (stage / "2.txt").write_text("two")
        (stage / "1.txt").write_text("one")
        assert stage.parent == folder
        published = publish(stage, folder)
    assert published == [folder / "1.txt", folder / "2.txt"]
    assert sorted(folder.iterdir()) == published


def test_nothing_is_left_of_a_failure(tmp_path):
    with pytest.raises(KeyError, match="x"), staged(tmp_path / "a" / "b") as stage:
        (stage / "1.txt").write_text("one")
        raise KeyError("x")
    assert list(tmp_path.iterdir()) == []


def test_other_files_of_the_folder_stay(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(KeyError, match="x"), staged(tmp_path):
        raise KeyError("x")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.ENOSPC, ResourceError), (errno.EACCES, InputError)]
)
def test_errors_of_the_disk(monkeypatch, tmp_path, code, expected):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("astro_objdet.staging.tempfile.mkdtemp", fail)
    with (
        pytest.raises(expected, match="out: cannot be written"),
        staged(tmp_path / "out"),
    ):
        pass
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    monkeypatch.setattr("astro_objdet.staging.os.replace", fail)
    with (
        pytest.raises(expected, match=r"1\.txt: cannot be written"),
        staged(tmp_path / "out") as stage,
    ):
        (stage / "1.txt").write_text("one")
        publish(stage, tmp_path / "out")
    assert not (tmp_path / "out").exists()
