"""A support store: classes and their examples, which grow without what is there being computed again.

    support.json        what makes the vectors; the classes, and for each example its picture's hash, part and row
    parts/<digest>/     the vectors of what one enrolment added, a store as `argus recognize extract` makes

    support.lock        held by the one command that adds to the store

`support.json` is replaced in one step when the vectors are on the disk: before it the store is as it was, after it all
is enrolled. Interrupted, the same command goes on with the part that it had begun.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from argusvl.core.errors import ConfigError, DataError
from argusvl.core.files import path_inside, write_text_atomically
from argusvl.core.wording import listed_below, printable
from argusvl.recognition.backbones.protocol import Backbone
from argusvl.recognition.decoding import Lane
from argusvl.recognition.extraction.fingerprint import (
    StoreFingerprint,
    fingerprint_of,
    require_same_fingerprint,
)
from argusvl.recognition.extraction.store import EmbeddingStore
from argusvl.recognition.few_shot.classifiers import Labels
from argusvl.recognition.few_shot.embeddings import content_store, read_contents, rows_of_contents
from argusvl.recognition.few_shot.features import Vectors
from argusvl.recognition.few_shot.layout import LayoutError
from argusvl.recognition.few_shot.unknown import UNKNOWN
from argusvl.recognition.output_folder import only_writer, read_header, refuse_other_files

FORMAT = 1
HEADER, PARTS, LOCK = "support.json", "parts", "support.lock"

_SHOWN = 10
_REMEDY = "bring it back from a copy, or enrol into another folder"
_PART_NAME = re.compile("[0-9a-f]{16}")
_UNFINISHED = f".{HEADER}.*.part"
"""A header that was being written when the process was killed."""


class Example(NamedTuple):
    """A picture of a class.

    Attributes:
        path: Where it was when it was enrolled.
        sha256: Of its content.
        part: The folder in ``parts`` that has its vector.
        row: There.
    """

    path: str
    sha256: str
    part: str
    row: int


@dataclass(frozen=True)
class EnrolmentReport:
    """What an enrolment did. ``inputs`` is the sum of ``enrolled``, ``known`` and ``quarantined``.

    Pictures that are ``known`` were examples of their class already, or were given twice; of one in ``quarantined`` it
    says why it cannot be used. ``classes`` says how many examples each has now.
    """

    inputs: int
    enrolled: int
    known: int
    quarantined: Mapping[str, str]
    classes: Mapping[str, int]
    new_classes: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.inputs == self.enrolled + self.known + len(self.quarantined)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"quarantined": [{"path": p, "reason": r} for p, r in self.quarantined.items()]}


@dataclass(frozen=True)
class SupportStore:
    """The classes that are enrolled.

    The backbone is named as for :func:`~argusvl.recognition.backbones.table.load_backbone`, the views are one of
    :data:`~argusvl.recognition.backbones.views.VIEWS`; the fingerprint says what makes the vectors.
    """

    folder: Path
    backbone: str
    views: str
    fingerprint: StoreFingerprint
    classes: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens a support store.

        Raises:
            DataError: The folder is not a support store, or its header is damaged.
        """
        make = "argus recognize enroll STORE EXAMPLES"
        return read_header(
            folder / HEADER, cls, FORMAT, what="a support store", make=make, remedy=_REMEDY, folder=folder
        )

    @property
    def lane(self) -> Lane:
        """How pictures are decoded."""
        return self.fingerprint.lane

    def text(self) -> str:
        """What ``support.json`` holds."""
        values = {
            "format": FORMAT,
            "backbone": self.backbone,
            "views": self.views,
            "fingerprint": asdict(self.fingerprint),
            "classes": dict(sorted(self.classes.items())),
        }
        return json.dumps(values, indent=1) + "\n"  # ASCII: a name that is not UTF-8 is kept, too

    def require(self, backbone: Backbone, lane: Lane | None = None) -> None:
        """Refuses a backbone, or a lane other than the store's, that would give other vectors.

        Raises:
            DataError: It would; what differs is named.
        """
        require_same_fingerprint(
            self.fingerprint,
            fingerprint_of(backbone, lane or self.lane),
            self.folder,
            remedy="use what the store was made with (backbone, views, lane, versions), or enrol into another folder",
        )

    def vectors(self) -> tuple[Vectors, Labels, list[str]]:
        """All examples: vectors ``[N, D]``, numbers of their classes ``[N]``, names of the classes by number.

        Raises:
            DataError: The store has no example, or a part is missing or damaged.
        """
        labels = sorted(self.classes)
        parts: dict[str, tuple[Vectors, list[str]]] = {}
        rows: list[np.ndarray[Any, np.dtype[np.float32]]] = []
        numbers: list[int] = []
        for number, label in enumerate(labels):
            for example in self.classes[label]:
                if example.part not in parts:
                    parts[example.part] = self._part(example.part)
                vectors, digests = parts[example.part]
                if example.row >= len(digests) or digests[example.row] != example.sha256:
                    raise DataError(
                        f"row {example.row} is not the vector of {printable(example.path)}",
                        where=self.folder / PARTS / example.part,
                        remedy=_REMEDY,
                    )
                rows.append(vectors[example.row])
                numbers.append(number)
        if not rows:
            raise DataError("the support store has no example", where=self.folder, remedy="enrol some")
        return np.stack(rows), np.array(numbers, dtype=np.int64), labels

    def _part(self, name: str) -> tuple[Vectors, list[str]]:
        """Vectors and hashes of what one enrolment added."""
        try:
            part = path_inside(self.folder / PARTS, name, stated_in=self.folder / HEADER, error=DataError)
            store = EmbeddingStore.open(part)
            require_same_fingerprint(store.fingerprint, self.fingerprint, store.folder)
            return store.vectors()[1], store.digests()
        except DataError as error:
            raise DataError(
                f"a part of the support store: {error.what}",
                where=error.where,
                remedy=f"bring it back from a copy, or enrol the pictures that {HEADER} names into another folder",
            ) from None

    def class_of_content(self) -> dict[str, str]:
        """SHA-256 of each example's picture → its class."""
        return {e.sha256: label for label, examples in self.classes.items() for e in examples}


def enroll(
    folder: Path,
    pictures: Mapping[str, Sequence[Path]],
    backbone: Backbone,
    *,
    spec: str,
    views: str,
    lane: Lane = "exact",
    workers: int | None = None,
    progress: bool = True,
) -> EnrolmentReport:
    """Adds examples to a support store, which is made where it is not there; only new pictures are computed.

    ``pictures`` are by class; ``spec`` is how the backbone, which has the views, was named: classification finds it by
    that.

    Raises:
        ConfigError: A class has no name, or that of pictures of no class.
        LayoutError: A picture is of two classes, by its content; the pairs are named and nothing is enrolled.
        DataError: The store was made in another way, is damaged, or was changed by another command meanwhile; the
            folder holds other things.
        StoreBusyError: Another command is adding to the store.
        ArgusError: The store cannot be written; it is as it was.
    """
    for label in pictures:
        if not label.strip() or label == UNKNOWN:
            raise ConfigError(
                f"a class cannot be called {label!r}",
                where=next(iter(pictures[label]), None),
                remedy=f"give it another name; {UNKNOWN} is what a picture of no class is called",
            )
    if (folder / HEADER).exists():
        before = SupportStore.open(folder)
    else:
        refuse_other_files(folder, HEADER, _is_beginning)
        before = SupportStore(folder, spec, views, fingerprint_of(backbone, lane))
    before.require(backbone, lane)
    if before.classes:
        before.vectors()  # what is damaged is not added to
    files = [file for examples in pictures.values() for file in examples]
    digests, quarantined = read_contents(files, workers=workers, progress=progress)
    new = _new_pictures(before, pictures, digests)
    after, enrolled = before, 0
    if new:
        with only_writer(folder, LOCK):
            now = SupportStore.open(folder).text() if (folder / HEADER).exists() else None
            if now != (before.text() if before.classes else None):
                raise DataError(
                    "another command has changed the store meanwhile",
                    where=folder,
                    remedy="give the command again",
                )
            contents = {file: digests[file] for file in new}
            parts = folder / PARTS
            store = content_store(contents, parts, backbone, lane=lane, workers=workers, progress=progress)
            rows, without = rows_of_contents(store, contents)
            classes = dict(before.classes)
            for file, row in rows.items():
                example = Example(str(file.absolute()), digests[file], store.folder.name, row)
                classes[new[file]] = (*classes.get(new[file], ()), example)
            after, enrolled = replace(before, classes=classes), len(rows)
            if enrolled:
                _commit(after)
        unusable = {digests[file]: reason for file, reason in without.items()}
        quarantined |= {file: unusable[digest] for file, digest in digests.items() if digest in unusable}
    return EnrolmentReport(
        inputs=len(files),
        enrolled=enrolled,
        known=len(files) - enrolled - len(quarantined),
        quarantined={str(file): reason for file, reason in sorted(quarantined.items())},
        classes={label: len(examples) for label, examples in sorted(after.classes.items())},
        new_classes=tuple(sorted(after.classes.keys() - before.classes.keys())),
    )


def _is_beginning(entry: Path) -> bool:
    """Whether an entry of a folder may be what a kill has left before the store was one."""
    if entry.name == PARTS:
        return entry.is_dir() and all(_PART_NAME.fullmatch(part.name) for part in entry.iterdir())
    return entry.name == LOCK or entry.match(_UNFINISHED)


def _new_pictures(
    store: SupportStore, pictures: Mapping[str, Sequence[Path]], digests: Mapping[Path, str]
) -> dict[Path, str]:
    """Pictures that are no examples yet, with their classes; of the same content, the first. A content of two classes
    is a ``LayoutError``.
    """
    class_of = store.class_of_content()
    names = {e.sha256: e.path for examples in store.classes.values() for e in examples}
    new: dict[Path, str] = {}
    conflicts = []
    for label, files in sorted(pictures.items()):
        for file in files:
            digest = digests.get(file)
            if digest is None:
                continue
            if digest not in class_of:
                class_of[digest], names[digest] = label, str(file)
                new[file] = label
            elif class_of[digest] != label:
                conflicts.append(
                    f"{printable(file)} of {printable(label)} is {printable(names[digest])} of "
                    f"{printable(class_of[digest])}"
                )
    if conflicts:
        raise LayoutError(
            f"the same picture in two classes:{listed_below(conflicts, _SHOWN)}",
            where=store.folder,
            remedy="remove one of each pair; nothing was enrolled",
        )
    return new


def _commit(after: SupportStore) -> None:
    """Replaces the header; parts that it does not name were begun for pictures that were not enrolled in the end."""
    write_text_atomically(after.folder / HEADER, after.text())
    for unfinished in after.folder.glob(_UNFINISHED):
        unfinished.unlink(missing_ok=True)
    used = {e.part for examples in after.classes.values() for e in examples}
    for part in (after.folder / PARTS).iterdir():
        if part.name not in used and _PART_NAME.fullmatch(part.name):
            shutil.rmtree(part, ignore_errors=True)
