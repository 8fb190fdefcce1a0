"""Fixtures for the commands."""

import pytest
from click.testing import CliRunner
from fakes import BlobDetector

from astro_objdet import runs
from astro_objdet.cli.main import main


@pytest.fixture
def command():
    """Run ``astro-objdet`` with arguments; the result has exit code and streams."""

    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def detector(monkeypatch):
    """The stub in place of the trained detector."""
    stub = BlobDetector()
    monkeypatch.setattr(runs, "load_detector", lambda model, device: stub)
    return stub
