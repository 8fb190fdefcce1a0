"""Fetching images with astroquery's own clients, from a server that answers as the services do."""

import dataclasses
import json
import threading
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from image_server import BANDS, DEC, FAULT_PAGE, IMAGE, RA, STARS, kept, star_positions

from astro_objdet.errors import InputError, NetworkError, UncalibratedWarning
from astro_objdet.images import read_bands
from astro_objdet.skies.samples import cutout_wcs
from astro_objdet.skies.services.cache import ReplyCache
from astro_objdet.skies.services.entries import find_image_survey, list_image_surveys
from astro_objdet.skies.surveys import fetch_images, fetch_table

SIZE, SCALE = 48, 0.396


@pytest.mark.parametrize("survey", IMAGE)
@pytest.mark.parametrize(("size", "scale"), [(SIZE, SCALE), (SIZE // 2, 2 * SCALE)])
def test_the_sky_comes_at_its_place_in_each_band(server, get, survey, size, scale):
    images = get(survey, bands=("g", "r", "i"), size=size, pixel_scale=scale)
    assert list(images) == ["g", "r", "i"]
    for band, image in images.items():
        assert image.shape == (size, size)
        assert image.data.dtype == np.float32
        assert image.unit == (u.adu if survey == "skyview" else u.nmgy)
        # Per pixel of the image; uncalibrated values stay those of the survey's pixels.
        area = (scale / 0.396) ** 2 if image.unit == u.adu else 1
        total = np.nansum(image.data) * area
        assert total == pytest.approx(BANDS[band] * sum(f for *_, f in STARS), rel=0.02)
        expected = cutout_wcs(RA, DEC, size, scale)
        x, y = image.wcs.world_to_pixel(star_positions())
        np.testing.assert_allclose(x, expected.world_to_pixel(star_positions())[0], atol=0.01)
        # The star in the middle.
        around = image.data[size // 2 - 4 : size // 2 + 4, size // 2 - 4 : size // 2 + 4]
        yy, xx = np.mgrid[:8, :8]
        core = around > around.max() / 3
        for grid, place in ((xx, x[0]), (yy, y[0])):
            middle = np.average(grid[core], weights=around[core]) + size // 2 - 4
            assert middle == pytest.approx(place, abs=0.2)
        assert image.meta["SURVEY"] == survey
        assert image.meta["COVERED"] > 0.7
        assert image.meta["FILTER"] == band


def test_the_images_are_a_stack_for_a_detector(server, get):
    stack = read_bands(get("sdss9", bands=("g", "r", "i")))
    assert stack.bands == ("g", "r", "i")
    assert stack.pixel_scale.to_value(u.arcsec) == pytest.approx(SCALE, rel=1e-4)


def test_skyview_is_asked_as_in_the_paper(server, get):
    get("skyview", bands=["g"])
    (query,) = server.asked("query")
    assert query["survey"] == "SDSSg"
    assert query["pixels"] == str(SIZE)
    assert query["projection"] == "Tan"
    assert query["Position"] == "150.1234567 +2.2345678"
    width, height = map(float, query["size"].split(","))
    assert width == height == pytest.approx(SIZE * SCALE / 3600)


def test_large_pixels_of_skyview_are_averaged_here(server, get):
    get("skyview", size=24, pixel_scale=0.792)
    assert server.asked("query")[0]["pixels"] == "48"


def test_sdss_is_asked_for_all_frames_around(server, get):
    get("sdss")
    (query,) = server.asked("sql")
    assert "SELECT DISTINCT run, rerun, camcol, field FROM PhotoPrimary" in query["cmd"]
    assert "dec BETWEEN 2.21" in query["cmd"]
    assert query["format"] == "csv"
    paths = [asked["path"] for asked in server.asked("frame")]
    assert len(paths) == 3
    assert paths[0].endswith("/photoObj/frames/301/1000/2/frame-r-001000-2-0000.fits.bz2")
    assert "/sas/dr17/eboss/" in paths[0]


@pytest.mark.parametrize(
    ("ra", "dec", "expected"),
    [
        (0.0, 10.0, "(ra > 359.9"),
        (359.999, 10.0, "OR ra < 0.0"),
        (180.0, 10.0, "AND ra < 180.0"),
        (180.0, 89.999, "dec BETWEEN 89.97"),
    ],
)
def test_the_box_of_sky_wraps(server, tmp_path, ra, dec, expected):
    server.fails("sql", "blank", ...)
    with pytest.raises(NetworkError, match="no frames here: outside the survey's footprint"):
        fetch_images(ra, dec, survey="sdss", size=SIZE, cache=False)
    (query,) = server.asked("sql")
    assert expected in query["cmd"]
    assert ("ra >" in query["cmd"]) == (dec < 89)


def test_what_was_fetched_is_kept(server, get, tmp_path):
    for survey in IMAGE:
        first = get(survey)["r"]
        asked = len(server.requests)
        again = get(survey)["r"]
        assert len(server.requests) == asked
        np.testing.assert_array_equal(first.data, again.data)
        # Another place is another image.
        get(survey, size=SIZE - 8)
        assert len(server.requests) > asked
    for path in kept(tmp_path):
        if path.suffix == ".json":
            note = json.loads(path.read_text())
            assert ReplyCache.key(note["request"]) == path.stem


def test_frames_are_kept_one_by_one(server, get):
    get("sdss")
    get("sdss", size=SIZE - 8)
    assert len(server.asked("sql")) == 2
    assert len(server.asked("frame")) == 3


def test_without_cache_nothing_is_kept(server, get, tmp_path):
    get(cache=False)
    get(cache=False)
    assert len(server.requests) == 2
    assert not (tmp_path / "cache").exists()


def test_the_cache_lies_in_astropys_own(server, get, tmp_path):
    from astropy.config import set_temp_cache

    with set_temp_cache(tmp_path):
        get(cache=True)
    assert any("astro_objdet/images" in path.as_posix() for path in tmp_path.rglob("*.reply"))


DAMAGE = {
    "cut short": lambda data: data[:-100],
    "empty": lambda data: b"",
    "a byte changed": lambda data: data[: len(data) // 2] + b"#" + data[len(data) // 2 + 1 :],
    "an error page": lambda data: FAULT_PAGE,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("suffix", [".reply", ".json"])
def test_a_damaged_copy_is_noticed(server, get, tmp_path, damage, suffix):
    first = get()["r"]
    (path,) = [path for path in kept(tmp_path) if path.suffix == suffix]
    path.write_bytes(damage(path.read_bytes()))
    again = get()["r"]
    np.testing.assert_array_equal(first.data, again.data)
    assert len(server.requests) == 2
    get()
    assert len(server.requests) == 2


def test_a_copy_of_another_request_is_not_taken(server, get, tmp_path):
    get()
    get(bands=["g"])
    notes = [path for path in kept(tmp_path) if path.suffix == ".json"]
    notes[0].write_bytes(notes[1].read_bytes())
    image = get(bands=["g"])["g"]
    other = get()["r"]
    assert np.nansum(other.data) == pytest.approx(2 * np.nansum(image.data), rel=1e-3)


def test_two_at_once_leave_whole_copies(server, tmp_path):
    """Many writers of one request, of contents that differ."""
    cache = ReplyCache(tmp_path)
    contents = [bytes([k]) * (10_000 + k) for k in range(8)]
    request = {"service": "x", "place": "1 2"}
    seen, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            seen.append(cache.get(request))

    reader = threading.Thread(target=read)
    reader.start()
    writers = [threading.Thread(target=cache.put, args=(request, what)) for what in contents]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert set(seen) <= {None, *contents}
    assert cache.get(request) in contents


def test_a_folder_that_cannot_be_written_costs_the_copy_only(server, get, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.warns(UserWarning, match="images are not kept: .*file"):
        images = get("sdss", cache=blocked)
    assert np.isfinite(images["r"].data).any()


def test_a_survey_of_ones_own(server, get):
    survey = dataclasses.replace(
        find_image_survey("des"), name="mine", ids={"r": "CDS/P/DES-DR2/r"}, unit="nmgy"
    )
    image = get(survey)["r"]
    assert server.asked("hips")[0]["hips"] == "CDS/P/DES-DR2/r"
    assert image.unit == u.nmgy
    # Pixels of 0.263 arcsec in the survey, of 0.396 here.
    total = BANDS["r"] * sum(flux for *_, flux in STARS)
    assert np.nansum(image.data) == pytest.approx(total, rel=0.02)
    assert get("des")["r"].unit == u.adu


def test_values_that_are_no_flux_warn(server, get):
    with pytest.warns(UncalibratedWarning, match="'panstarrs': values in r are not proportional"):
        get("panstarrs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get("panstarrs", bands=["g"])


def test_the_list_of_surveys():
    entries = {entry.name: entry for entry in list_image_surveys()}
    assert set(entries) == {"sdss", "skyview", "sdss9", "legacy", "des", "panstarrs", "hsc"}
    for entry in entries.values():
        assert set("gri") <= set(entry.bands)
        assert len(entry.reference) == 19
        assert entry.source
        assert entry.acknowledgement
        assert entry.note
        assert 0.1 < entry.native_scale < 0.4
    with pytest.raises(InputError, match=r"survey must be one of sdss, .*did you mean 'legacy'"):
        find_image_survey("legasy")
    with pytest.raises(InputError, match="unit of a survey must be 'nmgy' or 'adu', got 'Jy'"):
        dataclasses.replace(entries["des"], unit="Jy")


def test_bad_arguments(get):
    with pytest.raises(InputError, match=r"bands must be of u, g, r, i, z for survey 'sdss9'|of g"):
        get(bands=["g", "q"])
    with pytest.raises(InputError, match="size must be a whole number from 1 up, got 0"):
        get(size=0)
    with pytest.raises(InputError, match="timeout must be a finite number above 0, got 0"):
        get(timeout=0)
    with pytest.raises(InputError, match="retries must be a whole number from 0 up, got -1"):
        get(retries=-1)
    with pytest.raises(InputError, match="covered must be a number from 0 to 1, got 2"):
        get(covered=2)
    with pytest.raises(InputError, match="ra and dec must be finite degrees"):
        fetch_images(np.nan, 2)
    with pytest.raises(InputError, match="connections must be a whole number from 1 up, got 0"):
        fetch_table(QTable({"ra": [1.0], "dec": [2.0]}), connections=0)
    odd = dataclasses.replace(find_image_survey("des"), service="ftp")
    with pytest.raises(InputError, match="service of a survey must be one of skyview, frames"):
        get(odd)


@pytest.mark.parametrize(
    ("survey", "module"),
    [("skyview", "skyview"), ("sdss", "sdss"), ("sdss9", "hips2fits")],
)
def test_without_astroquery_the_error_says_what_to_install(get, monkeypatch, survey, module):
    from astro_objdet.skies.services import skyview

    skyview._client_class.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, f"astroquery.{module}", None)
    with pytest.raises(InputError, match="pip install astroquery"):
        get(survey)
