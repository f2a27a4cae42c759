"""A scan reads each record once for all measurements, and what it finds is kept as long as it is true."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from argusvl.core.errors import DataError
from argusvl.detection.data import records, scan_cache
from argusvl.detection.data.descriptions import Descriptions, scenes_of
from argusvl.detection.data.measuring.conversation_lengths import Lengths, open_processor
from argusvl.detection.data.measuring.survey import Shapes
from argusvl.detection.data.records import ObjectAnnotation, Record, RecordFile, Scene, write_records
from argusvl.detection.data.sampling.tokenizer import learned_tokenizer
from argusvl.detection.data.scan import Measurement, scan

NAMES = ("screw/tight", "screw/loose", "标签", "teacher's")
LIMITS = (28 * 28 * 4, 28 * 28 * 16)

Reads = Counter[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Forty records of three pictures; some bring a teacher, some have no object."""
    rng = np.random.default_rng(0)
    for k in range(3):
        pixels = rng.integers(0, 256, (60 + 4 * k, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")

    def scene(k: int, objects: int) -> Scene:
        boxes = [(float(i), float(k), float(i + 9), float(k + 9 + i)) for i in range(objects)]
        return Scene((f"{k % 3}.png",), tuple(ObjectAnnotation(b, NAMES[i % 3]) for i, b in enumerate(boxes)))

    teacher = Scene(("0.png",), (ObjectAnnotation((1.0, 1.0, 8.0, 8.0), NAMES[3]),))
    all_records = [Record(scene(k, k % 5), (teacher,) if k % 7 == 3 else ()) for k in range(40)]
    write_records(tmp_path / "set.jsonl", all_records)
    return tmp_path / "set.jsonl"


@pytest.fixture
def small_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_cache, "CACHED_FROM", 1)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """How often each line was parsed."""
    count: Reads = Counter()
    decode = records.decode_line

    def counting(line: bytes) -> Any:
        count[line.decode()] += 1
        return decode(line)

    monkeypatch.setattr(records, "decode_line", counting)
    return count


def found(one: Measurement[Any]) -> dict[str, Any]:
    """What was measured, comparable."""
    return {
        name: [*map(tuple, v)] if name == "images" else v for name in one.keeps for v in [getattr(one, name)]
    }


def lengths_for(file: Path) -> Lengths:
    processor = open_processor(scenes_of(RecordFile(file)), model=None, language="en", max_pixels=LIMITS[1])
    return Lengths(processor, LIMITS)


def test_each_record_is_read_once_for_all_measurements(file: Path, parsed: Reads) -> None:
    measured = [Descriptions(), Shapes(), lengths_for(file)]
    parsed.clear()
    scan(RecordFile(file), measured, workers=2)
    assert parsed == Counter(file.read_text("utf-8").splitlines(keepends=True))
    assert measured[0].counts["screw/loose"] == sum(k % 5 >= 2 for k in range(40))
    assert measured[0].counts.keys() == set(NAMES[:3])  # of students alone
    assert sum(len(one.images) for one in measured if isinstance(one, Shapes)) == 40 + 6


@pytest.mark.parametrize("make", [Descriptions, Shapes, lengths_for])
def test_threads_find_what_one_finds_and_what_is_kept_is_the_same(
    file: Path, make: Callable[..., Measurement[Any]], small_files_too: None, parsed: Reads
) -> None:
    measured = [make(file) if make is lengths_for else make() for _ in range(3)]
    scan(RecordFile(file), measured[:1], workers=1)
    kept = file.with_name("set.jsonl.facts") / f"{measured[0].name}.bin"
    kept.unlink()
    scan(RecordFile(file), measured[1:2], workers=4)
    assert kept.is_file()
    parsed.clear()
    scan(RecordFile(file), measured[2:])
    assert not parsed
    assert found(measured[0]) == found(measured[1]) == found(measured[2])
    assert any(found(measured[2]).values())


def test_a_tokenizer_is_kept(file: Path, small_files_too: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def tokenizer(seed: int = 0) -> Any:
        opened = RecordFile(file)
        how = {"prompt_language": "en", "max_pixels": 9999, "seed": seed, "vocab_size": 400}
        return learned_tokenizer(scenes_of(opened), **how, learned_for=opened)

    learned = tokenizer().backend_tokenizer.to_str()
    monkeypatch.delattr("argusvl.detection.data.sampling.tokenizer._learn_vocabulary")
    assert tokenizer().backend_tokenizer.to_str() == learned
    with pytest.raises(NameError, match="_learn_vocabulary"):
        tokenizer(seed=1)


def test_a_changed_line_is_read_anew(file: Path, small_files_too: None) -> None:
    scan(RecordFile(file), [Descriptions()])
    text = file.read_text("utf-8")
    stat = file.stat()
    file.write_text(text.replace("loose", "LOOSE", 1), "utf-8")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as many bytes, the old time
    again = Descriptions()
    scan(RecordFile(file), [again])
    assert again.counts["screw/LOOSE"] == 1
    fewer = Descriptions()
    scan(RecordFile(file, max_examples=3), [fewer])
    assert sum(fewer.counts.values()) == 0 + 1 + 2


def test_a_changed_image_is_read_anew(file: Path, small_files_too: None) -> None:
    scan(RecordFile(file), [Shapes()])
    Image.new("RGB", (100, 90)).save(file.with_name("1.png"))
    again = Shapes()
    scan(RecordFile(file), [again])
    assert {tuple(one)[:2] for one in again.images} == {(80, 60), (100, 90), (80, 68)}
    file.with_name("1.png").unlink()
    without = Shapes()
    scan(RecordFile(file), [without])
    assert {type(error).__name__ for _, error in without.bad} == {"ImageError"}
    assert len(without.bad) == len(range(1, 40, 3))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other", "swapped", "folder"])
def test_what_is_damaged_is_found_anew(file: Path, small_files_too: None, damage: str) -> None:
    first, again = Descriptions(), Descriptions()
    scan(RecordFile(file), [first, Shapes()])
    kept = file.with_name("set.jsonl.facts") / "descriptions.bin"
    data = kept.read_bytes()
    middle = len(data) // 2
    changed = {
        "cut": data[:middle],
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "empty": b"",
        "swapped": kept.with_name("shapes.bin").read_bytes(),
        "other": b"no facts at all" * 99,
    }
    kept.unlink()
    if damage == "folder":
        kept.mkdir()
    else:
        kept.write_bytes(changed[damage])
    scan(RecordFile(file), [again])
    assert found(again) == found(first)
    assert kept.is_dir() or kept.read_bytes() == data


def test_where_nothing_can_be_written_everything_is_found_and_it_is_said(
    file: Path, small_files_too: None, caplog: pytest.LogCaptureFixture
) -> None:
    file.with_name("set.jsonl.facts").write_text("in the way")
    seen = Descriptions()
    with caplog.at_level(logging.INFO, "argusvl"):
        scan(RecordFile(file), [seen])
    assert seen.counts and "is not kept" in caplog.text


def test_the_folder_of_a_few_records_stays_as_it_was(file: Path) -> None:
    before = sorted(file.parent.iterdir())
    scan(RecordFile(file), [Descriptions(), Shapes()])
    assert sorted(file.parent.iterdir()) == before


def test_a_bad_record_is_noted_or_refused_and_told_each_time(file: Path, small_files_too: None) -> None:
    lines = file.read_text("utf-8").splitlines()
    file.write_text("\n".join([*lines[:2], "{", "", *lines[2:]]) + "\n", "utf-8")
    for _ in range(2):
        seen = Descriptions()
        scan(RecordFile(file), [seen])
        assert [where for where, _ in seen.bad] == [f"{file}:3"]
        assert list(seen.scenes(2)) == list(scenes_of(RecordFile(file)[:2]))
        with pytest.raises(DataError, match="set.jsonl:3"):
            scan(RecordFile(file), [Descriptions()], strict=True)
