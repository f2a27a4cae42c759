from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argusvl.core.errors import DataError
from argusvl.detection.data.manifest import (
    ManifestSource,
    SplitOrigin,
    build_manifest,
    read_manifest,
    write_manifest,
)
from argusvl.detection.data.preparing.split import SplitOptions, split_file, split_records, stratify
from argusvl.detection.data.records import ObjectAnnotation, Record, RecordFile, Scene, write_records


def record(name: str, *labels: str) -> Record:
    return Record(Scene((name,), tuple(ObjectAnnotation((0, 0, 9, 9), label) for label in labels)))


def names(records: list[Record]) -> list[str]:
    return [r.student.images[0] for r in records]


def shares(records: list[Record], val: list[Record]) -> dict[str, float]:
    """Label → share of the images with it that are in val."""
    everywhere = Counter(o for r in records for o in {a.desc for a in r.student.objects})
    held_out = Counter(o for r in val for o in {a.desc for a in r.student.objects})
    return {label: held_out[label] / count for label, count in everywhere.items()}


def test_every_label_is_split_in_its_proportion() -> None:
    # 300 images with a common label, a middling one on every sixth, a rare one on every thirtieth.
    records = [
        record(
            f"{i}.jpg", "common", *(["middling"] if i % 6 == 0 else []), *(["rare"] if i % 30 == 7 else [])
        )
        for i in range(300)
    ]
    for seed in range(5):
        train, val = split_records(records, SplitOptions(0.2, seed))
        assert shares(records, val) == pytest.approx({"common": 0.2, "middling": 0.2, "rare": 0.2}, abs=0.01)
        assert len(train) + len(val) == 300


def test_a_scene_is_never_divided() -> None:
    records = [record(f"board_{i // 7}/shot{i}.jpg", "xyz"[i % 3]) for i in range(140)]
    train, val = split_records(records, SplitOptions(0.25, 1, r"board_(\d+)"))
    assert not {n.split("/")[0] for n in names(train)} & {n.split("/")[0] for n in names(val)}
    assert abs(len(val) - 35) <= 7  # a scene more or less


@pytest.mark.parametrize("key", [None, r"shot\d+"])
def test_records_of_one_image_stay_together(key: str | None) -> None:
    # One question or object a line; every fifth record shows the next image as well.
    records = [record(f"shot{i // 3}.jpg", "xyz"[i % 3]) for i in range(120)]
    both = [Record(Scene((f"./shot{i}.jpg", f"shot{i + 1}.jpg"), ())) for i in range(0, 40, 5)]
    train, val = split_records([*records, *both], SplitOptions(0.25, 1, key))
    held_out = {image.removeprefix("./") for one in val for image in one.student.images}
    assert not held_out & {image.removeprefix("./") for one in train for image in one.student.images}
    assert abs(len(val) - 32) <= 3


def test_a_key_without_groups_is_what_it_matches() -> None:
    records = [record(f"{day}-{i}.jpg", "x") for day in ("mon", "tue", "wed", "thu") for i in range(3)]
    _, val = split_records(records, SplitOptions(0.25, 1, r"^[a-z]+"))
    assert len({n.split("-")[0] for n in names(val)}) == 1
    assert len(val) == 3


def test_labels_that_occur_once_do_not_starve_val() -> None:
    # Free descriptions: every one stands once. Dealt by label, all of them would go to train.
    records = [record(f"{i}.jpg", f"a sentence of its own {i}") for i in range(100)]
    _, val = split_records(records, SplitOptions(0.2, 0))
    assert len(val) == 20


def test_a_single_rare_label_is_trained_on() -> None:
    records = [record(f"{i}.jpg", "common") for i in range(50)] + [record("rare.jpg", "common", "rare")]
    for seed in range(10):
        train, _ = split_records(records, SplitOptions(0.2, seed))
        assert "rare.jpg" in names(train)


def test_types_can_be_what_is_kept_in_proportion() -> None:
    records = [record(f"{i}.jpg", f"screw/{i}") for i in range(40)]
    records += [record(f"p{i}.jpg", f"plug/{i}") for i in range(10)]
    _, val = split_records(records, SplitOptions(0.2, 0, labels_are="type"))
    assert Counter(n[0] == "p" for n in names(val)) == {False: 8, True: 2}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.frozensets(st.sampled_from("abcdef"), max_size=3)),
        min_size=2,
        max_size=30,
    ),
    st.floats(0.01, 0.9),
    st.integers(0, 5),
)
def test_it_always_splits_and_always_the_same(
    groups: list[tuple[int, frozenset[str]]], fraction: float, seed: int
) -> None:
    sizes = [size for size, _ in groups]
    labels = [dict.fromkeys(shown, size) for size, shown in groups]
    sides = stratify(sizes, labels, fraction, seed)
    assert any(sides)
    assert not all(sides)
    assert stratify(sizes, labels, fraction, seed) == sides


def test_the_seed_decides() -> None:
    records = [record(f"{i}.jpg", "x") for i in range(30)]
    picked = {tuple(names(split_records(records, SplitOptions(0.2, seed))[1])) for seed in range(5)}
    assert len(picked) > 1


def test_nothing_is_held_out_where_the_share_is_0() -> None:
    records = [record("a.jpg", "x"), record("b.jpg", "x")]
    assert split_records(records, SplitOptions(0.0, 0)) == (records, [])


@pytest.mark.parametrize(
    ("fraction", "key", "said"),
    [
        *((fraction, None, "val_fraction") for fraction in (-0.1, 1.0, float("nan"))),
        (0.2, "jpg", "1 scene cannot be split"),
        (0.2, r"board_(\d+)", r"does not match the image 'other\.jpg'"),
        (0.2, "board_(", "no regular expression"),
    ],
)
def test_what_cannot_be_split_is_an_error(fraction: float, key: str | None, said: str) -> None:
    with pytest.raises(DataError, match=said):
        split_records([record("board_1.jpg", "x"), record("other.jpg", "x")], SplitOptions(fraction, 0, key))


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    records = [record(f"images/{i}.jpg", "xy"[i % 2]) for i in range(10)]
    write_records(tmp_path / "train.jsonl", records)
    manifest = build_manifest(
        source=ManifestSource(path="photos", format="voc"),
        limits=None,
        split_origin=SplitOrigin(made_by="source"),
        splits={"train": records},
        images=(),
    )
    write_manifest(tmp_path, manifest)
    return tmp_path


def test_a_folder_gets_a_val_and_an_updated_manifest(folder: Path) -> None:
    assert split_file(folder, SplitOptions(0.2, 4)) == {"train": 8, "val": 2}
    val, train = list(RecordFile(folder / "val.jsonl")), list(RecordFile(folder / "train.jsonl"))
    assert sorted(names(val) + names(train)) == [f"images/{i}.jpg" for i in range(10)]
    manifest = read_manifest(folder)
    assert {name: c.images for name, c in manifest.splits.items()} == {"train": 8, "val": 2}
    assert manifest.split_origin.seed == 4


def test_a_file_of_any_name_is_left_as_it_is(tmp_path: Path) -> None:
    write_records(tmp_path / "all.jsonl", [record(f"{i}.jpg", "x") for i in range(5)])
    before = (tmp_path / "all.jsonl").read_bytes()
    split_file(tmp_path / "all.jsonl", SplitOptions(0.2, 0))
    assert (tmp_path / "all.jsonl").read_bytes() == before
    assert len(RecordFile(tmp_path / "val.jsonl")) == 1


def test_an_existing_val_is_replaced_only_if_asked_and_no_record_lost(folder: Path) -> None:
    split_file(folder, SplitOptions(0.2, 0))
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(DataError, match=r"val\.jsonl: is there already"):
        split_file(folder, SplitOptions(0.5, 0))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    split_file(folder, SplitOptions(0.5, 0), overwrite=True)
    kept = names(list(RecordFile(folder / "val.jsonl"))) + names(list(RecordFile(folder / "train.jsonl")))
    assert sorted(kept) == [f"images/{i}.jpg" for i in range(10)]


@pytest.mark.parametrize("spoil", ["record", "manifest"])
def test_what_cannot_be_read_stops_it_before_anything_is_written(folder: Path, spoil: Any) -> None:
    with (folder / ("train.jsonl" if spoil == "record" else "manifest.json")).open("a") as stream:
        stream.write("{oops\n")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(DataError):
        split_file(folder, SplitOptions(0.2, 0))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
