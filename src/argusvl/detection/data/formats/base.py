"""What every annotation format gives: a list of images, and for each a way to read its annotation.

Listing is cheap and touches no annotation; reading one is done by the conversion's workers. A reader raises only for
what makes the whole source useless (no such folder); everything else is a finding, and the next image goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from argusvl.detection.data.findings import Finding
from argusvl.detection.data.resize import Box

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""Lower-case endings of what counts as an image in a folder."""

SPLITS = ("train", "val", "test")
"""The splits by their usual names."""


@dataclass(frozen=True, slots=True)
class SourceObject:
    """One annotated object; four numbers were read, but whether they make a box is not yet known.

    Attributes:
        index: Position among the annotation's objects, from 0.
        label: The description, not empty.
        box_xyxy_px: Pixels of the image that the annotator saw.
        where: ``file:line``.
    """

    index: int
    label: str
    box_xyxy_px: Box
    where: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was read for one image.

    Attributes:
        where: The annotation file, with the line where that is known.
        size: ``(width, height)`` that the annotation states, pixels; ``None`` where it states none.
        objects: The objects that could be read.
        findings: What could not be, and what is odd.
        usable: Whether the image can be used; if not, a finding says why.
        num_objects: Objects in the annotation, those that could not be read included.
        file_name: The image's name as the annotation states it.
    """

    where: str
    size: tuple[int, int] | None = None
    objects: tuple[SourceObject, ...] = ()
    findings: tuple[Finding, ...] = ()
    usable: bool = True
    num_objects: int = 0
    file_name: str | None = None


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image of the source and how to read its annotation.

    Attributes:
        path: The image file.
        name: Its path below the source's image folder, with ``/``: unique in the source.
        split: The source's own split, ``None`` where it has none.
        annotate: Reads the annotation.
    """

    path: Path
    name: str
    split: str | None
    annotate: Callable[[], Annotation]


@dataclass(slots=True)
class Source:
    """A listed source.

    Attributes:
        images: What is to be read.
        findings: What was found while listing.
        refused_images: Images that listing found unusable; a finding says why for each.
    """

    images: list[SourceImage] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    refused_images: int = 0

    @property
    def splits(self) -> set[str]:
        """The splits that the source brings along."""
        return {image.split for image in self.images if image.split is not None}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read.

    Attributes:
        pixel_offset: Subtracted from the left and top edges, pixels: 1 for formats whose boxes are 1-based and
            inclusive, 0 to keep the numbers as they are.
    """

    pixel_offset: float = 0.0


class Reader(Protocol):
    """Lists a source of one format."""

    def __call__(self, folder: Path, options: ReadOptions) -> Source:
        """Lists the images of ``folder``.

        Raises:
            DataError: The folder does not hold data of this format.
        """
        ...
