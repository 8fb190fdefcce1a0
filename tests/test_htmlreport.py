"""The HTML report: what it says, and that it stands alone."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from evaluation_fixture import PAPER_COUNTS, empty_evaluation, make_evaluation

from astro_objdet.evaluationreport import report_of
from astro_objdet.htmlreport import html_report


class Page(HTMLParser):
    """Tags with their attributes, the text of cells, and whether tags are closed in order."""

    EMPTY = ("meta", "img", "link", "br")

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.open, self.words = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def text():
    return html_report(report_of(make_evaluation()))


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_tags_are_closed(page):
    assert page.open == []


def test_nothing_is_loaded_from_elsewhere(text, page):
    assert not re.search(r"https?://|//[a-z]|url\(|@import", text)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 7
    for source in sources:
        kind, _, encoded = source.partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert base64.b64decode(encoded).startswith(b"<?xml")


def test_figures_are_described_for_those_who_do_not_see_them(page):
    assert all(a["alt"] for tag, a in page.tags if tag == "img")
    assert dict(page.tags)["html"] == {"lang": "en"}
    assert ("meta", {"charset": "utf-8"}) in page.tags
    assert any(a.get("name") == "viewport" for tag, a in page.tags if tag == "meta")


def test_counts_are_those_of_the_paper(page):
    start = page.rows.index(next(row for row in page.rows if row[0] == "Threshold")) + 1
    rows = page.rows[start : start + 11]
    assert [tuple(map(int, row[1:4])) for row in rows] == list(PAPER_COUNTS)
    assert rows[8][0] == "0.8 (best)"
    assert rows[8][4:9] == ["0.6962", "0.635–0.751", "0.8088", "0.749–0.857", "0.7483"]
    assert rows[10][4:6] == ["0.0000", "0.000–1.000"]


def test_what_else_it_says(page):
    for words in (
        "1203 detections against 204 known objects, matched within 100 kpc",
        "Intervals hold 95 %",
        "105 deg²",
        "H0 = 71, Om0 = 0.27",
        "score > threshold",
        "Nothing: every row of both tables counted.",
        "one-sided",
        "position",
        "20 pieces",
    ):
        assert words in page.text


def test_another_threshold_is_told_apart_from_the_best():
    page = Page(html_report(report_of(make_evaluation(), 0.9)))
    assert "Looked at with the score threshold 0.9 ; the highest F1-score, 0.748, is at 0.8" in (
        page.text
    )
    assert "136 true, 29 false, 68 missed" in page.text


def test_ranges_boxes_and_rows_set_aside():
    evaluation = make_evaluation(area=None)
    evaluation.meta["ranges"] = {"redshift": [0.1, 0.2]}
    evaluation.meta["not_counted"]["truth"] = {"redshift masked": 3}
    object.__setattr__(evaluation, "coco", {"AP": 0.44, "AR100": 0.68})
    page = Page(html_report(report_of(evaluation)))
    for words in ("Strict purity", "redshift masked", "COCO metrics", "0.440", "0.1 to 0.2"):
        assert words in page.text
    assert "deg²" not in page.text


def test_names_cannot_break_the_page():
    evaluation = make_evaluation()
    evaluation.meta["not_counted"]["found"] = {"<script>alert('a')</script> & more": 1}
    text = html_report(report_of(evaluation), title="<b>Mine</b> & yours")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    page = Page(text)
    assert "<b>Mine</b> & yours" in page.text


def test_the_same_bytes_each_time(text):
    assert html_report(report_of(make_evaluation())) == text


@pytest.mark.parametrize(
    "evaluation", [empty_evaluation(), make_evaluation([(0, 0, 30)] * 11, area=None)]
)
def test_nothing_found(evaluation):
    page = Page(html_report(report_of(evaluation)))
    assert "No detection is true at any score threshold." in page.text
    assert "(best)" not in page.text
    assert "nan" not in page.text.lower().replace("finance", "")
    assert not any("NaN" in cell for row in page.rows for cell in row)


def test_unknown_numbers_are_dashes():
    evaluation = make_evaluation()
    for table in (evaluation.detections, evaluation.truth):
        table["separation_kpc"][:] = np.nan
    evaluation.centre.update(rms_kpc=np.nan, median_kpc=np.nan)
    page = Page(html_report(report_of(evaluation)))
    assert "nan" not in page.text.lower()
    assert f"{evaluation.centre['rms_arcsec']:.2f}″" in page.text
