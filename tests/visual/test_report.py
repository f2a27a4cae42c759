from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from argusvl.core.errors import ImageError
from argusvl.visual import report as report_module
from argusvl.visual.pairing import LabelledBox
from argusvl.visual.report import FigureRow, GalleryItem, ReportData, render_report, write_report

HOSTILE = '<script>alert("1")</script>&\''
VOID = {"meta", "link", "br", "img", "image", "path", "rect", "circle", "use"}


def item(
    label: str = "挡风板/已安装", found: str | None = None, image: Image.Image | None = None
) -> GalleryItem:
    predicted = [] if found is None else [LabelledBox((10, 10, 60, 40), found, 0.75)]
    picture = image or Image.new("RGB", (80, 60), (90, 20, 20))
    return GalleryItem(picture, [LabelledBox((10, 10, 60, 40), label)], predicted, caption=f"{label}.jpg")


def full(label: str = "挡风板/已安装") -> ReportData:
    return ReportData(
        title=label,
        subtitle=label,
        figures=[FigureRow("AP50", 0.001, 0.912, label), FigureRow("AP", None, float("nan"))],
        facts={"train_seconds": 400.5, label: label, "objects": 12345},
        log_history=[
            {"step": s, "loss": 2.0 / (s + 1), "eval_AP50": 0.1 * s, f"other/{label}": s} for s in range(5)
        ],
        per_class={label: {"AP": 0.5, "count": 3}, "second": {"AP": None}},
        gallery=[item(label, label), item(label, "other"), item(label)],
        gallery_note=label,
        configuration=label,
        environment={label: label},
    )


class Tags(HTMLParser):
    """Checks that every element is closed in its turn, and keeps texts and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "action")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_is_well_formed_and_says_what_it_was_given() -> None:
    page = Tags(render_report(full()))
    assert page.open == []
    text = " ".join(page.texts)
    for expected in (
        "0.912",
        "挡风板/已安装",
        "before training",
        "train seconds",
        "12\u202f345",
        "quality on held-out",
    ):
        assert expected in text
    assert "nan" not in text.lower().replace("nanosecond", "")


def test_nothing_is_fetched_from_anywhere() -> None:
    html = render_report(full())
    assert "://" not in html
    assert "//" not in re.sub(r"data:[^\"')]+", "", re.sub(r"/\*.*?\*/", "", html))
    assert all(link.startswith(("data:", "#")) for link in Tags(html).links)
    assert all(target.startswith("data:") for target in re.findall(r"url\(\s*['\"]?([^)'\"]*)", html))
    assert "@import" not in html


def test_texts_of_users_are_never_markup() -> None:
    html = render_report(full(HOSTILE))
    assert "<script" not in html
    page = Tags(html)
    assert page.open == []
    assert "script" not in page.names
    assert HOSTILE in page.texts or any(HOSTILE in text for text in page.texts)


def test_pictures_are_inside_once_and_reduced() -> None:
    big = Image.new("RGB", (3000, 2000), (10, 200, 10))
    html = render_report(ReportData("run", gallery=[item(image=big)]))
    (data,) = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", html)
    with Image.open(io.BytesIO(base64.b64decode(data))) as inside:
        assert max(inside.size) <= 800
    assert 'viewBox="0 0 3000 2000"' in html  # boxes stay in the stored image's pixels


def test_the_pictures_are_ordered_by_agreement() -> None:
    gallery = [item("a", "a")] * 6 + [item("b", "other")] * 6 + [item("c")] * 12
    html = render_report(ReportData("run", gallery=gallery))
    headings = re.findall(r"<h3>(\w+) <", html)
    assert headings == ["Worst", "Best", "Others"]
    parts = re.split(r"<h3>", html)
    assert "a.jpg" not in parts[1]
    assert parts[2].count("a.jpg") == 6
    assert sum(part.count("<article>") for part in parts) == 24


def test_chinese_glyphs_travel_with_the_page_and_only_where_they_are_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fontTools.ttLib import TTFont

    html = render_report(ReportData("run 螺丝"))
    (data,) = re.findall(r"data:font/woff;base64,([A-Za-z0-9+/=]+)", html)
    covered = set(TTFont(io.BytesIO(base64.b64decode(data))).getBestCmap())
    assert covered == {ord("螺"), ord("丝")}
    assert "font/woff" not in render_report(ReportData("run"))

    def absent() -> Path:
        raise report_module.ArgusError("no font")

    monkeypatch.setattr(report_module, "default_font_path", absent)
    assert "螺丝" in render_report(ReportData("run 螺丝"))


def test_an_empty_report_is_a_page() -> None:
    page = Tags(render_report(ReportData("nothing yet")))
    assert page.open == []
    assert "section" not in page.names


def test_the_file_is_written_whole_and_a_missing_picture_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.html"
    assert write_report(ReportData("one"), target) == target
    before = target.read_text(encoding="utf-8")
    missing = GalleryItem(tmp_path / "gone.jpg", [], [])
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        write_report(ReportData("two", gallery=[missing]), target)
    assert target.read_text(encoding="utf-8") == before
