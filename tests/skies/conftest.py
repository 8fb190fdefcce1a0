"""Fixtures of the tests that fetch images: the local server, and how to fetch from it."""

import pytest
from image_server import DEC, RA, serving


@pytest.fixture
def server(monkeypatch):
    """A server in place of SkyView, of SDSS's and of hips2fits."""
    pytest.importorskip("astroquery", reason="astroquery is not installed")
    with serving(monkeypatch) as server:
        yield server


@pytest.fixture
def get(tmp_path):
    """Fetch a small image of one band, with pauses that are remembered and not made."""
    from astro_objdet.skies.surveys import fetch_images

    def fetch(survey="sdss9", **options):
        options = {"bands": ["r"], "size": 48, "pixel_scale": 0.396, "timeout": 5} | options
        options = {"cache": tmp_path / "cache", "sleep": fetch.pauses.append} | options
        return fetch_images(RA, DEC, survey=survey, **options)

    fetch.pauses = []
    return fetch
