"""Reading what ``argus eval --out`` writes beside the figures: each file's format is a schema.

Boxes are pixels of the stored image; paths are absolute or
relative to the folder. ``label`` is the class; without it the first ``/`` segment of ``desc`` is. A prediction without
``desc`` is shown by its ``label``. ``precision_recall.json`` has precision and scores at equally spaced recalls from 0
to 1, ``f1`` at equally spaced score thresholds from 0 to 1. Keys that no schema names are left to whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from argusvl.core.errors import DataError
from argusvl.core.schemas import Count, Share, checked
from argusvl.core.strict_json import finite_number
from argusvl.detection.measure.pairing import Kind, LabelledBox
from argusvl.detection.measure.reliability import CALIBRATION, Bin, Reliability
from argusvl.detection.report.pictures import GalleryItem
from argusvl.detection.report.scored_curves import PrecisionCurve
from argusvl.visual.json_files import read_object

GALLERY = "gallery.json"
PREDICTIONS = "predictions.jsonl"
PRECISION_RECALL = "precision_recall.json"

_AGAIN = "evaluate again, or remove the file to report without it"
_S = TypeVar("_S", bound=BaseModel)

_Shares = Annotated[list[Share], Field(min_length=1)]
_NumberIfAny = Annotated[float | None, BeforeValidator(finite_number)]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, frozen=True)


class _Box(_Schema):
    bbox_2d: Annotated[list[float], Field(min_length=4, max_length=4)]
    desc: str
    label: str | None = None
    score: _NumberIfAny = None

    @model_validator(mode="before")
    @classmethod
    def _describe_by_label(cls, value: Any) -> Any:
        undescribed = isinstance(value, dict) and not value.get("desc")
        return {**value, "desc": value.get("label")} if undescribed else value

    def labelled(self) -> LabelledBox:
        x1, y1, x2, y2 = self.bbox_2d
        return LabelledBox((x1, y1, x2, y2), self.desc, self.score, self.label or "")


class _Image(_Schema):
    image: str
    width: Count | None = None
    height: Count | None = None
    chosen: Any = None
    truth: list[_Box] = []
    predictions: list[_Box] = []

    def item(self, folder: Path) -> GalleryItem:
        path = folder / self.image  # an absolute path stands for itself
        return GalleryItem(
            image=path,
            truth=[box.labelled() for box in self.truth],
            predicted=[box.labelled() for box in self.predictions],
            caption=path.name,
            size=None if self.width is None or self.height is None else (self.width, self.height),
        )


class _Misdescribed(_Schema):
    truth: str
    said: str
    count: Count


class _Gallery(_Schema):
    images: list[_Image]
    score_threshold: _NumberIfAny = None
    images_total: Count | None = None
    # Other kinds than the report's are an error, for their sum would be wrong.
    kinds: dict[str, dict[Kind, Count]] = {}
    confusion: dict[str, dict[str, Count]] = {}
    misdescribed: list[_Misdescribed] = []


class _Curve(_Schema):
    precision: _Shares
    scores: _Shares
    f1: _Shares | None = None

    @model_validator(mode="after")
    def _is_even(self) -> Self:
        if len(self.scores) != len(self.precision) or len(self.f1 or self.scores) != len(self.precision):
            raise ValueError("precision, scores and f1 should be lists of one length")
        return self


class _PrecisionRecall(_Schema):
    classes: dict[str, _Curve] = {}

    @model_validator(mode="after")
    def _is_even(self) -> Self:
        if len({len(curve.precision) for curve in self.classes.values()}) > 1:
            raise ValueError("the classes should have lists of one length")
        return self


class _Bin(_Schema):
    confidence: Share
    accuracy: Share | None = None
    count: Count

    @model_validator(mode="after")
    def _is_measured(self) -> Self:
        if self.count and self.accuracy is None:
            raise ValueError("accuracy should be there where count is not 0")
        return self


class _Calibration(_Schema):
    ece: Share | None = None
    ece_before: Share | None = None
    bins: list[_Bin]
    bins_before: list[_Bin] | None = None

    @model_validator(mode="after")
    def _is_measured(self) -> Self:
        if self.bins and self.ece is None:
            raise ValueError("ece should be there where there are bins")
        return self

    def reliability(self) -> Reliability | None:
        """``None`` where nothing was predicted."""
        if self.ece is None:
            return None
        before = None if self.bins_before is None else _measured_bins(self.bins_before)
        return Reliability(_measured_bins(self.bins), self.ece, before, self.ece_before)


class _Calibrations(_Calibration):
    types: _Calibration | None = None
    measured_on: str | None = None


@dataclass(frozen=True, slots=True)
class GalleryFile:
    """What ``gallery.json`` holds; ``kinds``, ``confusion`` and ``misdescribed`` were counted over all pictures.

    Attributes:
        items: Pictures with truth and predictions.
        score_threshold: From where predictions count.
        total: Number of pictures that were measured; ``None`` where it is not said.
        note: How the pictures were chosen, in words; empty where it is not said.
        kinds: By class, how many objects there are of each kind.
        confusion: By class, which classes were given to its objects.
        misdescribed: What was said in place of what, and how often, most frequent first.
    """

    items: list[GalleryItem] = field(default_factory=list)
    score_threshold: float = 0.0
    total: int | None = None
    note: str = ""
    kinds: dict[str, dict[str, int]] = field(default_factory=dict)
    confusion: dict[str, dict[str, int]] = field(default_factory=dict)
    misdescribed: list[tuple[str, str, int]] = field(default_factory=list)


def load_gallery(folder: Path) -> GalleryFile:
    """The gallery of a folder; empty if there is none.

    Raises:
        DataError: The file is damaged.
    """
    file = folder / GALLERY
    value = read_object(file)
    if not value:
        return GalleryFile()
    read = _checked(file, _Gallery, value)
    total = read.images_total
    return GalleryFile(
        items=[image.item(folder) for image in read.images],
        score_threshold=read.score_threshold or 0.0,
        total=total if total is not None and total >= len(read.images) else None,
        note=_how_chosen([image.chosen for image in read.images]),
        kinds={name: {str(kind): n for kind, n in counts.items()} for name, counts in read.kinds.items()},
        confusion=read.confusion,
        misdescribed=[(one.truth, one.said, one.count) for one in read.misdescribed],
    )


def load_precision_recall(folder: Path) -> dict[str, PrecisionCurve]:
    """A curve for each class; empty if there is no file.

    Raises:
        DataError: The file is damaged.
    """
    file = folder / PRECISION_RECALL
    classes = _checked(file, _PrecisionRecall, read_object(file)).classes
    return {name: PrecisionCurve(c.precision, c.scores, c.f1 or ()) for name, c in classes.items()}


def load_calibrations(folder: Path) -> tuple[dict[str, Reliability], str]:
    """The calibration of each kind of score, and what it was measured on; empty if there is no file.

    Raises:
        DataError: The file is damaged.
    """
    file = folder / CALIBRATION
    value = read_object(file)
    if not value:
        return {}, ""
    read = _checked(file, _Calibrations, value)
    found = {
        "score": read.reliability(),
        "label score": None if read.types is None else read.types.reliability(),
    }
    return {name: one for name, one in found.items() if one is not None}, read.measured_on or ""


def _checked(file: Path, schema: type[_S], value: Any) -> _S:
    return checked(value, schema, file, remedy=_AGAIN, error=DataError)


def _how_chosen(chosen: Sequence[Any]) -> str:
    """In words, where the file says of each image why it was chosen."""
    worst, spread = chosen.count("errors"), chosen.count("spread")
    if worst + spread < len(chosen):
        return ""
    return f"the {worst} with the most errors, and {spread} spread evenly over the others"


def _measured_bins(bins: Sequence[_Bin]) -> list[Bin]:
    """Those that hold predictions: an empty one has no accuracy."""
    return [Bin(b.confidence, b.accuracy, b.count) for b in bins if b.count and b.accuracy is not None]


class _Predicted(_Schema):
    image: str
    objects: list[_Box]


def predicted_line(file: Path, value: Any) -> tuple[str, list[LabelledBox]]:
    """The image's name and the boxes of a line of ``predictions.jsonl``.

    Raises:
        DataError: It is damaged.
    """
    read = _checked(file, _Predicted, value)
    return read.image, [box.labelled() for box in read.objects]
