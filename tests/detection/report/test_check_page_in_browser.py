"""The page of a data check as a reader meets it: with keys and pointer, on desk and phone, light and dark."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from argus_doctor.findings import Finding
from argusvl.detection.data.preparing.check import CheckReport
from argusvl.detection.data.preparing.label_check import LabelCount
from argusvl.detection.data.preparing.picture_check import CheckedPicture
from argusvl.detection.report.check_page import write_check_page

HOSTILE = "</script><img src=x onerror=\"document.title='hacked'\">"
LONG = "一段很长的描述/" * 12 + "x" * 80
SCREENS = pytest.mark.parametrize(
    ("width", "height", "scheme"), [(1280, 900, "light"), (375, 812, "dark")], ids=["desk", "phone"]
)


def data(folder: Path) -> CheckReport:
    """Six pictures of 640×480; every second one has a box outside of it, and something about the whole of it."""
    report = CheckReport(f"{'x' * 90}/{HOSTILE}", notes=[LONG])
    for k in range(6):
        path, name = folder / f"{k}.jpg", f"{k}.jpg" if k else f"{HOSTILE}.jpg"
        Image.new("RGB", (640, 480), (90, 60 + 9 * k, 120)).save(path)
        where, split = f"/a/long/folder/{'x' * 60}/train.jsonl:{k}", ("train", "val", "test")[k % 3]
        boxes = np.array([[40, 40, 300, 200]], np.float32)
        report.pictures.append(CheckedPicture(path, name, where, split, ("螺丝/已拧紧",), boxes, (640, 480)))
        small = {"image": name, "box": (150.0, 90.0, 153.0, 92.0)}
        report.findings.append(
            Finding("N-2", "small", "warning", where, f"object 1 {HOSTILE}", small, "leave it out")
        )
        if k % 2:
            outside = {"image": name, "box": (-9.0, 20.0, 80.0, 70.0)}
            report.findings += [
                Finding("N-1", "outside", "error", where, f"object 0: {LONG}", outside, "correct it"),
                Finding("N-3", "dull", "warning", where, "the whole picture", {"image": name}, "look"),
            ]
    report.findings += [
        Finding("N-1", "outside", "error", f"a:{k}", LONG, {}, "correct it") for k in range(150)
    ]
    report.labels |= {LONG: LabelCount(90, 9, splits=Counter(train=90)), HOSTILE: LabelCount(2, 1)}
    report.labels |= {f"label {k}": LabelCount(1, 1) for k in range(150)}
    return report


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    return write_check_page(data(folder), folder / "check.html")


FOCUSED = "(document.activeElement.closest('.sample') || {ariaLabel: null}).ariaLabel"
CHOSEN = ".mark.chosen", "e.dataset.flaw"


def visible(page: Any) -> list[str]:
    """The pictures that are not filtered away."""
    shown = page.of_each(".sample", "[e.getClientRects().length, e.ariaLabel]")
    return [name for room, name in shown if room]


@SCREENS
def test_nothing_sticks_out(open_page: Any, file: Path, width: int, height: int, scheme: str) -> None:
    with open_page(file, width, height, color_scheme=scheme) as page:
        page.of_each("details", "e.open = true")
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        inside = "e.getBoundingClientRect().right <= innerWidth"
        assert all(page.of_each(".sample, .tile, .card, .found", inside))
        ground = page.run("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(v) for v in ground[4:-1].split(",")) < 200) == (scheme == "dark")
        assert page.requests == []
        assert page.complaints == []
        assert page.run("document.title").startswith("script><img")


def test_marks_lie_on_their_pictures(page: Any) -> None:
    # In the first picture, which has a box outside, the image begins 9 of its pixels to the right of the drawing's rim.
    rim, start, mark, scale = page.run(
        "(() => { const s = document.querySelectorAll('.sample svg')[0], i = s.querySelector('image');"
        " const m = s.querySelector('.mark.error path.box'), r = e => e.getBoundingClientRect();"
        " return [r(s).left, r(i).left, r(m).left, r(i).width / 640]; })()"
    )
    assert start - rim == pytest.approx(9 * scale, abs=1)
    assert mark == pytest.approx(rim, abs=2)


def test_keys_lead_from_picture_to_picture_and_from_flaw_to_flaw(page: Any) -> None:
    page.of_first(".sample", "e.focus()")
    page.press("ArrowRight")
    assert page.run(FOCUSED) == "3.jpg"
    page.press("ArrowDown")
    assert page.of_each(*CHOSEN) == ["0"]
    page.press("ArrowDown")
    assert page.of_each(*CHOSEN) == ["1"]
    page.press("ArrowDown")  # about the whole picture: nothing to point at
    assert page.of_each(*CHOSEN) == []
    page.press("ArrowUp")
    page.press("Escape")
    assert page.of_each(".chosen") == [] and page.run("document.activeElement.className") == "sample"
    for _ in range(2):
        page.press("ArrowLeft")
    assert page.run(FOCUSED) == "4.jpg"
    # All pictures together are one stop of the Tab key.
    assert len(page.of_each('#samples [tabindex="0"]')) == 1


def test_a_kind_can_be_seen_alone_also_from_its_findings(page: Any) -> None:
    page.click("[data-filter=outside]")
    assert visible(page) == ["1.jpg", "3.jpg", "5.jpg"]
    page.click("[data-filter='']")
    assert len(visible(page)) == 6
    page.of_first("[data-show=outside]", "e.closest('details').open = true")
    page.click("[data-show=outside]")
    assert visible(page) == ["1.jpg", "3.jpg", "5.jpg"]
    assert page.run(FOCUSED) == "1.jpg"


def test_other_objects_can_be_hidden(page: Any) -> None:
    others = ".mark.fine path"
    assert page.seen(others)
    page.of_first(".sample", "e.focus()")
    page.press("o")
    assert not page.seen(others)
    page.click("#show-others")
    assert page.seen(others)


def test_pointing_at_a_flaw_or_a_box_shows_the_other(page: Any) -> None:
    page.point(".sample:nth-child(2) .flaw:nth-child(2)")
    assert page.of_each(*CHOSEN) == ["1"]
    page.click(".sample:nth-child(2) .flaw:nth-child(1)")
    assert page.of_each(*CHOSEN) == ["0"]


def test_without_scripts_all_is_there(open_page: Any, file: Path) -> None:
    with open_page(file, java_script_enabled=False) as page:
        assert len(page.of_each(".sample svg image")) == 6
        assert page.of_first("#samples .tools", "getComputedStyle(e).display") == "none"
