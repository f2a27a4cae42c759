"""What every annotation format gives: a reader, a writer, and one entry that holds both.

Reading: a list of images, and for each a way to read its annotation. Listing is cheap; what costs time is done by the
conversion's workers. A reader raises only for what makes the whole source useless (no such folder); everything else is
a finding, and the next image goes on.

Writing: records whose images have their place already → texts under their names. A writer touches no file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argus_doctor.findings import Finding
from argusvl.detection.data.findings import describe_object, finding
from argusvl.detection.data.records import ObjectAnnotation, Record
from argusvl.detection.data.resize import Box

SPLITS = ("train", "val", "test")
"""The splits by their usual names."""


# --- reading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceObject:
    """One annotated object; four numbers were read, but whether they make a box is not yet known.

    Attributes:
        index: Position among the annotation's objects, from 0.
        label: The description, not empty.
        box_xyxy_px: Pixels of the image that the annotator saw; where the annotation is ``relative``, fractions of
            that image's sides.
        where: ``file:line``.
        scene: ``teacher 0`` and the like, where it is not the student's.
    """

    index: int
    label: str
    box_xyxy_px: Box
    where: str
    scene: str = ""

    def __str__(self) -> str:
        return describe_object(self.index, self.label, self.scene)

    def finding(self, slug: str, text: str, image: str) -> Finding:
        """What is wrong with it in an image."""
        return finding(
            slug,
            self.where,
            f"{self}: {text}",
            image=image,
            object_index=self.index,
            label=self.label,
            box=self.box_xyxy_px,
        )


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was read for one image.

    Attributes:
        where: The annotation file, with the line where that is known.
        entries: Its objects: each of them, or why it could not be read.
        remarks: What concerns no object: what is odd, or why the image cannot be used.
        size: ``(width, height)`` that the annotation states, pixels; ``None`` where it states none.
        usable: Whether the image can be used; if not, the last remark says why.
        file_name: The image's name as the annotation states it.
        relative: Whether the boxes are fractions of the image's sides. They are scaled when the image is looked at:
            an EXIF-turned image has two sizes, and a reader opens no image.
    """

    where: str
    entries: Sequence[SourceObject | Finding] = ()
    remarks: Sequence[Finding] = ()
    size: tuple[int, int] | None = None
    usable: bool = True
    file_name: str | None = None
    relative: bool = False

    @classmethod
    def unusable(cls, where: str, *remarks: Finding) -> Annotation:
        """Of an image that cannot be used."""
        return cls(where, remarks=remarks, usable=False)

    @property
    def objects(self) -> tuple[SourceObject, ...]:
        """Those that could be read."""
        return tuple(one for one in self.entries if isinstance(one, SourceObject))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The remarks, and why objects could not be read."""
        return (*self.remarks, *(one for one in self.entries if isinstance(one, Finding)))


def object_or_finding(
    index: int, label: str, box: Box | str, where: str, before: str = ""
) -> SourceObject | Finding:
    """An object, or why its box is none: then ``box`` is ``kind: why``.

    ``where`` is ``file:line``; the text of a finding begins with ``before``.
    """
    if isinstance(box, tuple):
        return SourceObject(index, label, box, where)
    kind, text = box.split(": ", 1)
    text = f"{before}{describe_object(index, label)}: {text}"
    return finding(kind, where, text, object_index=index, label=label)


@dataclass(frozen=True, slots=True)
class Slot:
    """Where an image stands in a record of so many ``images``; scene 0 is the student's, then come the teachers'."""

    record: str
    scene: int
    image: int
    images: int


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image of the source and how to read its annotation.

    Attributes:
        name: Its path below the source's image folder, with ``/``.
        split: The source's own split, ``None`` where it has none.
        slot: Its place in a record of several images; ``None`` where the image is a record of its own.
    """

    path: Path
    name: str
    split: str | None
    annotate: Callable[[], Annotation]
    slot: Slot | None = None


@dataclass(slots=True)
class Source:
    """A listed source: what is to be read, and what was found while listing.

    Attributes:
        refused_images: Images that listing found unusable; a finding says why for each.
        refused_objects: Objects of images that are used without them; likewise.
    """

    images: list[SourceImage] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    refused_images: int = 0
    refused_objects: int = 0

    @property
    def splits(self) -> set[str]:
        """The splits that the source brings along."""
        return {image.split for image in self.images if image.split is not None}

    def refuse(self, problem: Finding) -> None:
        """Adds the finding of an image that cannot be used."""
        self.findings.append(problem)
        self.refused_images += 1


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read.

    Attributes:
        pixel_offset: Subtracted from the left and top edges, pixels: 1 for formats whose boxes are 1-based and
            inclusive, 0 to keep the numbers as they are.
        token_map: Synonym → canonical term, for formats whose text is free (``vendor``).
        label_hierarchy: Object type → its levels below it, each a list of the terms allowed there; ``None`` keeps the
            text as it is.
    """

    pixel_offset: float = 0.0
    token_map: Mapping[str, str] = field(default_factory=dict)
    label_hierarchy: Mapping[str, Sequence[Sequence[str]]] | None = None


Reader = Callable[[Path, ReadOptions], Source]
"""Lists the images of a folder, or of an annotation file, where the format has one for all images; a ``DataError`` says
that it does not hold data of the format."""


# --- writing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlacedRecord:
    """A record to be written: its images stand at their places below the folder that is written, with ``/``.

    One image and no teachers where the format holds no more.

    Attributes:
        split: ``train``, ``val``, ``test``, …
        record: Boxes are pixels of the images.
        sizes: Image → ``(width, height)``, pixels.
    """

    split: str
    record: Record
    sizes: Mapping[str, tuple[int, int]]

    @property
    def objects(self) -> tuple[ObjectAnnotation, ...]:
        """The student's."""
        return self.record.student.objects

    @property
    def image(self) -> str:
        """The only image, for formats that hold one."""
        return self.record.student.images[0]

    @property
    def size(self) -> tuple[int, int]:
        """Of that image."""
        return self.sizes[self.image]


Files = Iterator[tuple[str, str]]
"""Path relative to the folder that is written, and text."""

Writer = Callable[[Sequence[PlacedRecord], str], Files]
"""Records, and the language of the question in formats that are conversations → the files of one format."""


@dataclass(frozen=True, slots=True)
class Format:
    """One annotation format, in and out.

    Attributes:
        image_folder: Where images stand in what is written; ``{split}`` is replaced.
        several_images: Whether a record of it may show several images.
        no_images: Whether a record of it may show none.
        teachers: Whether a record of it may have teachers, and whether it knows a teacher pool.
        label_problem: Why it cannot hold a description, or ``None`` where it can.
    """

    read: Reader
    write: Writer
    image_folder: str
    several_images: bool = False
    no_images: bool = False
    teachers: bool = False
    label_problem: Callable[[str], str | None] = lambda label: None


def by_split(records: Iterable[PlacedRecord]) -> dict[str, list[PlacedRecord]]:
    """The records of each split, splits in the order of their first record."""
    grouped: dict[str, list[PlacedRecord]] = {}
    for record in records:
        grouped.setdefault(record.split, []).append(record)
    return grouped


def labels_in(records: Iterable[PlacedRecord]) -> list[str]:
    """The different descriptions of their objects, sorted."""
    return sorted({one.desc for record in records for one in record.objects})


def lines_by_split(records: Iterable[PlacedRecord], line: Callable[[PlacedRecord], Any]) -> Files:
    """``<split>.jsonl`` for each split, with one JSON value a record."""
    for split, members in by_split(records).items():
        texts = [json.dumps(line(one), ensure_ascii=False) for one in members]
        yield f"{split}.jsonl", "".join(f"{text}\n" for text in texts)


def json_by_lines(fields: Mapping[str, Any]) -> str:
    """JSON with a line for each entry of its lists: findings can name it, and version control shows differences."""
    parts = []
    for name, value in fields.items():
        if isinstance(value, list) and value:
            lines = ",\n".join("    " + json.dumps(one, ensure_ascii=False) for one in value)
            text = f"[\n{lines}\n  ]"
        else:
            text = json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\n  ")
        parts.append(f"  {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
