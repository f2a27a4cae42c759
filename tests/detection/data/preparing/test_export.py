"""Export: what is refused, what is noted, and that nothing is left behind. Round trips stand with the formats."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from argusvl.core.errors import ArgusError, DataError
from argusvl.detection.data.formats import FORMATS, format_of
from argusvl.detection.data.formats.base import ReadOptions
from argusvl.detection.data.preparing.export import ExportOptions, ExportReport, ImageMode, export
from argusvl.detection.data.records import RecordFile

MakeFolder = Callable[..., Path]


@pytest.fixture
def make(source: Any) -> MakeFolder:
    """A data folder of 64×48 pictures with the given lines in ``train.jsonl``."""

    def folder(*lines: Any, pictures: tuple[str, ...] = ("a", "b")) -> Path:
        for name in pictures:
            source.image(f"images/{name}.jpg")
        source.text("train.jsonl", "".join(one if isinstance(one, str) else written(one) for one in lines))
        root: Path = source.root
        return root

    return folder


def written(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def line(image: str = "images/a.jpg", *objects: tuple[str, Any], **more: Any) -> dict[str, Any]:
    shown = objects or (("cell", [1, 2, 30, 40]),)
    return {"images": [image], "objects": [{"bbox_2d": box, "desc": label} for label, box in shown], **more}


def run(data: Path, name: str = "voc", **options: Any) -> tuple[ExportReport, Path]:
    out = data.parent / "out"
    return export(data, out, ExportOptions(name, **options)), out


def kinds(report: ExportReport) -> list[str]:
    return [one.slug for one in report.findings]


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_bad_lines_and_images_are_named_and_the_rest_is_written(make: MakeFolder) -> None:
    data = make(
        line("images/a.jpg"),
        '{"images": ["images/b.jpg"], "objects": [\n',
        line("images/b.jpg", source="x"),
        line("images/gone.jpg"),
        line("images/text.jpg"),
        line("images/b.jpg", ("cell", [1, 2, 65, 40]), ("good", [1, 2, 64, 48])),
        line("images/b.jpg", ("cell", [1, 2, 65, 40])),
    )
    (data / "images/text.jpg").write_text("no picture")
    report, out = run(data)
    assert [(f.slug, f.where.rsplit("/", 1)[1]) for f in report.findings] == [
        ("malformed-record", "train.jsonl:2"),
        ("malformed-record", "train.jsonl:3"),
        ("missing-image", "train.jsonl:4"),
        ("unreadable-image", "train.jsonl:5"),
        ("box-out-of-bounds", "train.jsonl:6"),
        ("box-out-of-bounds", "train.jsonl:7"),
        ("nothing-left", "train.jsonl:7"),
    ]
    assert report.errors == 7
    assert (report.images, report.objects) == ({"train": 2}, {"train": 2})
    assert files(out) == [
        "Annotations/a.xml",
        "Annotations/b.xml",
        "ImageSets/Main/train.txt",
        "JPEGImages/a.jpg",
        "JPEGImages/b.jpg",
    ]


def test_what_a_format_cannot_hold_is_refused_by_name(make: MakeFolder) -> None:
    data = make(line("images/a.jpg", ("bell\u0007", [1, 2, 3, 4]), ("good", [1, 2, 3, 4])))
    report, _ = run(data, "voc")
    assert kinds(report) == ["not-exportable"]
    assert "XML cannot hold" in report.findings[0].what
    for name in FORMATS:
        refused = ["not-exportable"] if name in ("voc", "cvat", "label-studio") else []
        assert kinds(export(data, data.parent / name, ExportOptions(name))) == refused
    (data / "train.jsonl").write_text(
        written(line("images/a.jpg", ("<image>", [1, 2, 3, 4]), ("x", [1, 2, 3, 4])))
    )
    for name in ("qwen", "ms-swift"):
        assert kinds(export(data, data.parent / f"{name}2", ExportOptions(name))) == ["not-exportable"]


@pytest.mark.parametrize("name", [name for name in FORMATS if not format_of(name).no_images])
def test_a_record_without_an_image_is_refused_where_the_reader_refuses_it(
    make: MakeFolder, name: str
) -> None:
    data = make(line("images/a.jpg"), {"images": [], "objects": []})
    report, out = run(data, name)
    assert (kinds(report), report.images, report.notes) == (["not-exportable"], {"train": 1}, [])
    read = format_of(name).read(out, ReadOptions())
    assert (len(read.images), read.findings) == (1, [])


def test_argus_keeps_a_record_without_an_image(make: MakeFolder) -> None:
    report, out = run(make(line("images/a.jpg"), {"images": [], "objects": []}), "argus")
    assert report.findings == []
    assert [one.student.images for one in RecordFile(out / "train.jsonl")] == [("images/a.jpg",), ()]


def test_a_turned_picture_is_refused(make: MakeFolder, source: Any) -> None:
    data = make(line("images/a.jpg"), line("images/turned.jpg"))
    source.image("images/turned.jpg", orientation=6)
    report, _ = run(data)
    assert kinds(report) == ["exif-orientation"]


@pytest.mark.parametrize("name", FORMATS)
def test_equal_names_and_awkward_ones_stay_apart(make: MakeFolder, source: Any, name: str) -> None:
    pictures = (".hidden", "A", "a", "line\nbreak", " space ", "b\\c", "classes")
    images = (*(f"images/{p}.jpg" for p in pictures), "images/a.png")
    lines = [line(image, (f"label of {i}", [1, 2, 3, 4])) for i, image in enumerate(images)]
    data = make(*lines, pictures=pictures)
    source.image("images/a.png")
    report, out = run(data, name)
    assert report.findings == []
    listed = format_of(name).read(out, ReadOptions())
    assert listed.findings == []
    labels = sorted(o.label for image in listed.images for o in image.annotate().objects)
    assert labels == [f"label of {i}" for i in range(8)]
    assert all(image.path.is_file() for image in listed.images)


def test_one_image_of_two_records_is_shared_or_repeated_as_the_format_needs(make: MakeFolder) -> None:
    data = make(line("images/a.jpg", ("x", [1, 2, 3, 4])), line("images/a.jpg", ("y", [1, 2, 3, 4])))
    _, out = run(data, "voc")
    assert files(out / "JPEGImages") == ["a.jpg", "a~2.jpg"]
    export(data, data.parent / "qwen", ExportOptions("qwen"))
    assert files(data.parent / "qwen/images") == ["a.jpg"]


def test_links_share_the_bytes_and_copies_do_not(make: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def to_another_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    data = make(line("images/a.jpg"))
    original = data / "images/a.jpg"
    ways: list[tuple[ImageMode, bool]] = [("link", True), ("copy", False), ("link", False)]
    for way, linked in ways:
        out = data.parent / f"{way} {linked}"
        export(data, out, ExportOptions("argus", images=way))
        brought = out / "images/a.jpg"
        assert brought.samefile(original) == linked and brought.read_bytes() == original.read_bytes()
        monkeypatch.setattr("os.link", to_another_disk)


def test_a_file_alone_is_train_unless_its_name_says_otherwise(make: MakeFolder) -> None:
    data = make(line("images/a.jpg"))
    (data / "train.jsonl").rename(data / "mine.jsonl")
    report, out = run(data / "mine.jsonl", "argus")
    assert report.images == {"train": 1}
    assert len(RecordFile(out / "train.jsonl")) == 1
    (data / "mine.jsonl").rename(data / "valid.jsonl")
    assert export(data / "valid.jsonl", data.parent / "v", ExportOptions("voc", root=data)).images == {
        "val": 1
    }


def test_the_question_has_the_language_asked_for(make: MakeFolder) -> None:
    data = make(line("images/a.jpg"))
    run(data, "qwen", prompt_language="zh")
    assert "请找出" in (data.parent / "out/train.jsonl").read_text("utf-8")


def test_the_users_mistakes_are_errors_and_leave_nothing(make: MakeFolder) -> None:
    data = make(line("images/gone.jpg"))
    with pytest.raises(DataError, match=r"nothing can be exported(.|\n)*missing-image"):
        run(data)
    with pytest.raises(DataError, match="unknown format 'vok'"):
        run(data, "vok")
    with pytest.raises(DataError, match="no such records file"):
        run(data / "absent.jsonl")
    assert [p.name for p in data.parent.iterdir()] == ["source"]
    (data.parent / "out").mkdir()
    (data.parent / "out/mine.txt").touch()
    with pytest.raises(DataError, match="is there already"):
        run(data)
    empty = data.parent / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="holds no JSONL"):
        export(empty, data.parent / "other", ExportOptions("voc"))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_ctrl_c_leaves_nothing(
    make: MakeFolder, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    data = make(line("images/a.jpg"))

    def failing(*_: Any) -> None:
        raise error

    monkeypatch.setattr("argusvl.detection.data.preparing.export.copy_file", failing)
    with pytest.raises(ArgusError if isinstance(error, OSError) else KeyboardInterrupt):
        run(data)
    assert [p.name for p in data.parent.iterdir()] == ["source"]
