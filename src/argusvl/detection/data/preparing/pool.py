"""The teacher pool: a small set of images that shows every label, apart from everything that is trained or measured on.

A greedy set cover: the image that shows most labels not yet shown comes next, of equals the one with fewest objects
(a teacher's answer is read at every step). When all labels are shown and there is room left, a new round begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from heapq import heappop, heapreplace
from pathlib import Path

from argus_doctor.findings import Finding
from argusvl.core.errors import ConfigError, DataError
from argusvl.core.files import already_there, real_path
from argusvl.detection.data.findings import finding
from argusvl.detection.data.labels import label_of
from argusvl.detection.data.manifest import TEACHER_POOL, existing_manifest
from argusvl.detection.data.preparing.split import (
    VOCABULARY_OF,
    LabelKind,
    given_back,
    records_file,
    update_manifest,
)
from argusvl.detection.data.records import Record, RecordFile, write_records
from argusvl.detection.data.scan import Measurement, RecordLine, scan


def take_pool(
    train: Sequence[Record],
    size: int,
    elsewhere: AbstractSet[Path] = frozenset(),
    labels_are: LabelKind = "description",
    root: Path = Path(),
) -> tuple[list[Record], list[Record], list[Finding]]:
    """Takes a teacher pool out of the training records.

    Args:
        train: The training records. The pool holds students only: a teacher has no teachers.
        size: Images in the pool.
        elsewhere: Image files of other splits; a record that shows one is not taken.
        labels_are: What the pool must show all of.
        root: Folder that image paths are relative to.

    Returns:
        The pool, the training records without it, and a warning for each label that train has lost.

    Raises:
        DataError: The pool would leave nothing to train on, or so few images cannot show every label.
    """
    if size < 1:
        raise DataError(f"the pool's size is {size}", remedy="give at least 1")
    students = [record.student for record in train]
    candidates = [
        i for i, one in enumerate(students) if one.objects and not (elsewhere and elsewhere & one.files(root))
    ]
    if size >= len(train) or size > len(candidates):
        raise DataError(
            f"a teacher pool of {size} cannot be taken out of {len(train)} training records "
            f"({len(candidates)} of them show objects and stand in no other split)",
            remedy="make the pool smaller, or add images",
        )
    vocabulary = VOCABULARY_OF[labels_are]
    shown = [Counter(label_of(a.desc, vocabulary) for a in one.objects) for one in students]
    labels = [shown[i] for i in candidates]
    chosen = [candidates[i] for i in choose_cover(labels, size)]
    taken = set(chosen)
    pool = [replace(train[i], teachers=()) for i in sorted(taken)]
    rest = [record for i, record in enumerate(train) if i not in taken]
    left = {label for i, counts in enumerate(shown) if i not in taken for label in counts}
    lost = sorted({label for i in taken for label in shown[i]} - left)
    text = "every training image with {!r} is in the pool"
    warnings = [finding("pool-took-last", TEACHER_POOL, text.format(one), label=one) for one in lost]
    return pool, rest, warnings


def choose_cover(labels: Sequence[Mapping[str, int]], size: int) -> list[int]:
    """Which items to take so that every label is shown; deterministic.

    Each item is label → number of objects.

    Raises:
        DataError: More items than ``size`` are needed to show every label; says how many suffice.
    """
    copies: Counter[str] = Counter(label for item in labels for label in item)
    left = dict(enumerate(labels))
    missing = set(copies)
    queue: list[tuple[int, int, int, int]] = []
    chosen: list[int] = []
    needed = 0
    while left and (len(chosen) < size or needed == 0):
        queue = queue or sorted(_worth(index, item, missing, copies) for index, item in left.items())
        best = queue[0][-1]
        # What is shown already makes items worth less, never more: the first whose worth still holds is the best.
        worth = _worth(best, left[best], missing, copies)
        if worth != queue[0]:
            heapreplace(queue, worth)
            continue
        heappop(queue)
        missing.difference_update(left[best])
        copies.subtract(dict.fromkeys(left.pop(best), 1))
        chosen.append(best)
        if not missing:
            needed = needed or len(chosen)
            missing, queue = {label for item in left.values() for label in item}, []
    if needed > size:
        raise DataError(
            f"{size} images cannot show all {len(set().union(*labels))} labels",
            remedy=f"a pool of {needed} images can: give at least that size",
        )
    return chosen[:size]


def _worth(
    index: int, item: Mapping[str, int], missing: set[str], copies: Mapping[str, int]
) -> tuple[int, int, int, int]:
    """Least is best: most labels gained, fewest labels that nothing else shows, fewest objects, first in order."""
    gain = sum(label in missing for label in item)
    last = sum(copies[label] == 1 for label in item)
    return -gain, last, sum(item.values()), index


def make_pool(
    data: str | Path, size: int, *, labels_are: LabelKind = "description", overwrite: bool = False
) -> tuple[dict[str, int], list[Finding]]:
    """Moves a teacher pool from a JSONL file to ``teacher_pool.jsonl`` beside it.

    The pool is written first: an interruption in between leaves its records in both files, and loses none.

    Args:
        data: The training JSONL file, or a folder that holds ``train.jsonl``.
        size: Images in the pool.
        labels_are: What the pool must show all of.
        overwrite: Whether an existing pool may be replaced; its records go back to the training file first.

    Returns:
        File → number of records, and warnings.

    Raises:
        DataError: The data cannot be read, the pool cannot be made, or a pool exists.
    """
    file = records_file(data)
    target = file.parent / f"{TEACHER_POOL}.jsonl"
    manifest = existing_manifest(file.parent)
    train = list(RecordFile(file))
    if target.exists():
        if not overwrite:
            raise already_there(target, kind=DataError)
        train = given_back(train, target)
    others = [file.parent / f"{name}.jsonl" for name in ("val", "test")]
    elsewhere = {
        image
        for path in others
        if path.is_file() and path != file
        for record in RecordFile(path)
        for image in record.student.files(file.parent)
    }
    pool, rest, warnings = take_pool(train, size, elsewhere, labels_are, file.parent)
    write_records(target, pool)
    write_records(file, rest)
    update_manifest(file.parent, manifest)
    return {TEACHER_POOL: len(pool), file.stem: len(rest)}, warnings


# --- pictures that are held out as well -----------------------------------------------------------------------------


class _Pictures(Measurement[tuple[str, ...]]):
    """The names of the students' images, with the records that show them."""

    name = "pictures"
    keeps = ("shown",)

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[str, int]] = []

    def measure(self, line: RecordLine) -> tuple[str, ...]:
        return line.record.student.images

    def add(self, line: RecordLine, found: tuple[str, ...]) -> None:
        self.shown += [(name, line.index) for name in found]


def refuse_shared_pictures(pool: RecordFile, val: RecordFile) -> None:
    """Refuses a teacher pool that holds a held-out picture.

    Raises:
        ConfigError: It does; both records are named. (A record that cannot be read is no matter of this.)
    """
    teachers, held_out = _Pictures(), _Pictures()
    scan(pool, [teachers])
    scan(val, [held_out])
    taught = {real_path(pool.root / name): index for name, index in teachers.shown}
    shared = [(taught[path], i) for n, i in held_out.shown if (path := real_path(val.root / n)) in taught]
    if shared:
        teacher, asked = shared[0]
        raise ConfigError(
            f"{len(shared)} pictures of it are held out as well, the first in {pool.source(teacher)} and "
            f"{val.source(asked)}",
            where=pool.path,
            remedy="make a pool that is disjoint from val with `argus data pool`",
            slug="pool-in-val",
        )
