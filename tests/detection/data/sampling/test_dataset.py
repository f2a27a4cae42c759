"""The data set: decided by seed, epoch and index alone; teachers as configured; bad input named."""

from __future__ import annotations

import itertools
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from argusvl.core.errors import ConfigError
from argusvl.detection.data.labels import checked_labels, labels_of
from argusvl.detection.data.records import ObjectAnnotation, RecordFile
from argusvl.detection.data.sampling.augmentation import Augmentation
from argusvl.detection.data.sampling.conversation import ChatProcessor, ConversationTooLongError
from argusvl.detection.data.sampling.dataset import DetectionDataset, TeacherSettings
from argusvl.detection.data.sampling.packing import PackingSettings
from argusvl.detection.data.sampling.samples import QueryLimit, Sample

STRONG = Augmentation(
    **dict.fromkeys(("horizontal_flip", "vertical_flip", "rotate90"), 0.5),
    **dict.fromkeys(("brightness", "contrast", "saturation", "min_visible"), 0.3),
    **{"scale_min": 0.7, "scale_max": 1.4, "hue": 0.1},
)


MakeDataset = Callable[..., DetectionDataset]


@pytest.fixture
def make_dataset(photo_set: Any, processor: ChatProcessor) -> MakeDataset:
    def make(**changed: Any) -> DetectionDataset:
        settings: dict[str, Any] = {
            "limits": photo_set.limits,
            "teachers": TeacherSettings(photo_set.pool, 0.7, 1),
            "augmentation": STRONG,
            "seed": 3,
        }
        settings |= changed
        return DetectionDataset(
            settings.pop("records", photo_set.train), settings.pop("processor", processor), **settings
        )

    return make


def same(a: Sample, b: Sample) -> bool:
    return (
        np.array_equal(a.conversation.input_ids, b.conversation.input_ids)
        and a.objects == b.objects
        and len(a.images) == len(b.images)
        and all(np.array_equal(x, y) for x, y in zip(a.images, b.images, strict=True))
    )


@pytest.mark.parametrize(
    ("file", "ratio", "other"), [("train", 0.0, True), ("pool", 0.7, True), ("pool", 0.0, False)]
)
def test_other_records_or_demonstrations_are_other_data(
    make_dataset: MakeDataset, photo_set: Any, file: str, ratio: float, other: bool
) -> None:
    dataset = make_dataset(teachers=TeacherSettings(photo_set.pool, ratio, 1))
    before, path = dataset.fingerprint(), getattr(photo_set, file).path
    assert (before == photo_set.train.fingerprint()) == (ratio == 0)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"0", b"1", 1))
    after = dataset.fingerprint()
    path.write_bytes(content)
    assert (after != before) == other


def test_seed_epoch_and_index_decide_a_sample_in_any_order(make_dataset: MakeDataset) -> None:
    forwards, backwards = make_dataset(), make_dataset()
    first = [forwards[i] for i in range(len(forwards))]
    second = [backwards[i] for i in reversed(range(len(backwards)))][::-1]
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    for other in (make_dataset(seed=4), at_epoch(make_dataset(), 1)):
        assert sum(same(other[i], first[i]) for i in range(len(first))) <= 1
    assert all(same(at_epoch(forwards, 0)[i], first[i]) for i in range(3))


def at_epoch(dataset: DetectionDataset, epoch: int) -> DetectionDataset:
    dataset.set_epoch(epoch)
    return dataset


def test_augmentation_changes_neither_the_teachers_nor_what_is_measured(make_dataset: MakeDataset) -> None:
    plain, augmented = make_dataset(augmentation=None), make_dataset()
    for i in range(len(plain)):
        ours, theirs, measured = plain[i], augmented[i], augmented.measure(i)
        np.testing.assert_array_equal(measured.input_ids, ours.conversation.input_ids)
        assert measured.parts == ours.conversation.parts
        assert ours.conversation.num_teachers == theirs.conversation.num_teachers
        for a, b in zip(ours.images[:-1], theirs.images[:-1], strict=True):
            np.testing.assert_array_equal(a, b)


def test_teachers_and_changes_are_drawn_apart(make_dataset: MakeDataset, photo_set: Any) -> None:
    nothing = dict.fromkeys(("vertical_flip", "rotate90", "hue"), 0.0)
    nothing |= dict.fromkeys(("brightness", "contrast", "saturation"), 0.0)
    flips = replace(STRONG, **nothing, scale_min=1.0, scale_max=1.0)
    dataset = make_dataset(teachers=TeacherSettings(photo_set.pool, 0.5, 1), augmentation=flips)
    plain = make_dataset(teachers=None, augmentation=None)
    seen = set()
    for epoch in range(3):
        dataset.set_epoch(epoch)
        for i in range(len(dataset)):
            sample = dataset[i]
            changed = not np.array_equal(sample.images[-1], plain[i].images[0])
            seen.add((sample.conversation.num_teachers, changed))
    assert len(seen) == 4


def test_a_plain_sample_is_its_record(make_dataset: MakeDataset, photo_set: Any) -> None:
    dataset = make_dataset(augmentation=None, teachers=None)
    for i, record in enumerate(photo_set.train):
        sample = dataset[i]
        assert sample.objects == record.student.objects
        assert sample.source == record.source == dataset.sample_name(i)
        assert len(sample.images) == 1
        assert sample.conversation.num_teachers == 0
    assert same(dataset[-1], dataset[len(dataset) - 1])
    with pytest.raises(IndexError):
        dataset[len(dataset)]


@pytest.mark.parametrize("ratio", [0.0, 0.7, 1.0])
def test_the_ratio_gets_its_teachers(make_dataset: MakeDataset, photo_set: Any, ratio: float) -> None:
    dataset = make_dataset(augmentation=None, teachers=TeacherSettings(photo_set.pool, ratio, 2))
    counts = []
    for epoch in range(20):
        dataset.set_epoch(epoch)
        counts += [dataset.measure(i).num_teachers for i in range(len(dataset))]
    assert set(counts) <= {0, 2}
    # 240 draws: 4 standard deviations are 0.12.
    assert abs(np.mean(np.array(counts) == 2) - ratio) <= (0.12 if 0 < ratio < 1 else 0)


def test_every_teacher_is_drawn_and_none_twice(make_dataset: MakeDataset, photo_set: Any) -> None:
    dataset = make_dataset(augmentation=None, teachers=TeacherSettings(photo_set.pool, 1.0, 2))
    drawn = set()
    for epoch in range(5):
        dataset.set_epoch(epoch)
        for i in range(len(dataset)):
            pictures = [image.tobytes() for image in dataset[i].images]
            assert len(set(pictures)) == 3
            drawn |= set(pictures[:2])
    assert len(drawn) == len(photo_set.pool)


def test_a_student_is_never_its_own_teacher(make_dataset: MakeDataset, photo_set: Any) -> None:
    dataset = make_dataset(augmentation=None, teachers=TeacherSettings(photo_set.train, 1.0, 3))
    for i in range(len(dataset)):
        pictures = [image.tobytes() for image in dataset[i].images]
        assert len(pictures) == 4
        assert pictures[-1] not in pictures[:-1]


def test_a_record_with_teachers_of_its_own_gets_those(
    make_dataset: MakeDataset, photo_set: Any, write_scene: Callable[..., RecordFile]
) -> None:
    records = write_scene(ObjectAnnotation((1, 1, 9, 9), "标签贴纸"), teachers=2)
    for pool, ratio, shown in ((photo_set.pool, 1.0, 2), (photo_set.pool, 0.0, 0), (None, 1.0, 2)):
        dataset = make_dataset(records=records, teachers=TeacherSettings(pool, ratio, 1))
        assert dataset[0].conversation.num_teachers == shown
    without = make_dataset(teachers=TeacherSettings(None, 1.0, 1))
    assert without[0].conversation.num_teachers == 0


def test_a_pool_smaller_than_the_number_of_teachers_is_refused(photo_set: Any) -> None:
    with pytest.raises(ConfigError, match=r"num_teachers is 6.*pool.jsonl has 5"):
        TeacherSettings(photo_set.pool, 0.5, 6)


def test_teachers_that_do_not_fit_are_left_out_with_their_pictures(
    make_dataset: MakeDataset, make_processor: Callable[..., ChatProcessor], photo_set: Any
) -> None:
    plain = make_dataset(augmentation=None, teachers=None)
    longest = max(len(plain[i].conversation) for i in range(len(plain)))
    dataset = make_dataset(
        augmentation=None,
        teachers=TeacherSettings(photo_set.pool, 1.0, 3),
        processor=make_processor(max_length=longest + 40, policy="drop_teachers"),
    )
    dropped = 0
    for i in range(len(dataset)):
        sample = dataset[i]
        assert len(sample.images) == len(sample.conversation.grids) == sample.conversation.num_teachers + 1
        np.testing.assert_array_equal(sample.images[-1], plain[i].images[0])
        dropped += sample.conversation.dropped_teachers
    assert dropped


def test_a_changed_picture_that_is_too_long_is_shown_unchanged_but_a_record_that_is_too_long_is_refused(
    make_dataset: MakeDataset, make_processor: Callable[..., ChatProcessor], photo_set: Any
) -> None:
    plain = make_dataset(augmentation=None, teachers=None)
    lengths = [len(plain[i].conversation) for i in range(len(plain))]
    longest = int(np.argmax(lengths))
    moved = replace(STRONG, min_visible=0.0)
    dataset = make_dataset(
        teachers=None, augmentation=moved, processor=make_processor(max_length=lengths[longest])
    )
    unchanged = 0
    for epoch in range(8):
        dataset.set_epoch(epoch)
        for i in range(len(dataset)):
            unchanged += same(dataset[i], plain[i])
    assert unchanged
    tight = make_dataset(
        teachers=None, augmentation=moved, processor=make_processor(max_length=lengths[longest] - 1)
    )
    with pytest.raises(ConversationTooLongError, match=photo_set.train[longest].source):
        for epoch in range(8):
            tight.set_epoch(epoch)
            tight[longest]


@pytest.mark.parametrize(("limit", "most"), [(QueryLimit(2, False), 2), (QueryLimit(90, True), 48)])
def test_an_image_with_more_objects_than_can_be_found_is_named_once(
    make_dataset: MakeDataset,
    write_scene: Callable[..., RecordFile],
    caplog: pytest.LogCaptureFixture,
    limit: QueryLimit,
    most: int,
) -> None:
    crowd = [ObjectAnnotation((10, 10, 60, 60), "标签贴纸")] * (most + 1)
    dataset = make_dataset(records=write_scene(*crowd), teachers=None, augmentation=None, query_limit=limit)
    assert dataset[0].objects == dataset[0].objects  # in the second epoch nothing more is said
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert re.match(rf".*scene.jsonl:1 \(picture0.png\): {most + 1} objects .* {most}: ", said)
    caplog.clear()
    assert make_dataset(records=write_scene(*crowd[1:]), teachers=None, augmentation=None, query_limit=limit)[
        0
    ]
    assert not caplog.records


def test_each_image_is_changed(make_dataset: MakeDataset, write_scene: Callable[..., RecordFile]) -> None:
    objects = [ObjectAnnotation((10, 10, 60, 60), "标签贴纸", image=i) for i in (0, 1, 1)]
    dataset = make_dataset(records=write_scene(*objects, images=2), teachers=None)
    for epoch in range(6):
        dataset.set_epoch(epoch)
        sample = dataset[0]
        assert len(sample.images) == 2
        assert not np.array_equal(*sample.images) or sample.images[0].shape != sample.images[1].shape
        for annotation in sample.objects:
            height, width = sample.images[annotation.image].shape[:2]
            assert annotation.bbox_2d[2] <= width
            assert annotation.bbox_2d[3] <= height


class Fingerprints(Dataset[int]):
    """Samples as one number each, so that a loader may pass them on."""

    def __init__(self, dataset: DetectionDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> int:
        sample = self.dataset[index]
        return int(sample.conversation.input_ids.sum()) + int(sample.images[-1].astype(np.int64).sum())


def test_running_workers_see_the_new_epoch(make_dataset: MakeDataset) -> None:
    dataset = Fingerprints(make_dataset())
    loader: DataLoader[int] = DataLoader(dataset, batch_size=6, num_workers=1, persistent_workers=True)
    for epoch in (0, 1, 5):
        dataset.dataset.set_epoch(epoch)
        found = torch.cat(list(loader)).tolist()
        assert found == [dataset[i] for i in range(len(dataset))]


def test_it_can_be_pickled_with_its_epoch(make_dataset: MakeDataset) -> None:
    dataset = at_epoch(make_dataset(), 2)
    dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.epoch == 2
    assert same(copy[1], dataset[1])


@pytest.mark.parametrize("packing", [None, PackingSettings(None, 2)])
def test_the_largest_batch_is_largest(make_dataset: MakeDataset, packing: PackingSettings | None) -> None:
    dataset = make_dataset(packing=packing)
    sizes = dataset._sizes(0).sum(1)
    largest = dataset.largest_batch(2, 1)
    if packing is None:
        batches = [list(pair) for pair in itertools.combinations(range(len(dataset)), 2)]
    else:
        batches = list(dataset.batches(0, 1))
        assert largest in batches
    assert sizes[largest].sum() == max(sizes[batch].sum() for batch in batches)


def test_labels_are_first_segments_or_whole_descriptions() -> None:
    texts = ["乙/一", "甲", "乙/二", "甲"]
    assert labels_of(texts, "open") == sorted(["乙", "甲"])
    assert labels_of(texts, "closed") == sorted(["乙/一", "乙/二", "甲"])
    assert checked_labels(["z", "a"]) == ["z", "a"]


@pytest.mark.parametrize("labels", [["a", "a"], ["a", " "]])
def test_a_label_given_twice_or_empty_is_refused(labels: list[str]) -> None:
    with pytest.raises(ConfigError, match="labels"):
        checked_labels(labels)
