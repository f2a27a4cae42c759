from __future__ import annotations

import errno
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw

from argus_doctor.findings import count_kinds
from argusvl.core.errors import ArgusError, DataError
from argusvl.detection.data.manifest import Manifest, read_manifest
from argusvl.detection.data.preparing.convert import ConvertOptions, convert
from argusvl.detection.data.preparing.split import SplitOptions, split_file
from argusvl.detection.data.records import Record, RecordFile

LOW, HIGH = 28 * 28, 56 * 56  # 64×48 becomes 56×56 at most


def options(**changes: Any) -> ConvertOptions:
    return ConvertOptions(
        **{"format": "voc", "min_pixels": LOW, "max_pixels": HIGH, "val_fraction": 0.0, **changes}
    )


def run(voc: Any, **changes: Any) -> tuple[Manifest, Path]:
    out = voc.root.parent / "out"
    return convert(voc.root, out, options(**changes)), out


def records(out: Path, name: str = "train") -> list[Record]:
    return list(RecordFile(out / f"{name}.jsonl"))


def everything(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- pixel limits ---------------------------------------------------------------------------------------------------


def test_pixel_limits_are_chosen_by_images_and_objects(voc: Any, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        voc.pair(name, [("cell", (0, 0, 4, 4))], size=(640, 480))
    with caplog.at_level("INFO"):
        manifest, _ = run(voc, min_pixels=None, max_pixels=None)
    assert manifest.limits is not None
    # Objects of four pixels need every pixel that there is.
    assert manifest.limits.max_pixels >= 640 * 480
    assert "sides below" in caplog.text


@pytest.mark.parametrize(("given", "other"), [("min_pixels", "max_pixels"), ("max_pixels", "min_pixels")])
def test_one_pixel_limit_given_is_kept_and_the_other_fits(voc: Any, given: str, other: str) -> None:
    voc.tree({"train": ["a"]}, [("cell", (0, 0, 60, 40))])
    for pixels in (800, 40_000, 400_000):
        manifest, _ = run(voc, **{given: pixels, other: None}, overwrite=True)
        assert manifest.limits is not None
        assert getattr(manifest.limits, given) == pixels
        assert manifest.limits.min_pixels <= manifest.limits.max_pixels


# --- what comes out -------------------------------------------------------------------------------------------------


def test_images_boxes_and_manifest_agree(voc: Any) -> None:
    voc.tree(
        {"train": ["a", "b"], "val": ["c"], "test": ["d"]},
        [("cell", (0, 0, 64, 48)), ("谷/x", (8, 6, 16, 24))],
    )
    manifest, out = run(voc, val_fraction=None)
    names = {"images", "manifest.json", "test.jsonl", "train.jsonl", "val.jsonl"}
    assert {p.name for p in out.iterdir()} == names
    first = records(out)[0].student
    with Image.open(out / first.images[0]) as image:
        assert image.format == "JPEG"
        size = image.size
    assert size == (56, 56)
    assert [o.desc for o in first.objects] == ["cell", "谷/x"]
    assert first.objects[0].bbox_2d == (0, 0, 56, 56)
    assert first.objects[1].bbox_2d == (7, 7, 14, 28)
    entry = manifest.images[-1]
    assert (entry.original_size, entry.size, entry.vision_tokens) == ((64, 48), (56, 56), 4)
    assert manifest.splits["train"].labels == {"cell": 2, "谷/x": 2}
    images = {name: counts.images for name, counts in manifest.splits.items()}
    assert images == {"train": 2, "val": 1, "test": 1}
    assert manifest.vision_tokens is not None
    assert manifest.vision_tokens.total == 16
    assert manifest.split_origin.made_by == "source"
    assert manifest.findings == ()
    assert read_manifest(out) == manifest


def test_the_same_input_gives_the_same_bytes_with_any_number_of_workers(voc: Any) -> None:
    for name in "abcdef":
        voc.pair(name)
    _, out = run(voc, workers=1, val_fraction=0.4, teacher_pool=1)
    first = everything(out)
    run(voc, workers=3, val_fraction=0.4, teacher_pool=1, overwrite=True)
    assert everything(out) == first


def test_an_image_without_objects_is_kept_as_one(voc: Any) -> None:
    voc.pair("a", objects=[])
    voc.pair("b")
    _, out = run(voc)
    assert [len(r.student.objects) for r in records(out)] == [0, 1]


def test_equal_names_in_different_folders_and_endings_are_kept_apart(voc: Any) -> None:
    voc.pair("day/a", [("day", (1, 1, 9, 9))])
    voc.pair("night/a", [("night", (1, 1, 9, 9))])
    voc.pair("night/A", [("capital", (1, 1, 9, 9))], suffix=".png")
    voc.pair("柜 1 (neu)", [("spaces", (1, 1, 9, 9))])
    _, out = run(voc)
    by_label = {r.student.objects[0].desc: r.student.images[0] for r in records(out)}
    assert by_label["day"] == "images/day/a.jpg"
    assert by_label["spaces"] == "images/柜 1 (neu).jpg"
    assert len({name.casefold() for name in by_label.values()}) == 4
    assert all((out / name).is_file() for name in by_label.values())


def test_the_pixel_offset_moves_left_and_top_edges(voc: Any) -> None:
    voc.pair("a", [("cell", (1, 1, 64, 48))])
    _, out = run(voc, pixel_offset=1)
    assert records(out)[0].student.objects[0].bbox_2d == (0, 0, 56, 56)


# --- splits and pool ------------------------------------------------------------------------------------------------


def test_a_source_without_splits_is_split_here(voc: Any) -> None:
    for number in range(10):
        voc.pair(f"scene{number // 2}_{number}")
    manifest, out = run(voc, val_fraction=0.2, seed=3, group_key=r"scene(\d+)")
    train, val = records(out), records(out, "val")
    assert (len(train), len(val)) == (8, 2)
    scenes = [{r.student.images[0].split("_")[0] for r in part} for part in (train, val)]
    assert not scenes[0] & scenes[1]
    assert manifest.split_origin.model_dump() == {
        "made_by": "argus",
        "val_fraction": 0.2,
        "seed": 3,
        "group_key": r"scene(\d+)",
    }
    assert {i.image: i.split for i in manifest.images} == {
        r.student.images[0]: name for name, part in (("train", train), ("val", val)) for r in part
    }


def test_a_missing_val_fraction_is_an_error(voc: Any) -> None:
    voc.tree({"trainval": ["a"]})
    with pytest.raises(DataError, match="give --val-fraction"):
        run(voc, val_fraction=None)


def test_a_val_split_of_the_sources_own_is_used_whatever_the_fraction(voc: Any) -> None:
    voc.tree({"train": ["a", "c", "d"], "val": ["b"]})
    manifest, out = run(voc, val_fraction=0.5)
    assert {name: counts.images for name, counts in manifest.splits.items()} == {"train": 3, "val": 1}
    assert [r.student.images for r in records(out, "val")] == [("images/b.jpg",)]


def test_the_teacher_pool_shows_every_label_and_stands_apart(voc: Any) -> None:
    for name, labels in {"a": "xy", "b": "x", "c": "y", "d": "z", "e": "xyzz", "f": "z"}.items():
        voc.pair(name, [(label, (i, 0, i + 9, 9)) for i, label in enumerate(labels)])
    manifest, out = run(voc, teacher_pool=1)
    assert [r.student.images for r in records(out, "teacher_pool")] == [("images/e.jpg",)]
    assert ("images/e.jpg",) not in [r.student.images for r in records(out)]
    assert manifest.splits["teacher_pool"].labels == {"x": 1, "y": 1, "z": 2}


# --- EXIF -----------------------------------------------------------------------------------------------------------


def photograph_of_a_square(
    voc: Any, stored: tuple[int, int], orientation: int, drawn: tuple[int, int, int, int]
) -> None:
    """White pixels in ``drawn`` (stored pixels) on black, with the tag."""
    image = Image.new("RGB", stored)
    ImageDraw.Draw(image).rectangle((drawn[0], drawn[1], drawn[2] - 1, drawn[3] - 1), fill="white")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(voc.root / "a.png", exif=exif)


def white_area(path: Path) -> tuple[float, ...]:
    rows, columns = np.nonzero(np.asarray(Image.open(path).convert("L")) > 128)
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("frame", ["stored", "upright"])
def test_turned_photographs_end_upright_with_their_boxes(voc: Any, orientation: int, frame: str) -> None:
    stored, drawn = (112, 56), (28, 14, 56, 42)
    photograph_of_a_square(voc, stored, orientation, drawn)
    upright = {5: (14, 28, 42, 56), 6: (14, 28, 42, 56), 7: (14, 56, 42, 84), 8: (14, 56, 42, 84)}[
        orientation
    ]
    box, size = (drawn, stored) if frame == "stored" else (upright, stored[::-1])
    voc.text("a.xml", voc.xml([("cell", box)], size))
    manifest, out = run(voc, max_pixels=112 * 56)
    image = out / records(out)[0].student.images[0]
    with Image.open(image) as opened:
        assert opened.size == (56, 112)
        assert ExifTags.Base.Orientation not in opened.getexif()
    assert records(out)[0].student.objects[0].bbox_2d == upright
    assert white_area(image) == pytest.approx(upright, abs=1)
    assert manifest.images[0].exif_orientation == orientation
    assert manifest.images[0].boxes_drawn_on == frame
    assert manifest.images[0].original_size == (56, 112)


@pytest.mark.parametrize(("stored", "orientation"), [((56, 56), 6), ((112, 56), 3), ((112, 56), 2)])
def test_where_both_readings_fit_it_asks(voc: Any, stored: tuple[int, int], orientation: int) -> None:
    photograph_of_a_square(voc, stored, orientation, (0, 14, 14, 28))
    voc.text("a.xml", voc.xml([("cell", (0, 14, 14, 28))], stored))
    voc.pair("b")
    manifest, out = run(voc)
    assert [r.student.images for r in records(out)] == [("images/b.jpg",)]
    assert count_kinds(manifest.findings) == {"exif-ambiguous": 1}
    assert "--exif-boxes" in manifest.findings[0].remedy
    manifest, out = run(voc, exif_boxes="stored", overwrite=True, max_pixels=112 * 56)
    assert manifest.findings == ()
    stored_image = out / "images/a.jpg"
    assert white_area(stored_image) == pytest.approx(records(out)[0].student.objects[0].bbox_2d, abs=1)
    run(voc, exif_boxes="upright", overwrite=True, max_pixels=112 * 56)
    assert records(out)[0].student.objects[0].bbox_2d == (0, 14, 14, 28)


def test_a_turned_image_without_annotated_size_asks_too(voc: Any) -> None:
    photograph_of_a_square(voc, (112, 56), 6, (0, 0, 14, 14))
    voc.text("a.xml", voc.xml([("cell", (0, 0, 14, 14))], size=None))
    voc.pair("b")
    manifest, _ = run(voc)
    assert count_kinds(manifest.findings) == {"missing-size": 1, "exif-ambiguous": 1}


@pytest.mark.parametrize("key", [None, r"(\d+)\.jpg"])
def test_an_image_on_several_lines_is_not_divided(source: Any, key: str | None) -> None:
    """The second is stored as ``1~2.jpg``, which is no image of scene 2."""
    lines = []
    for number in range(8):
        source.image(f"{number}.jpg")
        for label in ("cell", "other"):
            answer = json.dumps([{"bbox_2d": [1, 1, 20, 20], "label": label}])
            path = f"./{number}.jpg" if label == "other" else f"{number}.jpg"
            lines.append({"image": path, "conversations": [{"from": "gpt", "value": answer}]})
    source.lines("all.jsonl", *lines)
    for seed in range(5):
        _, out = run(source, format="qwen", val_fraction=0.25, seed=seed, group_key=key, overwrite=True)
        shown = {
            name: Counter(one.student.images[0].split(".")[0].split("~")[0] for one in records(out, name))
            for name in ("train", "val")
        }
        assert set(shown["train"].values()) == set(shown["val"].values()) == {2}
        assert len(shown["val"]) == 2
    split_file(out, SplitOptions(0.5, 0), overwrite=True)
    held_out = Counter(one.student.images[0].split(".")[0].split("~")[0] for one in records(out, "val"))
    assert list(held_out.values()) == [2] * 4


@pytest.mark.parametrize(
    ("name", "text", "of"),
    [
        ("none.json", '{"images": [], "annotations": [], "categories": []}', "coco"),
        ("none.json", "[]", "label-studio"),
        ("none.xml", "<annotations/>", "cvat"),
        ("none.jsonl", "\n", "qwen"),
    ],
)
def test_a_source_without_images_says_so(source: Any, name: str, text: str, of: str) -> None:
    source.text(name, text)
    with pytest.raises(DataError, match=r"(?s)the source lists none.*What to do: export"):
        run(source, format=of)


def test_records_of_a_json_list_are_known_by_their_position(source: Any) -> None:
    answer = json.dumps([{"image": 1, "bbox_2d": [1, 1, 20, 20], "label": "cell"}])
    talk = [{"from": "gpt", "value": answer}]
    pairs = [("a.png", "b.png"), ("c.png", "d.png"), ("e.png", "absent.png")]
    for name in "abcde":
        source.image(f"{name}.png")
    source.json("q.json", [{"image": pair, "conversations": talk} for pair in pairs])
    manifest, out = run(source, format="qwen")
    assert [len(one.student.images) for one in records(out)] == [2, 2]
    assert [(one.slug, one.where) for one in manifest.findings] == [
        ("missing-image", "q.json:1, record 2"),
        ("record-incomplete", "q.json:1, record 2"),
    ]


def test_what_a_reader_finds_names_the_picture(source: Any) -> None:
    source.image("a.png")
    good = {"type": "rectanglelabels", "value": {"x": 5, "y": 5, "width": 9, "height": 9, "labels": ["cell"]}}
    tasks = [
        {
            "data": {"image": "a.png"},
            "annotations": [{"result": [good, "bad", {**good, "image_rotation": 90}]}],
        }
    ]
    source.json("export.json", tasks)
    manifest, _ = run(source, format="label-studio")
    assert [str(one).split(":")[1:3] for one in manifest.findings] == [
        ["1, a.png", " malformed-annotation"],
        ["1, a.png", " not-a-box"],
    ]
    assert "rectangle, neither it nor the image turned" in manifest.findings[1].remedy


@pytest.mark.parametrize("fraction", [None, 0.0, 0.2])
def test_a_broken_group_key_is_said_even_where_the_source_has_a_val_split(
    voc: Any, fraction: float | None
) -> None:
    voc.tree({"train": ["a"], "val": ["b"]})
    with pytest.raises(DataError, match="no regular expression"):
        run(voc, val_fraction=fraction, group_key="(")


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((5, 5, 20, 5), "box-zero-area"),
        ((20, 5, 5, 20), "box-inverted"),
        ((5, 5, 20, 48.5), "box-out-of-bounds"),
        ((5, "five", 20, 20), "box-not-a-number"),
    ],
)
def test_a_bad_box_is_refused_by_name_and_the_rest_is_used(voc: Any, box: tuple[Any, ...], kind: str) -> None:
    voc.pair("a", [("good", (0, 0, 64, 48)), ("bad", box)])
    manifest, out = run(voc)
    assert [o.desc for o in records(out)[0].student.objects] == ["good"]
    assert [f.slug for f in manifest.findings] == [kind]
    found = manifest.findings[0]
    assert (found.severity, found.where) == ("error", "a.xml:4")
    assert (found.numbers["object_index"], found.numbers["label"]) == (1, "bad")
    assert found.numbers["box"] is not None
    assert manifest.refused.model_dump() == {"images": 0, "objects": 1}
    assert read_manifest(out).findings == manifest.findings


def truncate(voc: Any) -> None:
    path = voc.root / "bad.jpg"
    path.write_bytes(path.read_bytes()[:-200])


def hundred_megapixels(voc: Any) -> None:
    # A one-bit PNG: small on disk, a hundred million pixels when decoded.
    (voc.root / "bad.jpg").unlink()
    Image.new("1", (10_000, 10_000)).save(voc.root / "bad.png")
    voc.text("bad.xml", voc.xml([("cell", (1, 1, 9, 9))], size=(10_000, 10_000)))


BOX = [("cell", (1, 1, 9, 9))]
SPOILT: dict[str, tuple[Callable[[Any], object], str]] = {
    "broken XML": (lambda voc: voc.text("bad.xml", "<annotation><object>"), "malformed-xml"),
    "no image": (lambda voc: (voc.root / "bad.jpg").unlink(), "annotation-without-image"),
    "truncated": (truncate, "unreadable-image"),
    "text": (lambda voc: voc.text("bad.jpg", "not a picture"), "unreadable-image"),
    "another size": (lambda voc: voc.text("bad.xml", voc.xml(BOX, size=(640, 480))), "size-mismatch"),
    "bad boxes only": (lambda voc: voc.text("bad.xml", voc.xml([("cell", (9, 9, 9, 9))])), "nothing-left"),
    "huge": (hundred_megapixels, "unreadable-image"),
    "a long strip": (lambda voc: voc.pair("bad", size=(2010, 10), objects=BOX), "unresizable-image"),
}


@pytest.mark.parametrize(("spoil", "kind"), SPOILT.values(), ids=SPOILT)
def test_a_bad_image_is_refused_by_name(voc: Any, spoil: Callable[[Any], object], kind: str) -> None:
    voc.pair("bad")
    voc.pair("good")
    spoil(voc)
    manifest, out = run(voc)
    assert [r.student.images for r in records(out)] == [("images/good.jpg",)]
    assert [p.name for p in (out / "images").iterdir()] == ["good.jpg"]
    found = manifest.findings[-1]
    assert found.slug == kind
    assert "bad" in found.where
    assert found.remedy
    assert manifest.refused.images == 1


def test_nothing_usable_is_an_error_and_leaves_nothing(voc: Any) -> None:
    voc.pair("a", [("cell", (9, 9, 9, 9))])
    with pytest.raises(DataError, match=r"no image can be used(.|\n)*box-zero-area"):
        run(voc)
    assert [p.name for p in voc.root.parent.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("usable", "said"), [(0, "no image can be used"), (1, "1 record in 1 scene cannot be split")]
)
def test_where_nothing_is_left_to_split_it_says_what_was_refused(voc: Any, usable: int, said: str) -> None:
    for name in ("a", "b", "c"):
        voc.pair(name, [("cell", (9, 9, 9, 9))])
    (voc.root / "c.jpg").unlink()
    for number in range(usable):
        voc.pair(f"good{number}")
    with pytest.raises(DataError) as caught:
        run(voc, val_fraction=0.5)
    assert said in caught.value.what
    assert "box-zero-area 2, nothing-left 2, annotation-without-image 1" in caught.value.what
    assert "a.xml:3: box-zero-area" in caught.value.what


def test_of_many_files_three_are_bad(source: Any, tmp_path: Path) -> None:
    """All good images are one file with many names."""
    shape = {"label": "cell", "points": [[1, 2], [30, 40]], "shape_type": "rectangle"}
    boxes = source.json("000.json", {"shapes": [shape], "imageWidth": 56, "imageHeight": 56})
    picture = source.image("000.png", (56, 56))
    bad = {"017.png": b"\x89PNG\r\n\x1a\n cut", "271.png": b"", "298.json": b'{"shapes": [\n'}
    for number in range(1, 300):
        for name, good in ((f"{number:03d}.png", picture), (f"{number:03d}.json", boxes)):
            if name in bad:
                source.text(name, bad[name])
            else:
                (source.root / name).hardlink_to(good)
    manifest = convert(source.root, tmp_path / "out", options(format="labelme"))
    assert [(f.slug, f.where) for f in manifest.findings] == [
        ("unreadable-image", "017.png"),
        ("unreadable-image", "271.png"),
        ("malformed-annotation", "298.json:2"),
    ]
    assert manifest.refused.model_dump() == {"images": 3, "objects": 2}
    assert len(records(tmp_path / "out")) == len(manifest.images) == 297


@pytest.mark.parametrize("bad", ["a", "b"])
def test_a_record_of_several_images_is_used_whole_or_not_at_all(
    source: Any, tmp_path: Path, bad: str
) -> None:
    for name in "abc":
        source.image(f"{name}.png", (56, 56))
    box = {"bbox_2d": [1, 2, 30, 40], "desc": "cell"}
    several = {"images": ["a.png", "b.png"], "objects": [box, {**box, "image": 1}]}
    alone = {"images": ["c.png"], "objects": [box]}
    source.lines("train.jsonl", several, alone)
    source.text(f"{bad}.png", b"no picture")
    manifest = convert(source.root, tmp_path / "out", options(format="argus"))
    assert [(f.slug, f.where) for f in manifest.findings] == [
        ("unreadable-image", f"{bad}.png"),
        ("record-incomplete", "train.jsonl:1"),
    ]
    assert [r.student.images for r in records(tmp_path / "out")] == [("images/c.jpg",)]
    assert [p.name for p in (tmp_path / "out/images").iterdir()] == ["c.jpg"]
    assert [image.image for image in manifest.images] == ["images/c.jpg"]
    assert manifest.refused.model_dump() == {"images": 2, "objects": 2}


def test_fractions_are_of_the_picture_that_the_boxes_were_drawn_on(source: Any, tmp_path: Path) -> None:
    for name, orientation in (("a", 6), ("b", None)):
        source.image(f"images/{name}.png", (112, 56), orientation)
        source.text(f"labels/{name}.txt", "0 0.25 0.125 0.5 0.25\n")
    source.text("classes.txt", "cell\n")
    changes: dict[str, Any] = {"format": "yolo", "max_pixels": 112 * 56}
    manifest = convert(source.root, tmp_path / "out", options(**changes))
    assert count_kinds(manifest.findings) == {"exif-ambiguous": 1}
    assert records(tmp_path / "out")[0].student.objects[0].bbox_2d == (0, 0, 56, 14)
    for frame, box in (("upright", (0, 0, 28, 28)), ("stored", (42, 0, 56, 56))):
        convert(source.root, tmp_path / frame, options(**changes, exif_boxes=frame))
        assert records(tmp_path / frame)[0].student.objects[0].bbox_2d == box


def test_a_teacher_pool_of_the_source_is_kept_and_a_second_one_refused(source: Any, tmp_path: Path) -> None:
    for name in ("train", "teacher_pool"):
        source.image(f"{name}.png", (56, 56))
        box = {"bbox_2d": [1, 2, 3, 4], "desc": "cell"}
        source.lines(f"{name}.jsonl", {"images": [f"{name}.png"], "objects": [box]})
    manifest = convert(source.root, tmp_path / "out", options(format="argus", val_fraction=None))
    images = {name: counts.images for name, counts in manifest.splits.items()}
    assert images == {"train": 1, "teacher_pool": 1}
    with pytest.raises(DataError, match="leave out --teacher-pool"):
        convert(source.root, tmp_path / "again", options(format="argus", val_fraction=None, teacher_pool=1))


# --- what was there -------------------------------------------------------------------------------------------------


def test_an_existing_folder_is_replaced_only_if_asked_and_ours(voc: Any) -> None:
    voc.pair("a")
    _, out = run(voc)
    with pytest.raises(DataError, match="is there already"):
        run(voc)
    voc.pair("b")
    run(voc, overwrite=True)
    assert len(records(out)) == 2
    for manifest in ("{}", None):
        (out / "manifest.json").unlink() if manifest is None else (out / "manifest.json").write_text(manifest)
        with pytest.raises(DataError, match="not an earlier conversion"):
            run(voc, overwrite=True)
    assert len(records(out)) == 2


@pytest.mark.parametrize("name", ["train-20.jsonl", "own/notes.txt", "images/mine.jpg", "best"])
def test_what_no_conversion_wrote_is_not_lost(voc: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    voc.pair("a")
    _, out = run(voc)
    (out / "train.jsonl.facts").mkdir()
    (out / "train.jsonl.facts" / "images.bin").write_bytes(b"a cache")

    def make(*_: Any) -> None:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).symlink_to("images") if name == "best" else (out / name).write_text("years", "utf-8")

    with monkeypatch.context() as patch:
        patch.setattr("argusvl.detection.data.preparing.convert.write_manifest", make)  # while it converts
        with pytest.raises(DataError, match=rf"no earlier run wrote.*{name}"):
            run(voc, overwrite=True)
    before = everything(out)
    with pytest.raises(DataError, match=rf"no earlier run wrote.*{name}"):
        run(voc, overwrite=True)
    assert everything(out) == before
    (out / name).unlink()
    run(voc, overwrite=True)
    assert not (out / "train.jsonl.facts").exists()


@pytest.mark.parametrize("out", [".", "..", "converted"])
def test_the_source_is_never_overwritten(voc: Any, out: str) -> None:
    voc.pair("a")
    before = everything(voc.root)
    with pytest.raises(DataError, match="overlaps with the source"):
        convert(voc.root, voc.root / out, options(overwrite=True))
    assert everything(voc.root) == before


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_interruptions_lose_nothing(voc: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    voc.pair("a")
    _, out = run(voc)
    before = everything(out)
    voc.pair("b")
    saved = Image.Image.save

    def failing(image: Image.Image, path: Any, **keywords: Any) -> None:
        if str(path).endswith("b.jpg"):
            raise error
        saved(image, path, **keywords)

    monkeypatch.setattr(Image.Image, "save", failing)
    with pytest.raises(ArgusError if isinstance(error, OSError) else KeyboardInterrupt):
        run(voc, overwrite=True)
    assert everything(out) == before
    assert sorted(p.name for p in out.parent.iterdir()) == ["out", "source"]


def test_bad_limits_are_an_error(voc: Any) -> None:
    voc.pair("a")
    with pytest.raises(DataError, match="min_pixels"):
        run(voc, min_pixels=9000)


# --- real photographs -----------------------------------------------------------------------------------------------


def test_bccd_loses_its_two_zero_area_boxes(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "bccd"
    manifest = convert(
        shared_data("bccd"),
        out,
        options(min_pixels=3136, max_pixels=112 * 84, val_fraction=None, teacher_pool=8),
    )
    assert [(f.slug, f.where, f.numbers["object_index"], f.numbers["box"]) for f in manifest.findings] == [
        ("box-zero-area", "Annotations/BloodImage_00338.xml:158", 12, (504, 337, 504, 337)),
        ("box-zero-area", "Annotations/BloodImage_00343.xml:50", 3, (181, 329, 181, 329)),
    ]
    counts = {name: (c.images, c.objects) for name, c in manifest.splits.items()}
    assert counts["val"] == (87, 1137)
    assert counts["test"] == (72, 945)
    assert [a + b for a, b in zip(counts["train"], counts["teacher_pool"], strict=True)] == [205, 2804]
    assert set(manifest.splits["teacher_pool"].labels) == {"RBC", "WBC", "Platelets"}
    assert {(i.original_size, i.size, i.vision_tokens) for i in manifest.images} == {
        ((640, 480), (112, 84), 12)
    }
    assert len(list((out / "images").iterdir())) == 364
    assert json.loads((out / "manifest.json").read_text("utf-8"))["refused"] == {"images": 0, "objects": 2}
