from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops

from argusvl.core.errors import DataError
from argusvl.detection.data.records import Record, RecordFile
from argusvl.synthetic import generator_of
from argusvl.synthetic.bbu_room.composition import compose
from argusvl.synthetic.bbu_room.plan import Plan, paint_plan
from argusvl.synthetic.bbu_room.stamp import apply_stamp, random_stamp
from argusvl.synthetic.bbu_room.terms import LABELS, describe

SPLITS = ("train", "val", "test")


def draw(out: Path, images: int = 5, seed: int = 3, **options: Any) -> Path:
    """A set of small pictures, fast to draw."""
    generator_of("bbu-room")(out, images=images, seed=seed, **{"width": 224, "height": 168, **options})
    return out


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def records(folder: Path, *splits: str) -> list[Record]:
    return [record for split in splits for record in RecordFile(folder / f"{split}.jsonl")]


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures of the usual size."""
    return draw(tmp_path_factory.mktemp("sixty") / "set", images=60, width=448, height=336)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    first = digests(draw(tmp_path / "a"))
    assert digests(draw(tmp_path / "b")) == first
    other = digests(draw(tmp_path / "c", seed=4))
    assert not {first[name] for name in first if name.endswith(".jpg")} & set(other.values())


def test_a_picture_does_not_depend_on_how_many_are_drawn(tmp_path: Path) -> None:
    few, many = digests(draw(tmp_path / "few", 3)), digests(draw(tmp_path / "many", 12))
    same = {name: digest for name, digest in many.items() if name in few and name.startswith("images/")}
    assert same == {name: digest for name, digest in few.items() if name.startswith("images/")}
    assert few["teacher_pool.jsonl"] == many["teacher_pool.jsonl"]


def test_records_are_valid_and_boxes_inside_their_images(sixty: Path) -> None:
    for record in records(sixty, *SPLITS, "teacher_pool"):
        with Image.open(sixty / record.student.images[0]) as image:
            width, height = image.size
            assert (width, height, image.mode) == (448, 336, "RGB")
        for found in record.student.objects:
            x1, y1, x2, y2 = found.bbox_2d
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height


def test_sixty_pictures_show_every_label_and_sizes_that_can_be_learned(sixty: Path) -> None:
    of_splits = records(sixty, *SPLITS)
    found = [o for record in of_splits for o in record.student.objects]
    assert {o.desc for o in found} == {describe(label, "zh") for label in LABELS}
    assert min(min(o.bbox_2d[2] - o.bbox_2d[0], o.bbox_2d[3] - o.bbox_2d[1]) for o in found) > 18
    counts = [len(record.student.objects) for record in of_splits]
    assert 0 in counts
    assert 6 <= np.mean(counts) <= 14
    assert max(counts) <= 20


def test_splits_and_teacher_pool_share_no_picture_and_the_pool_shows_every_label(sixty: Path) -> None:
    images = {
        split: [r.student.images[0] for r in records(sixty, split)] for split in (*SPLITS, "teacher_pool")
    }
    assert [len(images[split]) for split in SPLITS] == [48, 6, 6]
    every = [name for names in images.values() for name in names]
    assert len(set(every)) == len(every)
    assert {str(p.relative_to(sixty)) for p in (sixty / "images").iterdir()} == set(every)
    shown = {o.desc for r in records(sixty, "teacher_pool") for o in r.student.objects}
    assert shown == {describe(label, "zh") for label in LABELS}
    assert len(images["teacher_pool"]) <= 12


def test_english_descriptions_change_the_words_only(tmp_path: Path) -> None:
    zh, en = draw(tmp_path / "zh"), draw(tmp_path / "en", language="en")
    words = {describe(label, "zh"): describe(label, "en") for label in LABELS}
    assert len(set(words.values())) == len(LABELS)
    for theirs, ours in zip(records(zh, *SPLITS), records(en, *SPLITS), strict=True):
        assert [(o.bbox_2d, words[o.desc]) for o in theirs.student.objects] == [
            (o.bbox_2d, o.desc) for o in ours.student.objects
        ]
        image = theirs.student.images[0]
        assert (zh / image).read_bytes() == (en / image).read_bytes()


def plans(count: int, width: int = 448, height: int = 336) -> list[Plan]:
    return [compose(Random(f"plans/{i}"), width, height) for i in range(count)]


def pixels(plan: Plan) -> np.ndarray[Any, Any]:
    return np.asarray(paint_plan(plan)[0].finished()).astype(int)


def test_boxes_fit_the_pixels_that_an_object_changes() -> None:
    """Each object is left out in turn: what changes must fill its box, and but for a shadow lie inside it."""
    every, off_centre = [], []
    for plan in plans(8):
        whole = pixels(plan)
        objects = iter(paint_plan(plan)[1])
        for i, part in enumerate(plan.parts):
            if part.label is None:
                continue
            box = next(objects).box
            if part.label[0] == "space":  # the inside of a cabinet: nothing is painted for it
                continue
            without = dataclasses.replace(plan, parts=(*plan.parts[:i], *plan.parts[i + 1 :]))
            changed = np.abs(whole - pixels(without)).max(axis=2) > 24
            ys, xs = np.nonzero(changed)
            # A shadow is no part of the object; it is at most an eighth of the object's size to one side.
            margin = 2 + max(box.width, box.height) / 8
            assert xs.min() >= box.x0 - margin
            assert xs.max() + 1 <= box.x1 + margin
            assert ys.min() >= box.y0 - margin
            assert ys.max() + 1 <= box.y1 + margin
            inside = changed[max(0, round(box.y0)) : round(box.y1), max(0, round(box.x0)) : round(box.x1)]
            filled_x, filled_y = np.nonzero(inside.any(0))[0], np.nonzero(inside.any(1))[0]
            share = (np.ptp(filled_x) + 1) * (np.ptp(filled_y) + 1) / inside.size
            every.append(share)
            off_centre.append((xs.min() + xs.max() + 1) / 2 - (box.x0 + box.x1) / 2)
    assert len(every) > 50
    # Where an object's edge has its ground's colour the change begins further in, and a plug's port is there without
    # the plug, too: hence quantiles, not a minimum.
    assert np.quantile(every, 0.1) > 0.65
    assert np.median(every) > 0.93
    assert abs(np.median(off_centre)) < 0.6


def test_a_cabinets_space_holds_its_units_and_is_full_where_no_place_is_open() -> None:
    seen = set()
    for plan in plans(40):
        painted = {"/".join(o.label): o.box for o in paint_plan(plan)[1]}
        space = next((box for label, box in painted.items() if label.startswith("space/")), None)
        if space is None:
            continue
        state = "vacant" if "baffle/missing" in painted else "full"
        assert f"space/{state}" in painted
        seen.add(state)
        for label, box in painted.items():
            if label.startswith(("bbu/", "baffle/")):
                assert box.clipped(space.grown(1.0)) == box
    assert seen == {"full", "vacant"}


@pytest.mark.parametrize(("width", "height"), [(336, 448), (640, 480), (200, 500)])
def test_other_sizes_and_shapes_can_be_drawn(width: int, height: int) -> None:
    count = 0
    for plan in plans(6, width, height):
        canvas, objects = paint_plan(plan)
        assert canvas.finished().size == (width, height)
        count += len(objects)
        assert all(o.box.x0 >= 0 and o.box.x1 <= width and o.box.y1 <= height for o in objects)
    assert count >= 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": 0}, "0 images"),
        ({"width": 60}, "60 pixels"),
        ({"height": 11}, "11 pixels"),
        ({"language": "fr"}, "'fr'"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        draw(tmp_path / "out", **change)
    assert not list(tmp_path.iterdir())


def test_what_is_in_the_folder_is_never_replaced(tmp_path: Path) -> None:
    out = draw(tmp_path / "set", 2)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    draw(out, 2)  # the very same set: nothing to do
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(DataError, match="not empty"):
        draw(out, 3)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="not empty"):
        draw(tmp_path / "notes")
    with pytest.raises(DataError, match="is a file"):
        draw(tmp_path / "notes" / "mine.txt")
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_an_interruption_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import argusvl.synthetic.bbu_room as bbu_room

    painted = []

    def interrupted(plan: Plan) -> Any:
        painted.append(plan)
        if len(painted) == 3:
            raise KeyboardInterrupt
        return paint_plan(plan)

    monkeypatch.setattr(bbu_room, "paint_plan", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path / "set")
    assert not list(tmp_path.iterdir())


def test_some_pictures_have_a_stamp_that_stays_in_its_corner() -> None:
    rng = Random(4)
    stamps = [random_stamp(rng, 1.0) for _ in range(400)]
    written = [stamp for stamp in stamps if stamp is not None]
    assert 0.25 < len(written) / len(stamps) < 0.45
    plain = Image.new("RGB", (448, 336), (90, 120, 90))
    for stamp in written[:20]:
        changed = ImageChops.difference(apply_stamp(plain, stamp), plain).getbbox()
        assert changed is not None
        x0, y0, x1, y1 = changed
        assert (x1 - x0) > 5 * (y1 - y0) and (y1 - y0) < 2 * stamp.size_px
        assert (x0 > 100) if stamp.corner[0] else (x1 < 348)
        assert (y0 > 300) if stamp.corner[1] else (y1 < 36)
    assert plain.getcolors() == [(448 * 336, (90, 120, 90))]
