"""What holds for every drawn set: the same bytes for the same seed, sound records, nothing lost on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import shapes
from argusvl.core.errors import DataError
from argusvl.detection.data.manifest import ManifestSource, SplitOrigin, build_manifest, read_manifest
from argusvl.detection.data.records import Record, RecordFile, write_records
from argusvl.synthetic import bbu_room, hands, processes
from argusvl.synthetic.bbu_room.terms import LABELS, describe
from argusvl.synthetic.hands import several
from shapes.terms import COLOURS, STATES

SPLITS = ("train", "val", "test")
WIDTH, HEIGHT = 168, 140

BOXES = {"bbu-room": bbu_room.generate, "shapes": shapes.generate}
EVERY = BOXES | {"hand-scenes": several.generate, "hands": hands.generate}

every = pytest.mark.parametrize("scene", EVERY, indirect=True)

Draw = Callable[..., Path]


@pytest.fixture(params=BOXES)
def scene(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def draw(scene: str, tmp_path: Path) -> Draw:
    """Draws a set of small pictures into a folder of that name."""

    def drawn(name: str, images: int = 3, seed: int = 3, **options: Any) -> Path:
        out = tmp_path / name
        EVERY[scene](out, images=images, seed=seed, **{"width": WIDTH, "height": HEIGHT, **options})
        return out

    return drawn


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def records(folder: Path, *splits: str) -> list[Record]:
    return [record for split in splits for record in RecordFile(folder / f"{split}.jsonl")]


def test_a_drawn_set_is_a_data_folder_as_a_task_would_write_it(
    draw: Draw, scene: str, tmp_path: Path
) -> None:
    folder = draw("set", 10, 1)
    splits = {file.stem: list(RecordFile(file)) for file in folder.glob("*.jsonl")}
    for name, of_split in splits.items():
        write_records(tmp_path / "again.jsonl", of_split)
        assert (tmp_path / "again.jsonl").read_bytes() == (folder / f"{name}.jsonl").read_bytes()
    manifest = read_manifest(folder)
    request = {"scene": scene, "images": 10, "seed": 1, "width": WIDTH, "height": HEIGHT, "language": "zh"}
    assert manifest.source.options == request | {"version": manifest.source.options["version"]}
    assert manifest == build_manifest(
        source=ManifestSource(path=scene, format="synthetic", options=manifest.source.options),
        limits=None,
        split_origin=SplitOrigin(made_by="source"),
        splits=splits,
        images=(),
    )


@every
def test_a_picture_depends_on_its_number_and_the_seed_alone(
    draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other, many = digests(draw("a")), digests(draw("b", seed=4)), digests(draw("c", images=4))
    assert not {first[name] for name in first if name.endswith(".jpg")} & set(other.values())
    numbered = {name for name in first if name.startswith("images/")}
    assert {name: many[name] for name in numbered} == {name: first[name] for name in numbered}
    assert first.get("teacher_pool.jsonl") == many.get("teacher_pool.jsonl")
    monkeypatch.setattr(processes, "_CHUNK", 1)
    monkeypatch.setattr(processes, "_MIN_CHUNKS_A_PROCESS", 1)
    monkeypatch.setattr(processes, "usable_cores", lambda: 2)
    assert digests(draw("by two processes")) == first


def test_boxes_lie_in_their_pictures_and_no_picture_is_in_two_splits(draw: Draw) -> None:
    folder = draw("set", 20)
    assert [len(records(folder, split)) for split in SPLITS] == [16, 2, 2]
    every = records(folder, *SPLITS, "teacher_pool")
    names = [record.student.images[0] for record in every]
    assert len(set(names)) == len(names)
    assert {str(p.relative_to(folder)) for p in (folder / "images").iterdir()} == set(names)
    for record in every:
        with Image.open(folder / record.student.images[0]) as image:
            assert (image.size, image.mode) == ((WIDTH, HEIGHT), "RGB")
        for found in record.student.objects:
            x1, y1, x2, y2 = found.bbox_2d
            assert 0 <= x1 < x2 <= WIDTH and 0 <= y1 < y2 <= HEIGHT


def test_the_teacher_pool_is_small_and_shows_every_label_or_its_words(draw: Draw, scene: str) -> None:
    pool = records(draw("set"), "teacher_pool")
    shown = {o.desc for record in pool for o in record.student.objects}
    if scene == "bbu-room":
        assert shown == {describe(label, "zh") for label in LABELS} and len(pool) <= 14
    else:
        words = {*STATES, *COLOURS, *(state for states in STATES.values() for state in states)}
        assert {word for text in shown for word in text.split("/")} == {shapes.TERMS[w]["zh"] for w in words}
        assert len(pool) <= 40


def test_english_descriptions_change_the_words_only(draw: Draw) -> None:
    zh, en = draw("zh"), draw("en", language="en")
    words: dict[str, str] = {}
    for theirs, ours in zip(records(zh, *SPLITS), records(en, *SPLITS), strict=True):
        assert [o.bbox_2d for o in theirs.student.objects] == [o.bbox_2d for o in ours.student.objects]
        for one, other in zip(theirs.student.objects, ours.student.objects, strict=True):
            assert words.setdefault(one.desc, other.desc) == other.desc and other.desc.isascii()
        image = theirs.student.images[0]
        assert (zh / image).read_bytes() == (en / image).read_bytes()
    assert len(set(words.values())) == len(words) > 5


@every
@pytest.mark.parametrize(
    ("change", "message"),
    [({"images": 0}, "0 images"), ({"width": 60}, "60 pixels"), ({"height": 11}, "11 pixels")],
)
def test_a_request_that_makes_no_sense_is_refused(
    draw: Draw, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        draw("out", **change)
    assert not list(tmp_path.iterdir())


def test_a_language_that_is_not_known_is_refused(draw: Draw) -> None:
    with pytest.raises(DataError, match="'fr'"):
        draw("out", language="fr")


@every
def test_what_is_in_the_folder_is_never_replaced(draw: Draw, tmp_path: Path) -> None:
    out = draw("set", 2)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    draw("set", 2)  # the very same set: nothing to do
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    for name, said in (("set", "not empty"), ("notes", "not empty"), ("notes/mine.txt", "is a file")):
        with pytest.raises(DataError, match=said):
            draw(name, 3)
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@every
def test_an_interruption_leaves_nothing_behind(
    draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = Image.Image.save, []

    def interrupted(image: Image.Image, *arguments: Any, **options: Any) -> None:
        saved.append(image)
        if len(saved) == 3:
            raise KeyboardInterrupt
        save(image, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw("set")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scene", ["hand-scenes", "hands"], indirect=True)
def test_hands_stand_on_the_users_photographs(draw: Draw, tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    with pytest.raises(DataError, match="no such folder"):
        draw("set", backgrounds=photographs)
    (photographs / "rooms").mkdir(parents=True)
    with pytest.raises(DataError, match="there are no pictures"):
        draw("set", backgrounds=photographs)
    assert not (tmp_path / "set").exists()
    Image.new("RGB", (500, 400), (255, 0, 255)).save(photographs / "rooms" / "a.png")
    out = draw("set", 8, 1, backgrounds=photographs)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"]["options"]["backgrounds"] == 1
    shares = []
    for file in sorted((out / "images").glob("0*.jpg")):
        red, green, blue = np.moveaxis(np.asarray(Image.open(file)).astype(int), -1, 0)
        shares.append(((red > green + 60) & (blue > green + 60)).mean())
    assert sum(share > 0.2 for share in shares) >= 3
