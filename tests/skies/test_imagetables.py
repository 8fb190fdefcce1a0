"""Images of all places in a table: order, failures, and going on after an interruption."""

import time

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from image_server import DEC, RA

from astro_objdet.skies.surveys import fetch_table

SCALE = 0.396


def positions(n, step=0.0):
    table = QTable({"centre_ra": np.full(n, RA) * u.deg, "centre_dec": np.full(n, DEC) * u.deg})
    table["centre_dec"] = table["centre_dec"] + np.arange(n) * step * u.arcsec
    # Positions of the clusters themselves are not where the images are.
    table["ra"], table["dec"] = np.zeros(n) * u.deg, np.zeros(n) * u.deg
    return table


def fill(table, tmp_path, use=None, **options):
    options = {"survey": "sdss9", "bands": ["g", "r"], "size": 24, "pixel_scale": SCALE} | options
    options = {"cache": tmp_path / "cache", "sleep": lambda seconds: None, "timeout": 5} | options
    return fetch_table(table, use, **options)


def test_a_table_of_places_comes_in_order(server, tmp_path):
    got = []
    failures = fill(positions(9, 0.7), tmp_path, lambda row, images: got.append((row, images)))
    assert [row for row, _ in got] == list(range(9))
    for row, images in got:
        assert list(images) == ["g", "r"]
        assert images["g"].wcs.wcs.crval[1] == pytest.approx(DEC + row * 0.7 / 3600)
    assert len(failures) == 0
    assert failures.colnames == [
        "row", "ra", "dec", "band", "service", "reason", "attempts", "url",
    ]  # fmt: skip
    assert failures["ra"].unit == u.deg
    assert 1 < server.most_at_once <= 4


def test_what_failed_is_in_a_table(server, tmp_path):
    server.fails("hips", "ok", "ok", (404, b"gone"), "blank", "ok", "ok")
    got = []
    table = positions(4, 0.7)
    failures = fill(table, tmp_path, lambda row, images: got.append(row), connections=1)
    # Row 1 lost its first band, row 2 as well.
    assert got == [0, 3]
    assert failures["row"].tolist() == [1, 2]
    assert failures["band"].tolist() == ["g", "g"]
    assert failures["reason"][0] == "HTTP 404 Not Found: gone"
    assert failures["reason"][1].endswith("outside the survey's footprint")
    assert failures["attempts"].tolist() == [1, 1]
    assert failures["url"][0].startswith(f"{server.url}/hips2fits?")
    np.testing.assert_allclose(failures["dec"].value, table["centre_dec"].value[1:3])


def test_a_half_built_set_goes_on(server, tmp_path):
    got = []

    def use(row, images):
        if row == 3:
            raise KeyboardInterrupt
        got.append(row)

    with pytest.raises(KeyboardInterrupt):
        fill(positions(12, 0.7), tmp_path, use, connections=2)
    asked = len(server.requests)
    assert asked < 24
    failures = fill(positions(12, 0.7), tmp_path, lambda row, _: got.append(row), skip=got[:])
    assert got == list(range(12))
    assert len(failures) == 0
    # Little is asked for twice: what was under way when it was interrupted.
    assert len(server.requests) <= 24 + 4


def test_only_filling_the_cache(server, tmp_path):
    fill(positions(3, 0.7), tmp_path)
    asked = len(server.requests)
    assert asked == 6
    fill(positions(3, 0.7), tmp_path)
    assert len(server.requests) == asked


def test_a_service_that_is_down_is_not_asked_for_every_place(server, tmp_path):
    server.fails("hips", (500, b""), ...)
    failures = fill(positions(30, 0.7), tmp_path, connections=1, retries=1, give_up=4)
    assert failures["row"].tolist() == list(range(30))
    assert (failures["reason"][:4] == "HTTP 500 Internal Server Error").all()
    assert (failures["reason"][4:] == "not asked for after 4 failures in a row").all()
    assert len(server.requests) <= 2 * 7


def test_places_off_the_footprint_are_no_failure_of_the_service(server, tmp_path):
    server.fails("hips", "blank", ...)
    failures = fill(positions(6, 0.7), tmp_path, connections=1, give_up=2)
    assert (
        failures["reason"].tolist()
        == ["there are no data here: outside the survey's footprint"] * 6
    )


def test_rows_without_a_position_are_failures(server, tmp_path):
    table = Table({"ra": [RA, np.nan], "dec": [DEC, 2.0]})
    got = []
    failures = fill(table, tmp_path, lambda row, images: got.append(row))
    assert got == [0]
    assert failures["row"].tolist() == [1]
    assert failures["reason"].tolist() == ["position is NaN or infinite"]


def test_one_retry_after_holds_all_connections(server, tmp_path):
    server.fails("hips", (429, b"", {"Retry-After": "1"}))
    start = time.monotonic()
    failures = fill(positions(6, 0.7), tmp_path, bands=["g"], sleep=time.sleep, connections=2)
    assert len(failures) == 0
    assert time.monotonic() - start > 0.9
