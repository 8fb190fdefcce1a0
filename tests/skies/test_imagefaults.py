"""Image services that fail in every way: what is refused, what is asked for again, and when."""

import time

import numpy as np
import pytest
from image_server import FAULT_PAGE, IMAGE, kept

from astro_objdet.errors import NetworkError
from astro_objdet.skies.services.replies import ImageReplyError
from astro_objdet.skies.services.transport import Line

CSV = b"#Table1\nrun,rerun,camcol,field\n"
BAD = {
    "server error": ((500, b"oops"), "HTTP 500 Internal Server Error: oops", 4),
    "busy": ((429, b""), "HTTP 429 Too Many Requests", 4),
    "late": ((408, b""), "HTTP 408", 4),
    "not found": ((404, FAULT_PAGE), "HTTP 404 Not Found: Down We are being repaired", 1),
    "forbidden": ((403, b""), "HTTP 403", 1),
    "error page": ("html", "Down We are being repaired", 4),
    "empty": ("empty", "an empty reply|cut off", 4),
    "cut off in transit": ("truncated", "connection failed: IncompleteRead", 4),
    "cut off": ("short", r"cut off", 4),
    "damaged": ("damaged", "a damaged FITS file|a FITS file without an image", 4),
    "no WCS": ("nowcs", "an image came without a usable WCS", 4),
    "no data": ("blank", "there are no data here: outside the survey's footprint", 1),
    "zeros": ("zeros", "there are no data here: outside the survey's footprint", 1),
}
ONLY_WHOLE = {
    "another size": ("size", "an image of 48×49 pixels came, not 48×48", 4),
    "another place": ("place", "an image of another place came, 36.0 arcsec off", 4),
    "mostly empty": ("half", r"only 3\d% of the image has data, the rest is outside", 1),
}


@pytest.mark.parametrize("survey", IMAGE)
@pytest.mark.parametrize(("fault", "message", "times"), BAD.values(), ids=BAD)
def test_a_bad_reply_is_refused_and_not_kept(server, get, tmp_path, survey, fault, message, times):
    server.fails(IMAGE[survey], fault, ...)
    with pytest.raises(NetworkError, match=message) as caught:
        get(survey)
    text = str(caught.value)
    assert f"survey '{survey}'" in text
    assert "band r" in text
    assert "RA 150.12346, Dec +2.23457" in text
    assert f"after {times} attempts" in text or times == 1
    assert server.url in text
    assert caught.value.exit_code == 5
    assert len(server.asked(IMAGE[survey])) == times
    replies = [path for path in kept(tmp_path) if path.suffix == ".reply"]
    # Of SDSS, the list of frames came.
    assert len(replies) == (survey == "sdss")
    # And then it works.
    server.fails(IMAGE[survey])
    assert np.isfinite(get(survey)["r"].data).any()


@pytest.mark.parametrize("survey", ["skyview", "sdss9"])
@pytest.mark.parametrize(("fault", "message", "times"), ONLY_WHOLE.values(), ids=ONLY_WHOLE)
def test_another_image_is_refused(server, get, survey, fault, message, times):
    server.fails(IMAGE[survey], fault, ...)
    with pytest.raises(NetworkError, match=message):
        get(survey)
    assert len(server.asked(IMAGE[survey])) == times


def test_a_part_may_be_enough(server, get):
    server.fails("hips", "half")
    image = get(covered=0.2)["r"]
    assert image.meta["COVERED"] == pytest.approx(0.3, abs=0.02)
    assert image.mask.mean() == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize(
    ("survey", "kind", "fault", "message"),
    [
        ("skyview", "form", "html", "a page that was not understood, 'Down We are being repaired'"),
        ("skyview", "query", "html", "a page without a link to the image: 'Down We are being"),
        ("skyview", "query", "empty", "a page without a link to the image: ''"),
        ("sdss", "sql", "html", "no list of frames but 'Down We are being repaired'"),
        ("sdss", "sql", "empty", "no list of frames"),
        ("sdss", "sql", "short", "no list of frames but '#Table1"),
        ("sdss", "sql", (200, CSV + b"1000,301,,2\n"), "a damaged list of frames"),
        ("sdss", "sql", (200, CSV + b"1000,301,1,2,3\n"), "a damaged list of frames"),
        ("sdss", "sql", (200, b'{"error_message": "no such column"}'), "no list of frames but"),
        (
            "sdss9",
            "hips",
            (400, b'{"title": "Bad", "description": "no such HiPS"}'),
            "Bad: no such",
        ),
    ],
)
def test_pages_that_are_not_what_was_asked_for(server, get, survey, kind, fault, message):
    server.fails(kind, fault, ...)
    with pytest.raises(NetworkError, match=message):
        get(survey)
    # Once it passes, it works.
    server.fails(kind, fault) if not isinstance(fault, tuple) else server.fails(kind)
    assert np.isfinite(get(survey)["r"].data).any()


@pytest.mark.parametrize("survey", IMAGE)
@pytest.mark.parametrize("fault", ["hang", "stall", "truncated", "html", (503, b"")])
def test_what_passes_is_asked_for_again(server, get, survey, fault):
    server.fails(IMAGE[survey], fault, fault)
    image = get(survey, timeout=0.3)["r"]
    assert np.isfinite(image.data).any()
    assert len(get.pauses) == 2


@pytest.mark.parametrize(
    ("survey", "kind"),
    [("skyview", "form"), ("skyview", "query"), ("skyview", "fits"), ("sdss", "sql"),
     ("sdss", "frame"), ("sdss9", "hips")],
)  # fmt: skip
def test_a_service_that_hangs_is_given_up(server, get, survey, kind):
    server.fails(kind, "hang", ...)
    start = time.monotonic()
    with pytest.raises(NetworkError, match=r"after 2 attempts: no answer within 0.2 s"):
        get(survey, timeout=0.2, retries=1)
    assert time.monotonic() - start < 3


def test_a_service_that_sends_a_byte_now_and_then_is_given_up(server, get):
    server.fails("hips", "dribble", ...)
    with pytest.raises(NetworkError, match=r"only \d+ bytes came within 0.5 s"):
        get(timeout=0.05, retries=0)


def test_a_service_that_is_not_there(server, get, monkeypatch):
    from astroquery.hips2fits import hips2fitsClass

    monkeypatch.setattr(hips2fitsClass, "server", "http://127.0.0.1:9/hips2fits")
    with pytest.raises(NetworkError, match="connection failed: .*refused"):
        get(retries=0)


def test_pauses_grow_and_are_uneven(server, get):
    server.fails("hips", (500, b""), ...)
    with pytest.raises(NetworkError, match="after 6 attempts"):
        get(retries=5)
    bounds = [(2**k * 0.5, 2**k * 1.5) for k in range(5)]
    assert all(low <= pause <= high for pause, (low, high) in zip(get.pauses, bounds, strict=True))
    assert len({pause / 2**k for k, pause in enumerate(get.pauses)}) == 5


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", 7), ("Wed, 21 Oct 2015 07:28:00 GMT", None), ("soon", None)],
)
def test_retry_after_is_honoured(server, get, header, expected):
    server.fails("hips", (429, b"", {"Retry-After": header}))
    get()
    waits = [pause for pause in get.pauses if pause > 2]
    assert bool(waits) == (expected is not None)
    if expected:
        assert max(waits) == pytest.approx(expected, abs=0.5)


def test_nobody_waits_for_ever(server, get):
    server.fails("hips", (503, b"", {"Retry-After": "86400"}), ...)
    with pytest.raises(NetworkError, match="asks to come back in 86400 s"):
        get()
    assert get.pauses == []
    assert len(server.requests) == 1


def test_a_stopped_line_asks_nothing(server):
    line = Line(5, 3)
    line.stop()

    with pytest.raises(ImageReplyError, match="stopped"):
        line.request("GET", f"{server.url}/hips2fits")
    assert server.requests == []
