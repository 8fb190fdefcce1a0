"""The examples in the documentation write into a folder of their own."""

import pytest

collect_ignore = ["conf.py", "examples", "generated", "_build"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
