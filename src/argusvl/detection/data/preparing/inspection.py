"""One annotated image against the image file itself: which objects can be used, and in which pixels.

Conversion and ``argus data check --format`` both look through this, so that they find the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG

from argus_doctor.findings import Finding
from argus_doctor.wording import printable, show_name
from argusvl.core.errors import ImageError
from argusvl.core.files import link_to_nothing
from argusvl.core.images import UPRIGHT, exif_orientation, image_size
from argusvl.detection.data.findings import box_problem, crowd_problem, description_problem, finding
from argusvl.detection.data.formats.base import Annotation, SourceObject
from argusvl.detection.data.orientation import BoxFrame, box_to_upright, fitting_frames, upright_size


@dataclass(frozen=True, slots=True)
class Inspected:
    """What can be used of an image.

    Attributes:
        objects: The usable objects; boxes in pixels of the upright picture, within it.
        findings: Why the others, or the whole image, cannot be used, and what is odd.
        usable: Whether the image can be used.
        size: ``(width, height)`` of the upright picture; ``(0, 0)`` where it cannot be read.
        orientation: The file's EXIF orientation, 1 to 8.
        frame: The pixels that the boxes were drawn on, where the orientation is not 1.
    """

    objects: tuple[SourceObject, ...]
    findings: tuple[Finding, ...]
    usable: bool
    size: tuple[int, int] = (0, 0)
    orientation: int = UPRIGHT
    frame: BoxFrame | None = None


def inspect_image(
    path: Path, name: str, annotation: Annotation, exif_boxes: BoxFrame | None = None
) -> Inspected:
    """Holds an annotation against its image, which findings name so; reads the image's header only.

    ``exif_boxes`` says where boxes of turned images were drawn, when the sizes do not tell.
    """
    findings, stated = [_about(name, one) for one in annotation.findings], len(annotation.entries)

    def refused(*more: Finding) -> Inspected:
        return Inspected((), (*findings, *more), usable=False)

    if not annotation.usable:
        return refused()
    if (problem := crowd_problem(stated)) is not None:
        return refused(finding(problem[0], annotation.where, problem[1], image=name))
    header = size_and_orientation(path, name, annotation.where)
    if isinstance(header, Finding):
        return refused(header)
    stored, orientation = header
    frames = fitting_frames(stored, orientation, annotation.size)
    if not frames:
        return refused(_size_mismatch(annotation, name, stored, orientation))
    frame: BoxFrame | None = None
    if orientation != UPRIGHT:
        frame = frames[0] if len(frames) == 1 else exif_boxes
        if frame is None:
            return refused(_ambiguous(annotation, name, stored, orientation))
    annotated_size = stored if frame == "stored" else upright_size(stored, orientation)
    objects: list[SourceObject] = []
    width, height = annotated_size
    for one in annotation.objects:
        if annotation.relative:
            x1, y1, x2, y2 = one.box_xyxy_px
            one = replace(one, box_xyxy_px=(x1 * width, y1 * height, x2 * width, y2 * height))
        problem = box_problem(one.box_xyxy_px, annotated_size) or description_problem(one.label)
        if problem is not None:
            findings.append(one.finding(*problem, name))
        elif frame == "stored":
            objects.append(replace(one, box_xyxy_px=box_to_upright(one.box_xyxy_px, stored, orientation)))
        else:
            objects.append(one)
    if stated and not objects:
        # Without its objects the image would teach that there is nothing in it.
        text = f"none of its {stated} objects can be used, so the image cannot"
        return refused(finding("nothing-left", annotation.where, text, image=name))
    return Inspected(
        objects=tuple(objects),
        findings=tuple(findings),
        usable=True,
        size=upright_size(stored, orientation),
        orientation=orientation,
        frame=frame,
    )


def _about(name: str, one: Finding) -> Finding:
    """A reader's finding with the image: of a file that annotates many, the line alone may say little."""
    if one.numbers.get("image") is not None:
        return one
    return replace(one, numbers={**one.numbers, "image": printable(name)})


def size_and_orientation(path: Path, name: str, where: str) -> tuple[tuple[int, int], int] | Finding:
    """``(width, height)`` of the stored pixels and EXIF orientation of an image, by its header; or why there are none.

    Findings call it by its name, and that of a missing one says ``where`` it is named.
    """
    if (absent := missing_image(path, name)) is not None:
        return finding("missing-image", where, absent, image=name)
    try:
        return image_size(path), exif_orientation(path)
    except ImageError as error:
        return unreadable(error, name)


def missing_image(path: Path, name: object) -> str | None:
    """What to tell of an image whose file is not there, by the name that it has in texts; ``None`` where it is."""
    text = f"there is no image {show_name(name)}"
    try:
        return None if S_ISREG(path.stat().st_mode) else f"{text}: it is no file"
    except FileNotFoundError:
        return text if (link := link_to_nothing(path)) is None else f"{text}: {link}"
    except (OSError, ValueError) as error:  # a name that is too long, or that no file can have
        return f"{text}: {error.strerror if isinstance(error, OSError) else error}"


def unreadable(error: ImageError, name: str) -> Finding:
    """The finding for an image that cannot be opened."""
    return finding("unreadable-image", name, error.what, image=name, remedy=error.remedy)


def _size_mismatch(annotation: Annotation, name: str, stored: tuple[int, int], orientation: int) -> Finding:
    assert annotation.size is not None
    width, height = annotation.size
    text = f"the annotation says {width}×{height}, the image is {stored[0]}×{stored[1]}"
    if orientation != UPRIGHT:
        turned = upright_size(stored, orientation)
        text += f" ({turned[0]}×{turned[1]} when turned by its EXIF orientation {orientation})"
    return finding("size-mismatch", annotation.where, text, image=name)


def _ambiguous(annotation: Annotation, name: str, stored: tuple[int, int], orientation: int) -> Finding:
    because = (
        "the annotation states no size"
        if annotation.size is None
        else f"the annotated size {stored[0]}×{stored[1]} fits the pixels as stored and as turned"
    )
    text = (
        f"EXIF orientation is {orientation}, and {because}: it cannot be told on which the boxes were drawn"
    )
    return finding("exif-ambiguous", annotation.where, text, image=name)
