from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tokenizers import AddedToken
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from argus_doctor.findings import Finding
from argusvl.core.errors import DataError
from argusvl.detection.data.findings import MOST_OBJECTS
from argusvl.detection.data.formats.base import SourceObject
from argusvl.detection.data.preparing.check import CheckOptions, CheckReport, check_records, check_source
from argusvl.detection.data.preparing.convert import ConvertOptions, convert
from argusvl.detection.data.preparing.export import ExportOptions, export
from argusvl.detection.data.preparing.picture_check import Pictures
from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.sampling.samples import VisionLimits, measure_scene
from argusvl.detection.data.sampling.tokenizer import load_tokenizer

SIZE = (112, 84)
LIMITS = VisionLimits(784, 112 * 84, 100, 100, "refuse")

UNAVOIDABLE = ("copy-in-split", "split-copy", "rare-labels")
"""What is found where a few small pictures of one colour serve for many."""


@pytest.fixture
def data(source: Any) -> Path:
    """A folder with one good image, ``a.jpg``, 112×84."""
    source.image("a.jpg", SIZE)
    root: Path = source.root
    return root


def line(*objects: Any, images: Any = ("a.jpg",), **more: Any) -> str:
    """One line; an object is a box (then its label is "cell"), a box with a label, or anything."""
    entries = []
    for one in objects:
        if isinstance(one, tuple) and len(one) == 2:
            entries.append({"bbox_2d": one[0], "desc": one[1]})
        else:
            entries.append({"bbox_2d": one, "desc": "cell"} if isinstance(one, list) else one)
    return json.dumps({"images": list(images), "objects": entries, **more}, ensure_ascii=False)


def check(folder: Path, *lines: str | bytes, **options: Any) -> CheckReport:
    content = b"\n".join(one if isinstance(one, bytes) else one.encode() for one in lines) + b"\n"
    (folder / "set.jsonl").write_bytes(content)
    return check_records(folder / "set.jsonl", CheckOptions(**options))


def found(report: CheckReport) -> list[tuple[str, str]]:
    """Kind and line of each finding, but for those that a few lines about one image cannot avoid."""
    return [(f.slug, f.where.rpartition(":")[2]) for f in own_findings(report)]


def own_findings(report: CheckReport) -> list[Finding]:
    return [f for f in report.findings if f.slug not in UNAVOIDABLE]


def test_clean_data_has_no_findings(data: Path) -> None:
    for name, colour in (("b.jpg", "olive"), ("c.jpg", "white")):
        Image.new("RGB", SIZE, colour).save(data / name)
    cells = [[10 * k, 10, 10 * k + 20, 60] for k in range(9)]
    report = check(
        data,
        line([0, 60, 30, 84], *cells),
        "",
        line(*((box, "a/b") for box in cells), ([0, 0, 112, 84], "a/b"), images=["b.jpg"]),
        line(images=["c.jpg"]),
    )
    assert report.findings == []
    assert report.errors == 0
    assert report.images == {"set": 3}
    assert {label: c.objects for label, c in report.labels.items()} == {"cell": 10, "a/b": 10}


def test_one_bad_line_does_not_hide_the_next(data: Path) -> None:
    report = check(
        data,
        '{"images": [',
        b'{"images": ["\xff.jpg"], "objects": []}',
        "[1, 2]",
        '{"images": ["a.jpg"]}',
        line([1, 1, 9, 9], colour="red"),
        line({"bbox_2d": [1, 1, 9, 9]}),
        line({"bbox_2d": [1, 1, 9, 9], "desc": "x", "image": 3}),
        line([10, 10, 60, 60]),
    )
    assert found(report) == [
        ("malformed-json", "1"),
        ("malformed-json", "2"),
        *(("malformed-record", str(number)) for number in range(3, 8)),
    ]
    assert report.images == {"set": 5}
    assert all(f.severity == "error" and f.remedy for f in own_findings(report))


def test_a_wrong_field_hides_nothing_else(data: Path) -> None:
    value = {
        "student": {
            "images": ["a.jpg", "absent.png"],
            "objects": [
                {"bbox_2d": [1, 1, 9, 9], "desc": "x", "colour": "red"},
                {"bbox_2d": [1, 1, 900, 9], "desc": "x", "size": 3},
                {"bbox_2d": [5, 5, 5, 9], "desc": "y"},
                {"bbox_2d": [1, 1, 9, 9], "desc": 7},
                {"bbox_2d": [1, 1, 9, 9], "desc": " "},
                {"desc": "z", "image": 1},
                "box",
            ],
            "date": "today",
        },
        "teachers": [{"images": "a.jpg", "objects": [{"bbox_2d": [9, 9, 1, 1], "desc": "t"}]}],
        "weight": 2,
    }
    found = own_findings(check(data, json.dumps(value)))
    assert [(f.slug, f.what.split(": ")[0]) for f in found] == [
        ("malformed-record", "unknown field 'weight'"),
        ("malformed-record", "unknown field 'student.date'"),
        ("malformed-record", "unknown field 'student.objects[0].colour'"),
        ("malformed-record", "unknown field 'student.objects[1].size'"),
        ("box-zero-area", "field 'student.objects[2].bbox_2d'"),
        ("malformed-record", "field 'student.objects[3].desc'"),
        ("empty-label", "field 'student.objects[4].desc'"),
        ("box-not-a-number", "field 'student.objects[5].bbox_2d'"),
        ("malformed-record", "field 'student.objects[6]'"),
        ("malformed-record", "field 'teachers[0].images'"),
        ("box-inverted", "field 'teachers[0].objects[0].bbox_2d'"),
        ("box-out-of-bounds", "object 1 'x'"),
        ("missing-image", "absent.png"),
    ]
    assert (found[4].numbers["object_index"], found[4].numbers["label"]) == (2, "y")
    assert found[9].remedy == "write a list of image paths"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"teachers": []}, "student"),
        ({"images": ["a.jpg"]}, "objects"),
        ({"images": ["a.jpg"], "objects": [{"desc": "x"}]}, "objects[0].bbox_2d"),
    ],
)
def test_a_missing_field_is_named_as_missing(data: Path, value: dict[str, Any], field: str) -> None:
    assert [f.what for f in own_findings(check(data, json.dumps(value)))] == [f"field {field!r}: missing"]


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ([20, 5, 5, 20], "box-inverted"),
        ([5, 20, 20, 5], "box-inverted"),
        ([5, 5, 5, 20], "box-zero-area"),
        ([-3, 5, 20, 20], "box-out-of-bounds"),
        ([5, 5, 113, 20], "box-out-of-bounds"),
        ([5, 5, 20, 84.5], "box-out-of-bounds"),
        ([float("nan"), 5, 20, 20], "box-not-a-number"),
        ([5, 5, float("inf"), 20], "box-not-a-number"),
        (["5", 5, 20, 20], "box-not-a-number"),
        ([True, 5, 20, 20], "box-not-a-number"),
        ([5, 5, 20], "box-not-a-number"),
        ([], "box-not-a-number"),
    ],
)
def test_a_bad_box_is_found_with_its_object(data: Path, box: list[Any], kind: str) -> None:
    report = check(
        data, line([10, 10, 60, 60]), line([10, 10, 60, 60], (box, "bad"), ([5, 5, 5, 5], "also bad"))
    )
    assert ("box-zero-area", 2) in [(f.slug, f.numbers["object_index"]) for f in own_findings(report)]
    first = next(f for f in report.findings if f.numbers["object_index"] == 1)
    assert (first.slug, first.numbers["label"], first.numbers["image"]) == (kind, "bad", "a.jpg")
    assert first.where.endswith("set.jsonl:2")
    assert report.errors == 2
    json.loads(json.dumps(report.to_json()), parse_constant=pytest.fail)


def test_teachers_are_checked_like_students(data: Path) -> None:
    teacher = {"images": ["a.jpg"], "objects": [{"bbox_2d": [5, 5, 5, 5], "desc": "x"}]}
    absent = {"images": ["absent.jpg"], "objects": []}
    student = {"images": ["a.jpg"], "objects": []}
    report = check(data, json.dumps({"teachers": [teacher, absent], "student": student}))
    assert [f.slug for f in own_findings(report)] == ["box-zero-area", "missing-image"]
    assert report.findings[0].what.startswith("field 'teachers[0].objects[0].bbox_2d': ")
    assert report.images == {"set": 1}


def test_bad_images_are_found(data: Path, source: Any) -> None:
    source.text("truncated.jpg", (data / "a.jpg").read_bytes()[:-40])
    source.text("text.jpg", "not a picture")
    source.text("empty.jpg", "")
    Image.new("1", (10_000, 10_000)).save(data / "huge.png")
    source.image("turned.jpg", SIZE, orientation=6)
    names = ["absent.jpg", "truncated.jpg", "text.jpg", "empty.jpg", "huge.png", "turned.jpg"]
    report = check(data, *(line([5, 5, 20, 20], images=[name]) for name in names))
    assert [(f.slug, f.numbers["image"]) for f in own_findings(report)] == [
        ("missing-image", "absent.jpg"),
        *(("unreadable-image", name) for name in names[1:5]),
        ("exif-orientation", "turned.jpg"),
    ]
    assert "100 megapixels" in report.findings[4].what


@pytest.mark.parametrize(
    ("name", "said"),
    [("x" * 5000 + ".jpg", "File name too long"), ("a\0b.jpg", "null byte"), ("sub", "no file")],
)
def test_a_path_that_no_image_has_is_a_finding(data: Path, name: str, said: str) -> None:
    (data / "sub").mkdir()
    (found,) = own_findings(check(data, line(images=[name])))
    assert (found.slug, found.where) == ("missing-image", f"{data}/set.jsonl:1")
    assert said in found.what and len(str(found)) < 2000
    out = data.parent / f"{data.name}_out"
    with pytest.raises(DataError, match="no image can be used"):
        convert(data / "set.jsonl", out, ConvertOptions("argus", 784, 3136, val_fraction=0))
    with pytest.raises(DataError, match="nothing can be exported"):
        export(data / "set.jsonl", out, ExportOptions("coco"))
    with pytest.raises(DataError, match=r"set\.jsonl:1 \("):
        measure_scene(RecordFile(data / "set.jsonl")[0].student, data, LIMITS, f"{data}/set.jsonl:1")


def test_several_images_each_have_their_own_objects(data: Path) -> None:
    Image.new("RGB", (56, 56)).save(data / "small.jpg")
    objects = [{"bbox_2d": [0, 0, 100, 80], "desc": "x", "image": k} for k in (0, 1)]
    report = check(data, line(*objects, images=["a.jpg", "small.jpg"]))
    assert [(f.slug, f.numbers["object_index"], f.numbers["image"]) for f in own_findings(report)] == [
        ("box-out-of-bounds", 1, "small.jpg")
    ]
    assert report.images == {"set": 2}


def test_duplicate_boxes_are_a_warning(data: Path) -> None:
    box, nearly, other = [10, 10, 80, 80], [10, 10, 80, 79], [10, 10, 80, 70]
    report = check(data, line(box, other, nearly, (box, "another label")))
    assert [(f.slug, f.severity, f.numbers["object_index"]) for f in own_findings(report)] == [
        ("box-duplicate", "warning", 2),
        ("box-two-labels", "warning", 3),
    ]
    assert report.errors == 0


def test_without_the_boxes_that_are_named_none_stands_where_another_does() -> None:
    rng = np.random.default_rng(0)
    places = rng.random((30, 4)) * [90, 60, 60, 30] + [1, 1, 1e-3, 1e-3]
    chosen = places[rng.integers(30, size=600)]
    left, top, width, height = (
        chosen * (1 + rng.normal(size=(600, 4)) * rng.choice([0, 1e-3, 1e-2], (600, 1)))
    ).T
    boxes = np.stack([left, top, left + width, top + height], axis=1)
    objects = [
        SourceObject(i, str(rng.integers(3)), tuple(box), "set.jsonl:1")
        for i, box in enumerate(boxes.tolist())
    ]
    overlap = _overlaps(boxes)
    found = Pictures(CheckOptions()).check_objects(None, "a.jpg", "set.jsonl:1", objects)
    named = {f.numbers["object_index"] for f in found}
    kept = [i for i in range(600) if i not in named]
    assert 30 <= len(kept) < 300
    assert overlap[np.ix_(kept, kept)].max() <= 0.95
    for one in found:
        i = one.numbers["object_index"]
        assert i is not None
        partners = [j for j in range(i) if overlap[i, j] > 0.9]
        alike = [j for j in partners if objects[j].label == objects[i].label]
        assert alike if one.slug == "box-duplicate" else len(partners) > len(alike)


def _overlaps(boxes: np.ndarray) -> np.ndarray:
    shared = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(
        boxes[:, None, :2], boxes[None, :, :2]
    )
    intersection = shared.clip(min=0).prod(axis=-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    overlap = intersection / (area[:, None] + area[None, :] - intersection)
    np.fill_diagonal(overlap, 0)
    return overlap


def test_a_scene_of_more_objects_than_any_model_names_is_refused(data: Path, tmp_path: Path) -> None:
    crowd = line(*[[1, 1, 9, 9]] * (MOST_OBJECTS + 1))
    (found,) = own_findings(check(data, crowd))
    assert (found.slug, found.severity) == ("crowded-scene", "error")
    with pytest.raises(DataError, match="10,001 objects, more than 10,000"):
        RecordFile(data / "set.jsonl")[0]
    with pytest.raises(DataError, match="crowded-scene"):
        convert(
            data / "set.jsonl", tmp_path.parent / "crowd", ConvertOptions("argus", 784, 3136, val_fraction=0)
        )


def test_boxes_under_a_patch_after_the_resize_are_a_warning(data: Path) -> None:
    # 112×84 becomes 56×28: half of the width, a third of the height.
    objects = line([0, 0, 20, 20], [0, 0, 60, 60])
    report = check(data, objects, min_pixels=784, max_pixels=56 * 56)
    assert [(f.slug, f.numbers["object_index"]) for f in own_findings(report)] == [("box-under-patch", 0)]
    assert "10.0×6.7 pixels after the resize to 56×28" in report.findings[0].what
    assert own_findings(check(data, objects, min_pixels=784, max_pixels=112 * 84)) == []


@pytest.mark.parametrize(
    ("warn", "most", "found"),
    [(12, 12, []), (11, 12, ["warning"]), (5, 11, ["error"])],
)
def test_vision_tokens_warn_and_refuse(data: Path, warn: int, most: int, found: list[str]) -> None:
    report = check(  # 112×84: 4 × 3 tokens
        data, line(), min_pixels=784, max_pixels=10_000, vision_tokens_warn=warn, vision_tokens_max=most
    )
    slugs = {"warning": "vision-tokens-over-warn", "error": "vision-tokens-over-max"}
    assert [(f.slug, f.severity) for f in own_findings(report)] == [(slugs[one], one) for one in found]
    refused = any("12 vision tokens, more than the limit of 11" in f.what for f in report.findings)
    assert refused == (found == ["error"])
    assert report.to_json()["vision_tokens"]["max"] == 12


def test_more_objects_than_queries_is_an_error(data: Path) -> None:
    boxes = [[i, 0, i + 20, 20 + i] for i in range(5)]
    assert check(data, line(*boxes), num_queries=5).errors == 0
    report = check(data, line(*boxes), num_queries=4)
    assert [f.slug for f in own_findings(report)] == ["too-many-objects"]
    assert "5 objects, more than 4 queries" in report.findings[0].what


def test_an_image_too_long_for_the_network_is_an_error(data: Path) -> None:
    Image.new("RGB", (2100, 10)).save(data / "long.png")
    report = check(data, line(images=["long.png"]), min_pixels=784, max_pixels=10_000)
    assert [f.slug for f in own_findings(report)] == ["unresizable-image"]


def test_each_slip_is_held_against_the_label_that_is_used_most(data: Path) -> None:
    texts = ["Platelets"] * 3 + ["Platelet", "platelets", "Platlets"]
    report = check(data, line(*[([9 * k, 0, 9 * k + 8, 9], text) for k, text in enumerate(texts)]))
    found = own_findings(report)
    assert {f.slug for f in found} == {"near-duplicate-labels"}
    assert sorted(f.numbers["label"] for f in found) == ["Platelet", "Platlets", "platelets"]
    assert all("' (1 object) and 'Platelets' (3 objects)" in f.what for f in found)
    assert all(f.where.endswith(".jsonl:1") for f in found)


def test_unknown_limits_are_said_not_guessed(data: Path) -> None:
    report = check(data, line([1, 1, 2, 2]))
    assert own_findings(report) == []
    assert "not checked" in report.notes[0]
    with pytest.raises(DataError, match="one pixel limit without the other"):
        CheckOptions(min_pixels=784)


def test_a_root_of_its_own(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "set.jsonl"
    elsewhere.write_text(line([10, 10, 60, 60]))
    assert [f.slug for f in own_findings(check_records(elsewhere, CheckOptions()))] == ["missing-image"]
    assert own_findings(check_records(elsewhere, CheckOptions(), root=data)) == []


@pytest.mark.parametrize("kind", ["absent", "empty folder"])
def test_nothing_to_check_is_an_error(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match="no such file" if kind == "absent" else "holds no JSONL"):
        check_records(tmp_path / "absent" if kind == "absent" else tmp_path, CheckOptions())


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_records_is_found(data: Path, content: str) -> None:
    (data / "train.jsonl").write_text(content, encoding="utf-8")
    (data / "val.jsonl").write_text(line([10, 10, 60, 60]))
    report = check_records(data, CheckOptions())
    first = own_findings(report)[0]
    assert (first.slug, first.severity, first.where) == ("no-records", "error", f"{data}/train.jsonl")


def test_a_level_without_a_name_is_a_warning_for_each_label(data: Path) -> None:
    (data / "b.jpg").write_bytes((data / "a.jpg").read_bytes())
    objects = [([10 * k, 0, 10 * k + 9, 9], text) for k, text in enumerate(["a//b", "a/", "a//b", "a/b"])]
    report = check(data, line(([0, 20, 9, 30], "a"), images=["b.jpg"]), line(*objects))
    found = [f for f in own_findings(report) if f.slug == "empty-segment"]
    assert sorted((f.numbers["label"], f.severity, f.where.rpartition(":")[2]) for f in found) == [
        ("a/", "warning", "2"),
        ("a//b", "warning", "2"),
    ]
    assert "'a//b' (2 objects)" in "".join(f.what for f in found)


def test_what_only_the_models_tokenizer_minds_is_found(data: Path, chat_tokenizer: TokenizersBackend) -> None:
    model = data / "model"
    chat_tokenizer.save_pretrained(model)
    other = load_tokenizer(model)
    other.add_tokens([AddedToken("<odd>", special=True)])
    other.save_pretrained(model)
    (data / "set.jsonl").write_text(line(([10, 10, 60, 60], "an <odd> cell")))
    options = CheckOptions(min_pixels=784, max_pixels=112 * 84)
    assert own_findings(check_records(data / "set.jsonl", options, conversations=True)) == []
    (found,) = own_findings(check_records(data / "set.jsonl", options, conversations=True, model=model))
    assert (found.slug, found.where) == ("malformed-record", f"{data}/set.jsonl:1")
    assert "special token <odd>" in found.what


# --- folders --------------------------------------------------------------------------------------------------------


def test_what_was_converted_is_clean_by_its_own_limits(voc: Any) -> None:
    voc.tree({"train": ["a", "b", "c"], "val": ["d"], "test": ["e"]})
    out = voc.root.parent / "out"
    convert(voc.root, out, ConvertOptions("voc", 784, 56 * 56, teacher_pool=1))
    report = check_records(out, CheckOptions())
    assert own_findings(report) == []
    assert report.notes == []
    assert report.images == {"train": 2, "val": 1, "test": 1, "teacher_pool": 1}
    assert report.vision_tokens == [4] * 5


def test_an_image_in_two_splits_and_a_label_never_trained_are_found(data: Path) -> None:
    Image.new("RGB", SIZE).save(data / "b.jpg")
    (data / "train.jsonl").write_text(line(([5, 5, 20, 20], "x/1")))
    (data / "val.jsonl").write_text(
        line(([5, 5, 20, 20], "x/2")) + "\n" + line(([5, 5, 20, 20], "y"), images=["b.jpg"])
    )
    report = check_records(data, CheckOptions())
    assert [(f.slug, f.severity, f.numbers["label"]) for f in own_findings(report)] == [
        ("split-overlap", "error", None),
        ("label-not-in-train", "warning", "y"),
    ]
    assert "train.jsonl:1" in report.findings[0].what


# --- sources --------------------------------------------------------------------------------------------------------


def test_a_source_is_checked_before_it_is_converted(voc: Any) -> None:
    voc.pair("good")
    voc.pair("zero", [("cell", (1, 1, 9, 9)), ("cell", (5, 5, 5, 5))])
    voc.pair("broken")
    broken = voc.root / "broken.jpg"
    broken.write_bytes(broken.read_bytes()[:-100])
    voc.image("alone.jpg")
    report = check_source(voc.root, "voc", CheckOptions(min_pixels=784, max_pixels=3136, num_queries=1))
    assert sorted((f.slug, f.where) for f in own_findings(report)) == [
        ("box-under-patch", "zero.xml:3"),
        ("box-zero-area", "zero.xml:4"),
        ("image-without-annotation", "alone.jpg"),
        ("unreadable-image", "broken.jpg"),
    ]
    assert report.images == {"all": 3}


def test_a_sources_splits_are_checked_in_the_order_of_their_use(voc: Any) -> None:
    voc.tree({"test": ["a"], "val": ["b"], "train": ["c"]})
    assert list(check_source(voc.root, "voc", CheckOptions()).images) == ["train", "val", "test"]


def test_the_conversions_questions_come_up_in_the_check(voc: Any) -> None:
    voc.image("a.jpg", (64, 64), orientation=6)
    voc.text("a.xml", voc.xml([("cell", (1, 1, 30, 30))], (64, 64)))
    options = CheckOptions(min_pixels=784, max_pixels=3136)
    assert [f.slug for f in own_findings(check_source(voc.root, "voc", options))] == ["exif-ambiguous"]
    assert own_findings(check_source(voc.root, "voc", options, exif_boxes="stored")) == []


def test_bccds_zero_area_boxes_are_found(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    report = check_source(shared_data("bccd"), "voc", CheckOptions())
    assert [(f.slug, f.where) for f in own_findings(report)] == [
        ("box-zero-area", "Annotations/BloodImage_00343.xml:50"),
        ("box-zero-area", "Annotations/BloodImage_00338.xml:158"),
        # The same cells with the focus changed.
        ("split-view", "Annotations/BloodImage_00037.xml"),
    ]
    assert "in val shows nearly the same as BloodImage_00038.jpg in train" in report.findings[-1].what
    counts = {label: c.objects for label, c in report.labels.items()}
    assert counts == {"RBC": 4153, "WBC": 372, "Platelets": 361}
