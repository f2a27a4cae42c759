"""The page of a check: what is on it, whatever the data are like."""

from __future__ import annotations

import base64
import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import ExifTags, Image

from argusvl.detection.data.preparing.check import CheckOptions, CheckReport, check_records, check_source
from argusvl.detection.report.check_page import MAX_PICTURES, write_check_page

SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")


def picture(folder: Path, name: str, seed: int, size: tuple[int, int] = (64, 48), **more: Any) -> None:
    """Coarse noise, which no other seed resembles."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(folder / name, **more)


def record(*objects: tuple[list[Any], str], image: str) -> str:
    entries = [{"bbox_2d": box, "desc": label} for box, label in objects]
    return json.dumps({"images": [image], "objects": entries}, ensure_ascii=False)


def page_of(report: CheckReport, folder: Path) -> str:
    return write_check_page(report, folder / "check.html").read_text("utf-8")


def checked(folder: Path, **splits: list[str]) -> CheckReport:
    for split, lines in splits.items():
        (folder / f"{split}.jsonl").write_text("\n".join(lines), "utf-8")
    return check_records(folder, CheckOptions())


def drawings(page: str) -> dict[str, ElementTree.Element]:
    """The pictures by their names."""
    found = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    trees = [ElementTree.fromstring(one.replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1)) for one in found]
    return {tree.attrib["aria-label"]: tree for tree in trees}


def marks(drawing: ElementTree.Element, severity: str) -> list[list[float]]:
    """Left, top, right, bottom of what is drawn."""
    shapes = [g.find(f"{SVG}path") for g in drawing.iter(f"{SVG}g") if severity in g.attrib["class"].split()]
    numbers = [NUMBERS.findall(shape.attrib["d"]) for shape in shapes if shape is not None]
    return [[float(v) for v in found[:4]] for found in numbers]


def jpeg_in(drawing: ElementTree.Element) -> Image.Image:
    image = drawing.find(f"{SVG}image")
    assert image is not None
    kind, _, data = image.attrib["href"].partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_bad_boxes_are_drawn_where_they_are_and_good_ones_beside_them(tmp_path: Path) -> None:
    picture(tmp_path, "a.jpg", 1)
    good, outside, inverted, flat = [4, 4, 30, 30], [50, 10, 70, 40], [40, 30, 20, 10], [8, 8, 8, 20]
    report = checked(
        tmp_path, train=[record(*((b, "x") for b in (good, outside, inverted, flat)), image="a.jpg")]
    )
    page = page_of(report, tmp_path)
    drawing = drawings(page)["a.jpg"]
    assert marks(drawing, "fine") == [good]
    assert sorted(marks(drawing, "error")) == [[8, 8, 8, 20], [20, 10, 40, 30], outside]
    left, top, width, height = (float(v) for v in drawing.attrib["viewBox"].split())
    assert (left, top, left + width, top + height) == (0, 0, 70, 48)
    assert jpeg_in(drawing).size == (64, 48)
    # What has no area is pointed at.
    rings = [g for g in drawing.iter(f"{SVG}g") if g.find(f"{SVG}circle") is not None]
    assert [g.attrib["data-flaw"] for g in rings] == [
        str(k) for k, text in enumerate(re.findall(r"<b>(box-\S+)</b>", page)) if text == "box-zero-area"
    ]


def test_a_box_far_away_is_pointed_at_from_the_rim(tmp_path: Path) -> None:
    picture(tmp_path, "a.jpg", 1)
    report = checked(tmp_path, train=[record(([9e9, -9e9, 9.1e9, -8e9], "x"), image="a.jpg")])
    drawing = drawings(page_of(report, tmp_path))["a.jpg"]
    left, top, width, height = (float(v) for v in drawing.attrib["viewBox"].split())
    assert (width, height) == pytest.approx((64 * 1.2, 48 + 64 * 0.2))
    ring = next(drawing.iter(f"{SVG}circle")).attrib
    x, y, radius = float(ring["cx"]), float(ring["cy"]), float(ring["r"])
    assert left + radius - 0.1 <= x <= left + width - radius + 0.1
    assert top + radius - 0.1 <= y <= top + height - radius + 0.1


def test_what_is_no_box_or_no_picture_is_named_and_not_drawn(tmp_path: Path) -> None:
    picture(tmp_path, "a.jpg", 1)
    picture(tmp_path, "cut.jpg", 2)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-30])
    lines = [
        record((["?", float("nan"), 3, 4], "x"), ([1, 2, 3], "x"), image="a.jpg"),
        record(image="gone.jpg"),
        record(([1, 1, 20, 20], "x"), image="cut.jpg"),
        "{",
    ]
    page = page_of(checked(tmp_path, train=lines), tmp_path)
    assert list(drawings(page)) == ["a.jpg"]
    assert marks(drawings(page)["a.jpg"], "error") == []
    for kind in ("box-not-a-number", "missing-image", "unreadable-image", "malformed-json"):
        assert f'<span class="name">{kind}</span>' in page
    assert "1 of 3 pictures with something wrong (the others cannot be opened)" in page


def test_copies_stand_side_by_side_with_the_objects_of_both(tmp_path: Path) -> None:
    picture(tmp_path, "a.png", 1)
    Image.open(tmp_path / "a.png").resize((128, 96), Image.Resampling.BICUBIC).save(tmp_path / "b.png")
    report = checked(
        tmp_path,
        train=[record(([0, 0, 32, 24], "x"), image="a.png")],
        val=[record(([0, 0, 64, 48], "x"), image="b.png")],
    )
    drawing = drawings(page_of(report, tmp_path))["b.png | a.png"]
    first, second = marks(drawing, "fine")
    assert first == [0, 0, 64, 48]
    # The other picture is as tall as this one, and its box as large in it.
    assert second[0] > 128 and second[1] == 0
    assert (second[2] - second[0], second[3]) == pytest.approx((64, 48))
    assert jpeg_in(drawing).size == pytest.approx((128 + 4 + 128, 96), abs=2)


def test_a_label_that_is_probably_misspelt_is_shown_by_examples(tmp_path: Path) -> None:
    for k in range(12):
        picture(tmp_path, f"{k}.jpg", k)
    lines = [record(([1, 1, 30, 30], "Platelets"), image=f"{k}.jpg") for k in range(11)]
    lines.append(record(([1, 1, 30, 30], "Platlets"), ([5, 5, 40, 40], "Platelets"), image="11.jpg"))
    drawn = drawings(page_of(checked(tmp_path, train=lines), tmp_path))
    assert list(drawn) == ["11.jpg"]
    assert (marks(drawn["11.jpg"], "warning"), marks(drawn["11.jpg"], "fine")) == (
        [[1, 1, 30, 30]],
        [[5, 5, 40, 40]],
    )


def test_many_findings_of_one_kind_do_not_hide_the_others(tmp_path: Path) -> None:
    lines = []
    for k in range(MAX_PICTURES + 12):
        picture(tmp_path, f"{k:03d}.jpg", k)
        lines.append(record(([1, 1, 99, 30], "x"), ([2, 2, 98, 30], "x"), image=f"{k:03d}.jpg"))
    picture(tmp_path, "last.jpg", 1000)
    lines.append(record(([4, 4, 30, 30], "x"), ([4, 4, 30, 30], "x"), image="last.jpg"))
    page = page_of(checked(tmp_path, train=lines), tmp_path)
    assert len(drawings(page)) == MAX_PICTURES
    assert "last.jpg" in drawings(page)
    assert f"{MAX_PICTURES} of {MAX_PICTURES + 13} pictures with something wrong, some of each kind" in page
    assert "more; --json lists all" in page


def test_a_picture_with_a_thousand_flaws_names_some_and_says_how_many_more(tmp_path: Path) -> None:
    picture(tmp_path, "a.jpg", 1)
    boxes = [([k % 60, k % 40, 900 + k, 900], "x") for k in range(1000)]
    page = page_of(checked(tmp_path, train=[record(*boxes, image="a.jpg")]), tmp_path)
    named = page.count('<li class="flaw"')
    assert named < 100
    assert f"{1000 - named}" in page


def test_figures_are_those_of_the_report(tmp_path: Path) -> None:
    for k in range(3):
        picture(tmp_path, f"{k}.jpg", k)
    lines = [record(*([([1, 1, 30, 30], "螺丝/已拧紧")] * (k + 1)), image=f"{k}.jpg") for k in range(3)]
    report = checked(tmp_path, train=lines[:2], val=lines[2:])
    page = page_of(report, tmp_path)
    for name, ranges in report.histograms().items():
        card = page.split(f"<figcaption>{name[0].upper()}{name[1:]}</figcaption>")[1].split("</figure>")[0]
        shown = re.findall(r'<th scope="row">(.*?)</th>.*?<td class="n">(\d+)</td>', card)
        assert shown == [(str(one), str(one.count)) for one in ranges]
    assert '<th scope="row">螺丝/已拧紧</th><td class="n">3</td>' in page
    assert "@font-face" in page


def test_clean_data_have_a_page_too(tmp_path: Path) -> None:
    for k in range(2):
        picture(tmp_path, f"{k}.jpg", k)
    boxes = [([12 * n, 1, 12 * n + 9, 40], "x") for n in range(5)]
    report = checked(tmp_path, train=[record(*boxes, image=f"{k}.jpg") for k in range(2)])
    assert report.findings == []
    page = page_of(report, tmp_path)
    assert "Nothing was found." in page
    assert drawings(page) == {}


def test_what_users_wrote_cannot_become_markup_and_nothing_is_fetched(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    picture(tmp_path, "a.jpg", 1)
    page = page_of(checked(tmp_path, train=[record(([1, 1, 900, 30], hostile), image="a.jpg")]), tmp_path)
    assert hostile not in page
    assert hostile in unescape(page)
    assert "default-src 'none'" in unescape(page)
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)


def test_a_turned_image_is_shown_as_its_boxes_see_it(voc: Any, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture(tmp_path, "turned.jpg", 1, exif=exif)
    report = checked(tmp_path, train=[record(([1, 1, 60, 20], "x"), image="turned.jpg")])
    # Of a record: on the stored pixels. Of a source: upright, as it will be converted.
    assert jpeg_in(drawings(page_of(report, tmp_path))["turned.jpg"]).size == (64, 48)
    voc.image("a.jpg", (64, 48), orientation=6)
    voc.text("a.xml", voc.xml([("x", (1, 1, 40, 60)), ("x", (1, 1, 40, 60))], (48, 64)))
    source = check_source(voc.root, "voc", CheckOptions())
    drawing = drawings(page_of(source, tmp_path))["a.jpg"]
    assert jpeg_in(drawing).size == (48, 64)
