from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argusvl.core.errors import DataError
from argusvl.detection.data.preparing import pool
from argusvl.detection.data.preparing.pool import choose_cover, make_pool, take_pool
from argusvl.detection.data.records import ObjectAnnotation, Record, RecordFile, Scene, write_records


def record(name: str, *labels: str) -> Record:
    return Record(Scene((name,), tuple(ObjectAnnotation((0, 0, 9, 9), label) for label in labels)))


def names(records: list[Record]) -> list[str]:
    return [r.student.images[0] for r in records]


def test_few_images_with_few_objects_show_every_label() -> None:
    train = [
        record("crowd.jpg", *["x", "y", "z"] * 10),
        record("xy.jpg", "x", "y"),
        record("all.jpg", "x", "y", "z"),
        record("z.jpg", "z"),
    ]
    pool, rest, warnings = take_pool(train, 1)
    assert names(pool) == ["all.jpg"]
    assert names(rest) == ["crowd.jpg", "xy.jpg", "z.jpg"]
    assert warnings == []


def test_room_left_is_used_for_another_round() -> None:
    train = [record(f"{label}{i}.jpg", label) for i in range(4) for label in "xyz"]
    pool, rest, _ = take_pool(train, 6)
    assert sorted(n[0] for n in names(pool)) == ["x", "x", "y", "y", "z", "z"]
    assert len(rest) == 6


def test_an_image_that_train_needs_is_spared_where_another_will_do() -> None:
    train = [
        record("only_z.jpg", "x", "z"),
        record("x1.jpg", "x"),
        record("z.jpg", "y", "y2"),
        record("y.jpg", "y", "y2"),
    ]
    train += [record("z2.jpg", "z", "x")]
    pool, rest, warnings = take_pool(train, 2)
    assert warnings == []
    assert {o.desc for r in rest for o in r.student.objects} == {"x", "y", "y2", "z"}
    assert {o.desc for r in pool for o in r.student.objects} == {"x", "y", "y2", "z"}


def test_a_label_that_train_loses_is_said() -> None:
    _, _, warnings = take_pool([record("a.jpg", "x", "once"), record("b.jpg", "x")], 1)
    assert [(w.slug, w.severity, w.numbers["label"]) for w in warnings] == [
        ("pool-took-last", "warning", "once")
    ]


def test_too_small_a_pool_says_what_size_suffices() -> None:
    train = [record(f"{label}{i}.jpg", label) for i in range(2) for label in "xyz"]
    with pytest.raises(DataError, match=r"2 images cannot show all 3 labels(.|\n)*a pool of 3 images can"):
        take_pool(train, 2)


def test_types_need_a_smaller_pool_than_descriptions() -> None:
    train = [record(f"{i}.jpg", f"screw/{i}") for i in range(9)]
    pool, _, _ = take_pool(train, 1, labels_are="type")
    assert len(pool) == 1
    with pytest.raises(DataError, match="9 labels|cannot be taken"):
        take_pool(train, 1)


@pytest.mark.parametrize(("size", "count"), [(2, 2), (5, 2), (0, 3)])
def test_a_pool_that_leaves_nothing_is_an_error(size: int, count: int) -> None:
    with pytest.raises(DataError, match="pool"):
        take_pool([record(f"{i}.jpg", "x") for i in range(count)], size)


def test_images_of_other_splits_and_images_without_objects_are_not_taken() -> None:
    train = [
        record("leak.jpg", "x"),
        record("empty.jpg"),
        record("free.jpg", "x", "x"),
        record("more.jpg", "x", "x", "x"),
    ]
    pool, _, _ = take_pool(train, 1, elsewhere={Path("leak.jpg").resolve()})
    assert names(pool) == ["free.jpg"]


def test_a_teacher_has_no_teachers() -> None:
    teacher = Scene(("t.jpg",), ())
    train = [replace(record("a.jpg", "x"), teachers=(teacher,)), record("b.jpg", "x", "x")]
    pool, _, _ = take_pool(train, 1)
    assert pool[0].teachers == ()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5), min_size=1), min_size=1, max_size=12
    )
)
def test_the_cover_is_complete_and_deterministic(labels: list[dict[str, int]]) -> None:
    everything = set().union(*labels)
    chosen = choose_cover(labels, len(labels))
    assert sorted(chosen) == list(range(len(labels)))
    covered = next(
        n for n in range(len(chosen) + 1) if set().union(*(labels[i] for i in chosen[:n])) == everything
    )
    assert choose_cover(labels, covered) == chosen[:covered]
    assert covered <= len(everything)


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_folder_gets_a_pool_that_is_disjoint_from_all_splits(tmp_path: Path) -> None:
    write_records(tmp_path / "train.jsonl", [record(f"{i}.jpg", "xy"[i % 2]) for i in range(6)])
    write_records(tmp_path / "val.jsonl", [record("./0.jpg", "x")])  # in other words the same file
    counts, warnings = make_pool(tmp_path, 2)
    assert counts == {"teacher_pool": 2, "train": 4}
    assert warnings == []
    pool = names(list(RecordFile(tmp_path / "teacher_pool.jsonl")))
    assert not set(pool) & set(names(list(RecordFile(tmp_path / "train.jsonl"))))
    assert "0.jpg" not in pool


def test_replacing_a_pool_gives_its_images_back_first(tmp_path: Path) -> None:
    write_records(tmp_path / "train.jsonl", [record(f"{i}.jpg", "x") for i in range(6)])
    make_pool(tmp_path, 3)
    with pytest.raises(DataError, match="is there already"):
        make_pool(tmp_path, 1)
    counts, _ = make_pool(tmp_path, 1, overwrite=True)
    assert counts == {"teacher_pool": 1, "train": 5}
    kept = [
        n for file in ("train", "teacher_pool") for n in names(list(RecordFile(tmp_path / f"{file}.jsonl")))
    ]
    assert sorted(kept) == [f"{i}.jpg" for i in range(6)]


def test_a_cover_is_chosen_with_a_few_looks_at_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    worth = pool._worth

    def counted(*arguments: Any) -> tuple[int, int, int, int]:
        nonlocal looks
        looks += 1
        return worth(*arguments)

    monkeypatch.setattr(pool, "_worth", counted)
    labels = [Counter([f"own {i}", f"shared {i % 50}"]) for i in range(2000)]
    with pytest.raises(DataError, match="a pool of 2000 images can"):
        choose_cover(labels, 8)
    assert looks < 10 * len(labels)  # each image at each choice: 1,000 an image
