"""Lengths counted before a run are those that the run has."""

from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.core.errors import CheckpointError, DataError
from argusvl.detection.data.descriptions import Descriptions
from argusvl.detection.data.measuring.conversation_lengths import Lengths, open_processor
from argusvl.detection.data.records import Record, RecordFile, write_records
from argusvl.detection.data.sampling.samples import VisionLimits, measure_scene
from argusvl.detection.data.scan import scan

LIMITS = (28 * 28 * 4, 28 * 28 * 16)


def lengths_of(file: Path, model: Path | None = None, root: Path | None = None) -> Lengths:
    described, records = Descriptions(), RecordFile(file, root)
    scan(records, [described])
    processor = open_processor(described.scenes(), model=model, language="zh", max_pixels=LIMITS[1])
    lengths = Lengths(processor, LIMITS)
    scan(records, [lengths], workers=2)
    return lengths


def test_records_are_counted_in_order_with_their_images_and_answers(scenes: Path) -> None:
    found = lengths_of(scenes)
    whole = found.conversations.tolist()
    assert not found.bad
    assert len(whole) == 5 and sorted(whole)[-2] < whole[3]  # two pictures
    each = zip(found.students[:, 0].tolist(), whole, strict=True)
    assert all(0 < as_teacher < conversation for as_teacher, conversation in each)


def test_a_teacher_adds_what_it_was_said_to_add(scenes: Path, tmp_path: Path, tiny_checkpoint: Path) -> None:
    records = RecordFile(scenes)
    student, teacher = records[0].student, records[1].student
    file = tmp_path / "set.jsonl"
    write_records(file, [Record(student=student, teachers=(teacher,)), *(r for r in records)])
    found = lengths_of(file, tiny_checkpoint, root=scenes.parent)
    processor = open_processor([], model=tiny_checkpoint, language="zh", max_pixels=LIMITS[1])
    limits = VisionLimits(*LIMITS, 99, 99, "refuse")
    turns = [measure_scene(one, scenes.parent, limits, "") for one in (student, teacher)]
    whole, alone = processor.training(turns[0], turns[1:]), processor.training(turns[0])
    assert found.conversations[:2].tolist() == [len(whole), len(alone)]
    assert len(whole) == len(alone) + found.students[2, 0]


def test_a_models_own_tokenizer_counts_where_it_is_named(scenes: Path, tiny_checkpoint: Path) -> None:
    own, stock, learned = (
        lengths_of(scenes, model).conversations.tolist()
        for model in (tiny_checkpoint, tiny_checkpoint / "qwen", None)
    )
    assert own == stock != learned


def test_a_record_that_cannot_be_used_is_an_answer_not_an_end(scenes: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    first = scenes.read_text("utf-8").splitlines()[0]
    bad.write_text(first + '\n{"images": ["gone.png"], "objects": []}\n' + first + "\n", "utf-8")
    found = lengths_of(bad, root=scenes.parent)
    assert len(found.conversations) == 2
    ((where, error),) = found.bad
    assert where == f"{bad}:2" and "gone.png" in str(error)


def test_nothing_to_learn_from_and_no_tokenizer_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no record can be read"):
        open_processor([], model=None, language="en", max_pixels=9999)
    with pytest.raises(CheckpointError):
        open_processor([], model=tmp_path, language="en", max_pixels=9999)
