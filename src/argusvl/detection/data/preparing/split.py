"""Train and val from one set: every label in its proportion, and no scene in both.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", 2011): images
hold several labels at once, so the rarest label is dealt out first, each image to the side that still needs that label
most. What is dealt are scenes: all images that share a group key. (DeepPCB-like sets show one board in many pictures;
split by picture, the test measures memory.)
"""

from __future__ import annotations

import posixpath
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from typing import Literal

from argusvl.core.errors import DataError
from argusvl.core.files import already_there
from argusvl.core.wording import counted
from argusvl.detection.data.formats.base import SPLITS
from argusvl.detection.data.labels import Vocabulary, label_of
from argusvl.detection.data.manifest import (
    TEACHER_POOL,
    Manifest,
    SplitOrigin,
    existing_manifest,
    write_manifest,
)
from argusvl.detection.data.records import Record, RecordFile, write_records

LabelKind = Literal["description", "type"]
"""What counts as a label: the whole description, or the object type (what stands before the first ``/``)."""

VOCABULARY_OF: dict[LabelKind, Vocabulary] = {"description": "closed", "type": "open"}


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """How to split.

    Attributes:
        val_fraction: Share of the images to hold out, 0 ≤ f < 1.
        seed: Decides between equals.
        group_key: Regular expression searched in an image's path: what its groups match (or all of it, without
            groups) names the scene. ``None``: each image is a scene of its own.
        labels_are: What is kept in proportion.
    """

    val_fraction: float
    seed: int
    group_key: str | None = None
    labels_are: LabelKind = "description"

    def __post_init__(self) -> None:
        if not 0 <= self.val_fraction < 1:
            raise DataError(
                f"val_fraction is {self.val_fraction}", remedy="give --val-fraction from 0 to less than 1"
            )
        try:
            re.compile(self.group_key or "")
        except re.error as error:
            raise DataError(
                f"group key {self.group_key!r} is no regular expression: {error}", remedy="correct it"
            ) from None

    @property
    def origin(self) -> SplitOrigin:
        """For the manifest."""
        return SplitOrigin(
            made_by="argus", val_fraction=self.val_fraction, seed=self.seed, group_key=self.group_key
        )


def split_records(
    records: Sequence[Record], options: SplitOptions, same_file: Mapping[str, str] | None = None
) -> tuple[list[Record], list[Record]]:
    """Deals records to train and val; both keep the order of the input.

    Records whose students show one image file go to one side. The group key is searched in the path of a record's
    first image. ``same_file`` names the first of several images that are copies of one file.

    Raises:
        DataError: The group key does not match an image, or one side would be empty.
    """
    if options.val_fraction == 0:
        return list(records), []
    known = same_file or {}
    images = [[known.get(path, posixpath.normpath(path)) for path in one.student.images] for one in records]
    groups = _groups(records, images, options.group_key)
    if len(groups) < 2:
        raise DataError(
            f"{counted(len(records), 'record')} in {counted(len(groups), 'scene')} cannot be split",
            remedy="add images: records of one image file, and of one --group-key, stay together",
        )
    vocabulary = VOCABULARY_OF[options.labels_are]
    shown = [{label_of(a.desc, vocabulary) for a in record.student.objects} for record in records]
    labels = [Counter(label for i in members for label in shown[i]) for members in groups]
    in_val = stratify([len(members) for members in groups], labels, options.val_fraction, options.seed)
    held_out = {i for members, val in zip(groups, in_val, strict=True) if val for i in members}
    train = [record for i, record in enumerate(records) if i not in held_out]
    val = [record for i, record in enumerate(records) if i in held_out]
    return train, val


def stratify(
    sizes: Sequence[int], labels: Sequence[Mapping[str, int]], val_fraction: float, seed: int
) -> list[bool]:
    """Which groups are held out; at least one is, and at least one is not.

    Args:
        sizes: Images of each group.
        labels: For each group, label → how many of its images show it.
        val_fraction: Share of the images, and of each label's images, to hold out.
        seed: Decides between equals.
    """
    rng = random.Random(seed)
    order = list(range(len(sizes)))
    rng.shuffle(order)
    wanted_size = {True: val_fraction * sum(sizes), False: (1 - val_fraction) * sum(sizes)}
    holders: dict[str, set[int]] = defaultdict(set)
    image_count: Counter[str] = Counter()
    for group, counts in enumerate(labels):
        for label, count in counts.items():
            holders[label].add(group)
            image_count[label] += count
    shares = {True: val_fraction, False: 1 - val_fraction}
    wanted = {
        side: {label: count * share for label, count in image_count.items()} for side, share in shares.items()
    }
    # Labels that are too rare for half a scene to fall to the smaller side cannot be dealt in proportion: dealt
    # by label they would all go to the larger side, and where most labels are rare, nearly every image with them.
    rarity = {label: len(groups) for label, groups in holders.items()}
    least = 0.5 / min(val_fraction, 1 - val_fraction)
    rank = {group: position for position, group in enumerate(order)}
    assigned: dict[int, bool] = {}
    queue = sorted((len(groups), label) for label, groups in holders.items() if rarity[label] >= least)

    def assign(group: int, side: bool) -> None:
        assigned[group] = side
        wanted_size[side] -= sizes[group]
        for label, count in labels[group].items():
            wanted[side][label] -= count
            holders[label].discard(group)
            if rarity[label] >= least:
                heappush(queue, (len(holders[label]), label))

    while queue:
        count, rarest = heappop(queue)
        if count != len(holders[rarest]):
            continue  # some have been dealt since; it stands in the queue again
        # The largest groups first: small ones can still even out what a large one has tipped.
        for group in sorted(holders[rarest], key=lambda g: (-labels[g][rarest], -sizes[g], rank[g])):
            assign(group, _needier(wanted[True][rarest], wanted[False][rarest], wanted_size, rng))

    def by_rarity(group: int) -> tuple[int, int, int]:
        # Rare labels come first, when the larger side (train, usually) still needs most.
        return min((rarity[label] for label in labels[group]), default=len(sizes)), -sizes[group], rank[group]

    for group in sorted((g for g in order if g not in assigned), key=by_rarity):
        assign(group, _needier(wanted_size[True], wanted_size[False], wanted_size, rng))
    sides = [assigned[group] for group in range(len(sizes))]
    if not any(sides) or all(sides):
        # A share too small for even one group: the smallest group goes to the empty side.
        sides[min(range(len(sizes)), key=lambda g: (sizes[g], rank[g]))] = not any(sides)
    return sides


def split_file(data: str | Path, options: SplitOptions, *, overwrite: bool = False) -> dict[str, int]:
    """Splits a JSONL file into ``train.jsonl`` and ``val.jsonl`` beside it (image paths stay right there).

    ``val.jsonl`` is written first: an interruption in between leaves records in both, and loses none.

    Args:
        data: The JSONL file, or a folder that holds ``train.jsonl``.
        options: How to split.
        overwrite: Whether existing files may be replaced. Where ``train.jsonl`` itself is split again, the records of
            the earlier ``val.jsonl`` go back to it first.

    Returns:
        Split → number of records.

    Raises:
        DataError: The data cannot be read or split, or a file would be replaced.
    """
    file = records_file(data)
    targets = {name: file.parent / f"{name}.jsonl" for name in ("train", "val")}
    for target in targets.values():
        if target.exists() and target != file and not overwrite:
            raise already_there(target, kind=DataError)
    manifest = existing_manifest(file.parent)
    records = list(RecordFile(file))
    if file == targets["train"] and targets["val"].exists():
        records = given_back(records, targets["val"])
    first: dict[str, str] = {}
    stored = [] if manifest is None else manifest.images
    same_file = {
        one.image: first.setdefault(one.source, one.image) for one in stored if one.source is not None
    }
    train, val = split_records(records, options, same_file)
    if not val:
        raise DataError(
            "nothing was held out: val_fraction is 0", where=file, remedy="give a larger --val-fraction"
        )
    write_records(targets["val"], val)
    write_records(targets["train"], train)
    update_manifest(file.parent, manifest, options.origin)
    return {"train": len(train), "val": len(val)}


def given_back(records: list[Record], taken: Path) -> list[Record]:
    """Records, and those that were taken out of them earlier and stand in a file of their own."""
    present = {record.student for record in records}
    return records + [record for record in RecordFile(taken) if record.student not in present]


def records_file(data: str | Path) -> Path:
    """The JSONL file meant by a path: itself, or ``train.jsonl`` of a folder.

    Raises:
        DataError: There is no such file.
    """
    path = Path(data)
    file = path / "train.jsonl" if path.is_dir() else path
    if not file.is_file():
        raise DataError(
            "no such records file", where=file, remedy="name a JSONL file, or a folder with train.jsonl"
        )
    return file


def split_files(path: Path, remedy: str) -> list[Path]:
    """The JSONL files of a data folder, those of the splits in their order and the pool last; or the one file named.

    Raises:
        DataError: A folder holds none; ``remedy`` says what to do.
    """
    if not path.is_dir():
        return [path]  # RecordFile says what is wrong with it
    files = [path / f"{name}.jsonl" for name in (*SPLITS, TEACHER_POOL)]
    files = [file for file in files if file.is_file()] or sorted(path.glob("*.jsonl"))
    if not files:
        raise DataError("holds no JSONL file", where=path, remedy=remedy)
    return files


def update_manifest(folder: Path, manifest: Manifest | None, origin: SplitOrigin | None = None) -> None:
    """Brings the counts of a folder's manifest, if it has one, up to date with its JSONL files.

    ``origin`` says how the splits came about; unchanged when ``None``.
    """
    if manifest is None:
        return
    names = dict.fromkeys([*manifest.splits, "train", "val", TEACHER_POOL])
    splits = {n: list(RecordFile(folder / f"{n}.jsonl")) for n in names if (folder / f"{n}.jsonl").is_file()}
    write_manifest(folder, manifest.with_splits(splits, origin))


def _needier(val: float, train: float, wanted_size: Mapping[bool, float], rng: random.Random) -> bool:
    """The side (``True``: val) that lacks more; between equals the one that lacks more images, then by lot."""
    if abs(val - train) > 1e-9:
        return val > train
    if abs(wanted_size[True] - wanted_size[False]) > 1e-9:
        return wanted_size[True] > wanted_size[False]
    return rng.random() < 0.5


def _groups(
    records: Sequence[Record], images: Sequence[Sequence[str]], group_key: str | None
) -> list[list[int]]:
    """Records that have an image or a scene in common, directly or through others."""
    group_of = list(range(len(records)))

    def first_of(index: int) -> int:
        while group_of[index] != index:
            group_of[index] = index = group_of[group_of[index]]
        return index

    holder: dict[object, int] = {}
    for index, paths in enumerate(images):
        shared: list[object] = list(paths)
        if group_key is not None:
            shared.append(_scene(paths[0] if paths else "", group_key, records[index].source))
        for one in shared:
            first, second = sorted((first_of(index), first_of(holder.setdefault(one, index))))
            group_of[second] = first
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(records)):
        groups[first_of(index)].append(index)
    return list(groups.values())


def _scene(path: str, group_key: str, source: str) -> tuple[str | None, ...]:
    match = re.search(group_key, path)
    if match is None:
        raise DataError(
            f"group key {group_key!r} does not match the image {path!r}",
            where=source or None,
            remedy="widen the expression so that every image belongs to a scene",
        )
    return match.groups() or (match.group(),)
