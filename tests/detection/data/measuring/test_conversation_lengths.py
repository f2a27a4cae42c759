"""Lengths counted before a run are those that the run has."""

from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.core.errors import CheckpointError, DataError
from argusvl.detection.data.descriptions import Descriptions
from argusvl.detection.data.measuring.conversation_lengths import Lengths, open_processor
from argusvl.detection.data.records import Record, RecordFile, write_records
from argusvl.detection.data.scan import scan

LIMITS = (28 * 28 * 4, 28 * 28 * 16)


def counted(scenes: Path, model: Path | None = None, root: Path | None = None) -> Lengths:
    found = lengths_of(RecordFile(scenes, root), model)
    assert not found.bad
    return found


def lengths_of(records: RecordFile, model: Path | None = None) -> Lengths:
    described = Descriptions()
    scan(records, [described])
    processor = open_processor(described.scenes(), model=model, language="zh", max_pixels=LIMITS[1])
    lengths = Lengths(processor, LIMITS)
    scan(records, [lengths], workers=2)
    return lengths


def test_records_are_counted_in_order_with_their_images_and_answers(scenes: Path) -> None:
    found = counted(scenes)
    whole = list(found.conversations)
    assert len(whole) == 5 and sorted(whole)[-2] < whole[3]  # two pictures
    each = zip(found.captions, found.as_teacher, whole, strict=True)
    assert all(0 < caption < as_teacher < conversation for caption, as_teacher, conversation in each)


def test_a_teacher_adds_what_it_was_said_to_add(scenes: Path, tmp_path: Path) -> None:
    records = RecordFile(scenes)
    student, teacher = records[0].student, records[1].student
    file = tmp_path / "set.jsonl"
    write_records(file, [Record(student=student, teachers=(teacher,)), *(r for r in records)])
    found = counted(file, root=scenes.parent)
    with_teacher, alone = found.conversations[:2]
    assert with_teacher == alone + found.as_teacher[2]


def test_a_models_own_tokenizer_counts_where_it_is_named(scenes: Path, tiny_checkpoint: Path) -> None:
    own = counted(scenes, model=tiny_checkpoint).conversations
    assert own == counted(scenes, model=tiny_checkpoint / "qwen").conversations
    assert own != counted(scenes).conversations


def test_a_record_that_cannot_be_used_is_an_answer_not_an_end(scenes: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    first = scenes.read_text("utf-8").splitlines()[0]
    bad.write_text(first + '\n{"images": ["gone.png"], "objects": []}\n' + first + "\n", "utf-8")
    found = lengths_of(RecordFile(bad, scenes.parent))
    assert len(found.conversations) == 2
    ((where, error),) = found.bad
    assert where == f"{bad}:2" and "gone.png" in str(error)


def test_nothing_to_learn_from_and_no_tokenizer_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no record can be read"):
        open_processor([], model=None, language="en", max_pixels=9999)
    with pytest.raises(CheckpointError):
        open_processor([], model=tmp_path, language="en", max_pixels=9999)
