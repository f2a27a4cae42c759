"""Token counts by part: they add up, name the longest records and flag those that are too long."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from argusvl.detection.data.measuring.token_table import PARTS, TOTAL, token_table
from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.data.sampling.dataset import DetectionDataset, TeacherSettings


def make_dataset(photo_set: Any, processor: ChatProcessor, ratio: float) -> DetectionDataset:
    return DetectionDataset(
        photo_set.train,
        processor,
        limits=photo_set.limits,
        teachers=TeacherSettings(photo_set.pool, ratio, 2),
        augmentation=None,
        seed=0,
    )


def test_parts_add_up(photo_set: Any, make_processor: Callable[..., ChatProcessor]) -> None:
    dataset = make_dataset(photo_set, make_processor(max_length=sys.maxsize), 0.5)
    conversations = [dataset[i].conversation for i in range(len(dataset))]
    lengths = [len(c) for c in conversations]
    limit = sorted(lengths)[-3]
    table = token_table(dataset, limit, longest=4)
    rows = {row.part: row for row in table.parts}
    assert list(rows) == [*PARTS, TOTAL]
    assert rows[TOTAL].total == sum(lengths) == sum(rows[name].total for name in PARTS)
    assert (rows[TOTAL].least, rows[TOTAL].most) == (min(lengths), max(lengths))
    assert rows["student image"].mean == 12
    assert rows["teacher image"].most == 24
    assert rows["teacher answer"].total == sum(
        p.stop - p.start for c in conversations for p in c.answers if p.role == "teacher"
    )
    assert table.records == 12
    assert table.with_teachers == sum(c.num_teachers > 0 for c in conversations)
    assert 0 < table.with_teachers < 12
    assert table.too_long == sum(length > limit for length in lengths) > 0
    assert [r.tokens for r in table.longest] == sorted(lengths, reverse=True)[:4]
    assert all(lengths[r.index] == r.tokens for r in table.longest)
    assert table.longest[0].source == photo_set.train[table.longest[0].index].source
