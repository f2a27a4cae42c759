from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from argusvl.core.errors import ArgusError
from argusvl.detection.measure.figures import PrecisionCurve
from argusvl.detection.measure.pairing import LabelledBox
from argusvl.detection.measure.reliability import Bin, Reliability
from argusvl.detection.report.evaluation_files import NO_GALLERY, Misdescribed
from argusvl.detection.report.pictures import MAX_PICTURES, GalleryItem
from argusvl.detection.report.sections import MAX_MISDESCRIBED, BoxData, box_sections
from argusvl.visual import fonts
from argusvl.visual.report import FigureRow, ReportData, render_report

HOSTILE = "</script></style><img src=x onerror=alert(1)><!-- <script>alert('1')</script>&\""
VOID = {"meta", "link", "br", "img", "input", "path", "rect", "circle"}


def item(
    label: str = "挡风板/已安装", found: str | None = None, image: Image.Image | None = None
) -> GalleryItem:
    predicted = [] if found is None else [LabelledBox((10, 10, 60, 40), found, 0.75)]
    picture = image or Image.new("RGB", (80, 60), (90, 20, 20))
    return GalleryItem(picture, [LabelledBox((10, 10, 60, 40), label)], predicted, caption=f"{label}.jpg")


def full(label: str = "挡风板/已安装") -> ReportData:
    bins = [Bin(0.5, 0.6, 7), Bin(0.9, 0.8, 3)]
    boxes = BoxData(
        per_class={label: {"AP": 0.5, "count": 3}, "second": {"AP": None}},
        gallery=replace(
            NO_GALLERY,
            kinds={label: {"right": 2, "missed": 1, "false": 4}},
            confusion={label: {label: 1, "second": 1}},
            misdescribed=[Misdescribed(label, label, 2)],
            images_total=30,
            score_threshold=0.3,
        ),
        items=[item(label, label), item(label, "other"), item(label)],
        precision_recall={label: PrecisionCurve([1.0, 0.5, 0.0], [0.9, 0.4, 0.0], [0.4, 0.6, 0.0])},
        calibration={"score": Reliability(bins, 0.11, bins, 0.2)},
        calibration_note=label,
    )
    return ReportData(
        title=label,
        subtitle=label,
        figures=[FigureRow("AP50", 0.001, 0.912, label), FigureRow("AP", None, float("nan"))],
        facts={"train_seconds": 400.5, label: label, "objects": 12345},
        log_history=[
            {"step": s, "loss": 2.0 / (s + 1), "eval_AP50": 0.1 * s, f"other/{label}": s} for s in range(5)
        ],
        measured_on=label,
        sections=box_sections(boxes),
        configuration=label,
        environment={label: label},
    )


@functools.cache
def rendered(label: str = "挡风板/已安装") -> str:
    return render_report(full(label))


def with_gallery(items: list[GalleryItem], total: int = 0) -> ReportData:
    boxes = BoxData(gallery=replace(NO_GALLERY, images_total=total), items=items)
    return ReportData("run", sections=box_sections(boxes))


class Tags(HTMLParser):
    """Checks that every element is closed in its turn; keeps texts, links, scripts and the security policy."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.scripts: list[tuple[str, str]] = []
        self.policy = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "action")
        ]
        found = dict(attrs)
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""
        if tag == "script":
            self.scripts.append((found.get("type") or "", ""))
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
        if self.open[-1:] == ["script"]:
            kind, source = self.scripts[-1]
            self.scripts[-1] = (kind, source + data)


def test_the_page_is_well_formed_and_says_what_it_was_given() -> None:
    page = Tags(rendered())
    assert page.open == []
    text = " ".join(page.texts)
    for expected in (
        *(
            "0.912",
            "挡风板/已安装",
            "before training",
            "6 min 40 s",
            "12\u202f345",
            "on held-out",
            "1 missed",
        ),
        *("3 of 30 pictures (the", "precision over recall", "F1 over the score threshold"),
        *("0.600 at 0.50", "accuracy over score", "error 0.110"),
    ):
        assert expected in text
    assert "nan" not in text.lower().replace("nanosecond", "")


def test_nothing_is_fetched_from_anywhere() -> None:
    html = rendered()
    assert "://" not in html.replace('"http://www.w3.org/2000/svg"', "")  # a name, not an address
    assert all(link.startswith(("data:", "#")) for link in Tags(html).links)
    assert all(target.startswith("data:") for target in re.findall(r"url\(\s*['\"]?([^)'\"]*)", html))
    assert "@import" not in html
    assert "default-src &#39;none&#39;" in html


def test_only_the_report_s_own_scripts_may_run() -> None:
    page = Tags(rendered(HOSTILE))
    assert [kind for kind, _ in page.scripts].count("") == 4
    for kind, source in page.scripts:
        if kind == "application/json":
            json.loads(source)
        else:
            digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
            assert f"sha256-{digest}" in page.policy.split("script-src")[1].split(";")[0]
    assert "unsafe" not in page.policy.replace("style-src 'unsafe-inline'", "")


def test_texts_of_users_are_never_markup() -> None:
    own, hostile = Tags(rendered()), Tags(rendered(HOSTILE))
    assert hostile.open == []
    assert hostile.names == own.names
    assert any(HOSTILE in text for text in hostile.texts)


def test_of_the_pictures_the_number_is_said() -> None:
    def said(count: int, total: int) -> str:
        gallery = [item(str(k)) for k in range(count)]
        html = render_report(with_gallery(gallery, total))
        return " ".join(Tags(html).texts)

    assert "All 3 pictures" in said(3, 3)
    assert "3 of 10 pictures" in said(3, 10)
    assert f"{MAX_PICTURES} of 100 pictures: those with the most errors" in said(MAX_PICTURES + 1, 100)


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.25, "7.2 s"), (61, "1 min 1 s"), (3599.6, "1 h 0 min"), (7325, "2 h 2 min")]
)
def test_times_are_times_that_one_can_imagine(seconds: float, text: str) -> None:
    html = render_report(ReportData("run", facts={"train_seconds": seconds}))
    assert f">{text}<" in html


def test_chinese_glyphs_travel_with_the_page_where_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    from fontTools.ttLib import TTFont

    html = render_report(ReportData("run 螺丝"))
    (data,) = re.findall(r"data:font/woff;base64,([A-Za-z0-9+/=]+)", html)
    covered = set(TTFont(io.BytesIO(base64.b64decode(data))).getBestCmap())
    assert covered == {ord("螺"), ord("丝")}
    assert "font/woff" not in render_report(ReportData("run"))

    def absent() -> Path:
        raise ArgusError("no font")

    monkeypatch.setattr(fonts, "default_font_path", absent)
    assert "螺丝" in render_report(ReportData("run 螺丝"))


def test_an_empty_report_is_a_page() -> None:
    page = Tags(render_report(ReportData("nothing yet")))
    assert page.open == []
    assert "section" not in page.names


def test_pictures_that_are_gone_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = [GalleryItem(tmp_path / f"gone {k}.jpg", [], []) for k in range(5)]
    some = " ".join(Tags(render_report(with_gallery([item(), *gone], 6))).texts)
    assert "5 pictures are left out" in some and "gone 0.jpg" in some
    assert "1 of 6 pictures" in some
    assert [record.message for record in caplog.records][-1] == "so are 2 others"
    nothing = Tags(render_report(with_gallery(gone)))
    assert "5 pictures are left out" in " ".join(nothing.texts)
    assert "img" not in nothing.names


def test_columns_are_there_for_what_was_measured() -> None:
    def heads(*rows: FigureRow, beside: str = "") -> str:
        return render_report(ReportData("r", figures=rows, beside=beside))

    plain = heads(FigureRow("AP50", None, 0.5))
    assert "Figures" in plain and ">before<" not in plain
    assert "Before and after training" in heads(FigureRow("AP50", 0.125, 0.5))
    assert "with 2 teachers" in heads(FigureRow("AP50", None, 0.5, beside=0.625), beside="with 2 teachers")


def test_confusions_are_told_as_a_matrix_and_in_words() -> None:
    gallery = replace(
        NO_GALLERY,
        kinds={"螺丝": {"right": 3, "misdescribed": 2, "missed": 4}, "标签": {"right": 1, "false": 3}},
        confusion={"螺丝": {"螺丝": 4, "标签": 1}, "标签": {"标签": 1}},
        misdescribed=[Misdescribed(f"螺丝/{k}", "标签", 9) for k in range(MAX_MISDESCRIBED + 5)],
    )
    data = ReportData("run", sections=box_sections(BoxData(gallery=gallery)))
    text = " ".join(" ".join(Tags(render_report(data)).texts).split())
    assert "螺丝 4 1 4 标签 1 nothing 3" in text
    assert f"螺丝/{MAX_MISDESCRIBED - 1}" in text and f"螺丝/{MAX_MISDESCRIBED}" not in text
