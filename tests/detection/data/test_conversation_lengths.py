"""Lengths counted before a run are those that the run has."""

from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.core.errors import ArgusError, CheckpointError, DataError
from argusvl.detection.data.conversation_lengths import RecordTokens, count_records, open_processor
from argusvl.detection.data.records import Record, RecordFile, write_records

LIMITS = (28 * 28 * 4, 28 * 28 * 16)


def counted(scenes: Path, model: Path | None = None, root: Path | None = None) -> list[RecordTokens]:
    records = RecordFile(scenes, root)
    processor = open_processor([records], model=model, language="zh", max_pixels=LIMITS[1])
    found = list(count_records(records, processor, LIMITS, workers=2))
    assert all(isinstance(one, RecordTokens) for one in found)
    return [one for one in found if isinstance(one, RecordTokens)]


def test_records_are_counted_in_order_with_their_images_and_answers(scenes: Path) -> None:
    found = counted(scenes)
    assert len(found) == 5
    assert found[3].conversation > max(
        one.conversation for k, one in enumerate(found) if k != 3
    )  # two pictures
    assert all(0 < one.caption < one.as_teacher < one.conversation for one in found)


def test_a_teacher_adds_what_it_was_said_to_add(scenes: Path, tmp_path: Path) -> None:
    records = RecordFile(scenes)
    student, teacher = records[0].student, records[1].student
    file = tmp_path / "set.jsonl"
    write_records(file, [Record(student=student, teachers=(teacher,)), *(r for r in records)])
    with_teacher, alone, of_teacher = counted(file, root=scenes.parent)[:3]
    assert with_teacher.conversation == alone.conversation + of_teacher.as_teacher


def test_a_models_own_tokenizer_counts_where_it_is_named(scenes: Path, tiny_checkpoint: Path) -> None:
    own = counted(scenes, model=tiny_checkpoint)
    assert own == counted(scenes, model=tiny_checkpoint / "qwen")
    assert [one.conversation for one in own] != [one.conversation for one in counted(scenes)]


def test_a_record_that_cannot_be_used_is_an_answer_not_an_end(scenes: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    first = scenes.read_text("utf-8").splitlines()[0]
    bad.write_text(first + '\n{"images": ["gone.png"], "objects": []}\n' + first + "\n", "utf-8")
    records = RecordFile(bad, scenes.parent)
    processor = open_processor([records], model=None, language="zh", max_pixels=LIMITS[1])
    found = list(count_records(records, processor, LIMITS))
    assert [isinstance(one, RecordTokens) for one in found] == [True, False, True]
    assert isinstance(found[1], ArgusError) and "gone.png" in str(found[1])


def test_nothing_to_learn_from_and_no_tokenizer_are_errors(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text("{\n")
    with pytest.raises(DataError, match="no record can be read"):
        open_processor([RecordFile(tmp_path / "set.jsonl")], model=None, language="en", max_pixels=9999)
    with pytest.raises(CheckpointError):
        open_processor([], model=tmp_path, language="en", max_pixels=9999)
