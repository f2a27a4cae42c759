"""What every format of the table keeps: what is written comes back, and nothing makes a reader fall over."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from argusvl.core.errors import DataError
from argusvl.detection.data.formats import FORMATS, format_of
from argusvl.detection.data.formats.base import Format, PlacedRecord, ReadOptions
from argusvl.detection.data.preparing.convert import ConvertOptions, convert
from argusvl.detection.data.preparing.export import ExportOptions, export
from argusvl.detection.data.records import ObjectAnnotation, Record, RecordFile, Scene, write_records

EVERY_FORMAT = pytest.mark.parametrize("name", FORMATS)

ODD_LABELS = [
    "cell",
    "螺丝连接点/BBU安装螺丝/连接正确",
    'red "cell" {x}',
    "on",
    "12",
    "a: b # c",
    "~",
    "<&>",
    "\\",
]
labels = st.one_of(
    st.sampled_from(ODD_LABELS),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip),
)
names = st.text(st.sampled_from("abcAB柜1 -_(~)"), min_size=1, max_size=6).map(str.strip).filter(bool)


@st.composite
def boxes(draw: Any, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Within the image, in ten-thousandths of a pixel as the conversion stores them, often on its border."""

    def edges(side: int) -> tuple[float, float]:
        numbers = st.integers(0, side * 10_000)
        first, second = sorted(draw(st.tuples(numbers, numbers).filter(lambda pair: pair[0] != pair[1])))
        low = 0 if draw(st.booleans()) else first / 10_000
        return low, side if draw(st.booleans()) else second / 10_000

    (x1, x2), (y1, y2) = edges(size[0]), edges(size[1])
    return (x1, y1, x2, y2)


@st.composite
def scenes(
    draw: Any, chosen: Format, split: str, taken: set[str], images: int, sizes: dict[str, tuple[int, int]]
) -> Scene:
    placed = []
    for _ in range(images):
        name = draw(names.filter(lambda text: f"{split}/{text}".casefold() not in taken))
        taken.add(f"{split}/{name}".casefold())
        if "{split}" not in chosen.image_folder:
            taken.update(f"{other}/{name}".casefold() for other in ("train", "val", "test", "teacher_pool"))
        folder = chosen.image_folder.format(split=split)
        suffix = draw(st.sampled_from([".jpg", ".PNG"]))
        placed.append(f"{folder}/{name}{suffix}")
        sizes[placed[-1]] = draw(st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
    objects = []
    for _ in range(draw(st.integers(0, 3))):
        image = draw(st.integers(0, images - 1))
        label = draw(labels.filter(lambda text: chosen.label_problem(text) is None))
        objects.append(ObjectAnnotation(draw(boxes(sizes[placed[image]])), label, image))
    return Scene(tuple(placed), tuple(sorted(objects, key=lambda one: one.image)))


@st.composite
def data_sets(draw: Any, chosen: Format) -> list[PlacedRecord]:
    splits = ["train", "val", "test", *(["teacher_pool"] if chosen.teachers else [])]
    taken: set[str] = set()
    records = []
    for _ in range(draw(st.integers(1, 4))):
        split = draw(st.sampled_from(splits))
        images = draw(st.integers(1, 2 if chosen.several_images else 1))
        sizes: dict[str, tuple[int, int]] = {}
        student = draw(scenes(chosen, split, taken, images, sizes))
        teachers = draw(st.integers(0, 1 if chosen.teachers else 0))
        shown = [draw(scenes(chosen, split, taken, 1, sizes)) for _ in range(teachers)]
        records.append(PlacedRecord(split, Record(student, tuple(shown)), sizes))
    return records


def write(root: Path, chosen: Format, records: list[PlacedRecord]) -> None:
    """The files, and an empty one for each image: a reader opens none."""
    for name, text in chosen.write(records, "en"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("utf-8"))
    for image in (image for record in records for image in record.sizes):
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).touch()


@EVERY_FORMAT
def test_what_is_written_comes_back(name: str) -> None:
    chosen = format_of(name)

    @settings(max_examples=25, deadline=None)
    @given(data_sets(chosen))
    def round_trip(records: list[PlacedRecord]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write(root, chosen, records)
            source = chosen.read(root, ReadOptions())
            sizes = {image: size for record in records for image, size in record.sizes.items()}
            read = {}
            for entry in source.images:
                annotation = entry.annotate()
                path = entry.path.relative_to(root).as_posix()
                assert annotation.findings == ()
                assert annotation.size in (None, sizes[path])
                scale = (*sizes[path], *sizes[path]) if annotation.relative else (1, 1, 1, 1)
                objects = [
                    (o.label, tuple(v * s for v, s in zip(o.box_xyxy_px, scale, strict=True)))
                    for o in annotation.objects
                ]
                slot = entry.slot
                place = None if slot is None else (slot.scene, slot.image, slot.images)
                assert path not in read
                read[path] = (entry.split, place, objects)
        expected = {}
        for record in records:
            total = len(record.sizes)
            for number, scene in enumerate(record.record.scenes):
                for index, image in enumerate(scene.images):
                    shown = [(o.desc, o.bbox_2d) for o in scene.objects if o.image == index]
                    place = None if total == 1 else (number, index, total)
                    expected[image] = (record.split, place, shown)
        assert read.keys() == expected.keys()
        for path, (split, place, shown) in expected.items():
            assert read[path][:2] == (split, place)
            assert [label for label, _ in read[path][2]] == [label for label, _ in shown]
            for (_, got), (_, wanted) in zip(read[path][2], shown, strict=True):
                assert got == pytest.approx(wanted, abs=2e-6)
        assert {f.slug for f in source.findings} <= {"no-label-file"}

    round_trip()


@EVERY_FORMAT
def test_no_bytes_make_a_reader_fall_over(name: str) -> None:
    chosen = format_of(name)
    image = f"{chosen.image_folder.format(split='train')}/a.jpg"
    objects = (ObjectAnnotation((1, 2, 30, 40), "cell"), ObjectAnnotation((3, 4, 50, 40), "螺丝"))
    record = PlacedRecord("train", Record(Scene((image,), objects)), {image: (64, 48)})
    files = [(path, text.encode()) for path, text in chosen.write([record], "en") if path != "data.yaml"]

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def damaged(data: Any) -> None:
        path, content = data.draw(st.sampled_from(files))
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(len(content), start + 40)))
        spoilt = content[:start] + data.draw(st.binary(max_size=6)) + content[stop:]
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), chosen, [record])
            (Path(folder) / path).write_bytes(spoilt)
            try:
                source = chosen.read(Path(folder), ReadOptions())
            except DataError as error:  # a VOC split's list in another encoding
                assert "What to do" in str(error)
                return
            for image in source.images:
                image.annotate()

    damaged()


@EVERY_FORMAT
@pytest.mark.parametrize("folder", ["absent", "empty"])
def test_where_nothing_of_the_format_is_it_says_what_to_name(name: str, folder: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"{folder}: (no such|holds n)") as error:
        format_of(name).read(tmp_path / folder, ReadOptions())
    assert error.value.remedy and error.value.remedy.startswith("name ")


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """Records with pictures in three splits, a pool, one record of two images and one with a teacher."""
    folder = tmp_path / "data"
    (folder / "images/train").mkdir(parents=True)
    for index, name in enumerate(["train/a", "train/g", "b", "c", "d", "e", "柜 1"]):
        Image.new("RGB", (56, 28), (30 * index, 90, 90)).save(folder / f"images/{name}.jpg")

    def scene(*images: str) -> Scene:
        objects = [
            ObjectAnnotation((1.25 + index, 2, 30, 20.5), "螺丝连接点/BBU安装螺丝/连接正确", index)
            for index in range(len(images))
        ]
        return Scene(tuple(f"images/{image}.jpg" for image in images), tuple(objects))

    write_records(
        folder / "train.jsonl",
        [Record(scene("train/a")), Record(scene("train/g", "c")), Record(scene("d"), teachers=(scene("e"),))],
    )
    write_records(folder / "val.jsonl", [Record(scene("b"))])
    write_records(folder / "teacher_pool.jsonl", [Record(scene("柜 1"))])
    return folder


def contents(folder: Path) -> dict[tuple[str, str], list[Any]]:
    """Split and image's bare name → its objects, of every image of every record."""
    read = {}
    for file in sorted(folder.glob("*.jsonl")):
        for record in RecordFile(file):
            for scene in record.scenes:
                for index, image in enumerate(scene.images):
                    shown = [(o.bbox_2d, o.desc) for o in scene.objects if o.image == index]
                    read[file.stem, Path(image).name] = shown
    return read


@EVERY_FORMAT
def test_records_come_back_from_export_and_conversion(name: str, data_folder: Path, tmp_path: Path) -> None:
    chosen = format_of(name)
    report = export(data_folder, tmp_path / "out", ExportOptions(name))
    assert report.findings == []
    assert len(report.notes) == (0 if chosen.teachers else 2 if chosen.several_images else 3)
    options = ConvertOptions(format=name, min_pixels=784, max_pixels=56 * 28)
    manifest = convert(tmp_path / "out", tmp_path / "back", options)
    assert [f for f in manifest.findings if f.severity == "error"] == []
    expected = contents(data_folder)
    if not chosen.teachers:
        expected["train", "柜 1.jpg"] = expected.pop(("teacher_pool", "柜 1.jpg"))
        del expected["train", "e.jpg"]
    assert contents(tmp_path / "back") == expected
    records = list(RecordFile(tmp_path / "back/train.jsonl"))
    assert any(len(r.student.images) == 2 for r in records) == chosen.several_images
    assert any(r.teachers for r in records) == chosen.teachers
    by_name = {Path(i.image).name: i for i in manifest.images}
    assert by_name["b.jpg"].size == (56, 28)
    assert len(manifest.images) == (7 if chosen.teachers else 6)
