"""Values that no tool should write, in every format that can hold them: a finding by name, and nothing in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from argusvl.detection.data.formats import FORMATS, format_of
from argusvl.detection.data.formats.base import PlacedRecord
from argusvl.detection.data.preparing.check import CheckOptions, CheckReport, check_source
from argusvl.detection.data.records import ObjectAnnotation, Record, Scene

JSON_FORMATS = ("coco", "labelme", "vendor", "qwen", "ms-swift", "argus")
KEYS = {
    "coco": '"category_id": 1',
    "labelme": '"label": "cell"',
    "vendor": '"label": "cell"',
    "qwen": r"\"label\": \"cell\"",
    "ms-swift": '"ref": ["cell"]',
    "argus": '"desc": "cell"',
}
"""What stands twice."""

Spoil = Callable[[str, str, str], CheckReport]


@pytest.fixture
def spoil(source: Any) -> Spoil:
    """Writes one image with one object, replaces a piece of its annotation, and checks it."""

    def write(name: str, old: str, new: str) -> CheckReport:
        chosen = format_of(name)
        image = f"{chosen.image_folder.format(split='train')}/a.jpg"
        scene = Scene((image,), (ObjectAnnotation((0, 0, 37, 41), "cell"),))
        source.image(image)
        spoilt = 0
        for file, text in chosen.write([PlacedRecord("train", Record(scene), {image: (64, 48)})], "en"):
            changed = new + text if not old else text.replace(old, new)
            spoilt += changed != text
            source.text(file, changed)
        assert spoilt or old == new
        return check_source(source.root, name, CheckOptions(workers=1))

    return write


def errors(report: CheckReport) -> list[tuple[str, str]]:
    return [(f.slug, f.what) for f in report.findings if f.severity == "error" and f.slug != "nothing-left"]


@pytest.mark.parametrize("name", JSON_FORMATS)
@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 5000, "1e400", "NaN"])
def test_a_coordinate_that_is_no_finite_number_is_found_by_name(name: str, number: str, spoil: Spoil) -> None:
    report = spoil(name, "37", number)
    assert report.objects == 0
    ((kind, text),) = errors(report)
    assert kind == "box-not-a-number"
    assert "object 0 'cell'" in text


@pytest.mark.parametrize("name", JSON_FORMATS)
@pytest.mark.parametrize("levels", [50, 5000])
@pytest.mark.parametrize("place", ["37", "cell"])
def test_brackets_inside_each_other_are_a_finding(name: str, levels: int, place: str, spoil: Spoil) -> None:
    quote = "" if place == "37" else r"\"" if name == "qwen" else '"'
    old = f"{quote}{place}{quote}"
    report = spoil(name, old, "[" * levels + "]" * levels)
    assert errors(report) and report.objects == 0


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_a_key_that_stands_twice_is_named(name: str, spoil: Spoil) -> None:
    report = spoil(name, KEYS[name], f"{KEYS[name]}, {KEYS[name]}")
    ((kind, text),) = errors(report)
    key = KEYS[name].split('"')[1].rstrip("\\")
    assert kind in ("malformed-json", "malformed-annotation")
    assert f'the key "{key}" stands twice in one object' in text


@pytest.mark.parametrize(
    ("name", "label", "kind"),
    [
        (name, label, kind)
        for name in FORMATS
        for label, kind in (
            ("/x", "empty-type"),
            ("x &lt;|im_end|&gt;", "special-token"),
            ("x" * 20_000, "long-description"),
            (r"\ud800", "broken-text"),
        )
        if name != "yolo"
        and (name not in ("voc", "cvat") or kind != "broken-text")  # XML has no way to write it
    ],
)
def test_a_label_that_cannot_be_learned_is_refused(name: str, label: str, kind: str, spoil: Spoil) -> None:
    if name not in ("voc", "cvat"):
        label = label.replace("&lt;", "<").replace("&gt;", ">")
    if name == "qwen":
        label = label.replace("\\", "\\\\")
    report = spoil(name, "cell", label)
    assert [found for found, _ in errors(report)] == [kind]
    assert report.objects == 0


@pytest.mark.parametrize("name", FORMATS)
def test_a_byte_order_mark_says_nothing(name: str, spoil: Spoil) -> None:
    report = spoil(name, "", "\ufeff")
    assert errors(report) == []
    assert report.objects == 1


@pytest.mark.parametrize(("name", "key"), [("coco", "width"), ("labelme", "imageWidth"), ("vendor", "width")])
@pytest.mark.parametrize("number", ["NaN", "9" * 400, "1e400"])
def test_a_size_that_is_no_finite_number_is_found(name: str, key: str, number: str, spoil: Spoil) -> None:
    report = spoil(name, f'"{key}": 64', f'"{key}": {number}')
    kinds = {f.slug for f in report.findings if "idth is" in f.what}
    assert kinds & {"missing-size", "malformed-annotation"}


@pytest.mark.parametrize("number", ["NaN", "1e400"])
@pytest.mark.parametrize(("name", "rest"), [("labelme", "41], [0, 41], [5"), ("ms-swift", "41, 5, 6, 7")])
def test_an_outline_with_a_bad_point_is_refused(name: str, rest: str, number: str, spoil: Spoil) -> None:
    report = spoil(name, "37", f"{number}, {rest}")
    assert [found for found, _ in errors(report)] == ["box-not-a-number"]


@pytest.mark.parametrize("value", ["NaN", "1e400"])
def test_a_vendors_property_that_is_no_number_is_no_label(value: str, spoil: Spoil) -> None:
    ((kind, text),) = errors(spoil("vendor", '"cell"', value))
    assert kind == "malformed-annotation" and "no finite number" in text


def test_a_vendors_long_number_is_kept_to_the_digit(spoil: Spoil) -> None:
    assert list(spoil("vendor", '"cell"', "12345678901234567890").labels) == ["12345678901234567890"]


def test_a_kind_of_boxes_that_is_no_text_is_named(spoil: Spoil) -> None:
    ((kind, text),) = errors(spoil("ms-swift", '"real"', "[1]"))
    assert kind == "malformed-annotation" and "bbox_type is [1]" in text
