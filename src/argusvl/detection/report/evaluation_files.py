"""What ``argus eval --out`` writes beside the figures: each file's format is a schema, for its writer and its reader.

Boxes are left, top, right, bottom in pixels of the stored image; paths are absolute or relative to the folder. Keys
that no schema names are left to whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field

from argusvl.core.errors import DataError
from argusvl.core.schemas import Count, Number, Share, checked
from argusvl.detection.measure.figures import PrecisionCurve
from argusvl.detection.measure.pairing import Kind, LabelledBox
from argusvl.detection.measure.reliability import CALIBRATION, Reliability, ReliabilityFile
from argusvl.detection.report.pictures import GalleryItem
from argusvl.visual.json_files import read_object

GALLERY = "gallery.json"
PREDICTIONS = "predictions.jsonl"
PRECISION_RECALL = "precision_recall.json"

Reason = Literal["errors", "spread"]
"""Why a picture is in the gallery: for its errors, or as one of those spread evenly over the others."""

_Corners = Annotated[Sequence[Number], Field(min_length=4, max_length=4)]
_S = TypeVar("_S")


@dataclass(frozen=True, slots=True)
class TruthBox:
    """An object; ``label`` is the class that it counts as."""

    bbox_2d: _Corners
    desc: str
    label: str

    def labelled(self) -> LabelledBox:
        """As the report shows it."""
        x1, y1, x2, y2 = self.bbox_2d
        return LabelledBox((x1, y1, x2, y2), self.desc, class_name=self.label)


@dataclass(frozen=True, slots=True)
class FoundBox:
    """A prediction, as :meth:`Detections.to_jsonl` says it; without ``desc`` it was not described."""

    bbox_2d: _Corners
    label: str
    score: Share
    label_score: Share
    desc: str | None = None

    def labelled(self) -> LabelledBox:
        """As the report shows it."""
        x1, y1, x2, y2 = self.bbox_2d
        return LabelledBox((x1, y1, x2, y2), self.desc or self.label, self.score, self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryImage:
    """A picture with truth and predictions; width and height in pixels when it was measured."""

    image: str
    width: Count
    height: Count
    note: str | None = None
    chosen: Reason
    truth: Sequence[TruthBox]
    predictions: Sequence[FoundBox]


@dataclass(frozen=True, slots=True)
class Misdescribed:
    """What was said in place of what, and how often."""

    truth: str
    said: str
    count: Count


@dataclass(frozen=True, slots=True)
class Gallery:
    """``gallery.json``: some pictures, and what was counted over all ``images_total`` from the threshold on.

    Attributes:
        kinds: By class, how many objects there are of each kind.
        confusion: By class, which classes were given to its objects.
        misdescribed: The most frequent first.
    """

    score_threshold: Share
    images_total: Count
    # Other kinds than the report's are an error, for their sum would be wrong.
    kinds: Mapping[str, Mapping[Kind, Count]]
    confusion: Mapping[str, Mapping[str, Count]]
    misdescribed: Sequence[Misdescribed]
    images: Sequence[GalleryImage]


NO_GALLERY = Gallery(0.0, 0, {}, {}, [], [])


def _of_one_length(classes: Mapping[str, PrecisionCurve]) -> Mapping[str, PrecisionCurve]:
    lists = (one for c in classes.values() for one in (c.precision, c.scores, c.f1 or c.scores))
    if len({len(one) for one in lists}) > 1:
        raise ValueError("precision, scores and f1 of all classes should be lists of one length")
    return classes


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """``precision_recall.json``: by class, precision and scores at equally spaced recalls from 0 to 1, and F1 at
    equally spaced score thresholds from 0 to 1.
    """

    iou: Share
    classes: Annotated[Mapping[str, PrecisionCurve], AfterValidator(_of_one_length)]


@dataclass(frozen=True, slots=True)
class PredictedImage:
    """A line of ``predictions.jsonl``."""

    image: str
    objects: Sequence[FoundBox]


def load_gallery(folder: Path) -> tuple[Gallery, list[GalleryItem]]:
    """The gallery of a folder, and its pictures as the report shows them; :data:`NO_GALLERY` if there is none.

    Raises:
        DataError: The file is damaged.
    """
    gallery = _read(folder / GALLERY, Gallery) or NO_GALLERY
    return gallery, [
        GalleryItem(
            image=folder / one.image,  # an absolute path stands for itself
            truth=[box.labelled() for box in one.truth],
            predicted=[box.labelled() for box in one.predictions],
            caption=Path(one.image).name,
            size=(one.width, one.height),
        )
        for one in gallery.images
    ]


def load_precision_recall(folder: Path) -> Mapping[str, PrecisionCurve]:
    """A curve for each class; empty if there is no file.

    Raises:
        DataError: The file is damaged.
    """
    read = _read(folder / PRECISION_RECALL, PrecisionRecall)
    return {} if read is None else read.classes


def load_calibrations(folder: Path) -> tuple[dict[str, Reliability], str]:
    """The calibration of each kind of score, and what it was measured on; empty if there is no file.

    Raises:
        DataError: The file is damaged.
    """
    read = _read(folder / CALIBRATION, ReliabilityFile)
    if read is None:
        return {}, ""
    found = {"score": read, "label score": read.types}
    return {name: one for name, one in found.items() if one.bins}, read.measured_on


def predicted_line(file: Path, value: Any) -> tuple[str, list[LabelledBox]]:
    """The image's name and the boxes of a line of ``predictions.jsonl``.

    Raises:
        DataError: It is damaged.
    """
    read = _checked(file, PredictedImage, value)
    return read.image, [box.labelled() for box in read.objects]


def _read(file: Path, schema: type[_S]) -> _S | None:
    value = read_object(file)
    return _checked(file, schema, value) if value else None


def _checked(file: Path, schema: type[_S], value: Any) -> _S:
    return checked(
        value, schema, file, remedy="evaluate again, or remove the file to report without it", error=DataError
    )
