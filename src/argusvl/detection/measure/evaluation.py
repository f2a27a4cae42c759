"""Results + truth → figures. No model and no files here.

AP is COCO's, by classes: a class is the whole description where the vocabulary is closed, else its first
``/`` segment, and the mean is over the classes that the truth holds. An image's ``max_detections``
highest-scoring (box, label) entries count, without a threshold. A class-agnostic AP is never called AP.

Two rankings of the same queries go in. For AP, ``predictions`` may hold several labels of one query: a query
that hesitates between two classes stands in both lists, as COCO's detectors do it. For what a *box* is asked
(found at all? described how?), each query may speak once: ``described``.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from argusvl.core.errors import DataError
from argusvl.core.matching import match, pairwise_iou
from argusvl.detection.data.detections import Detections
from argusvl.detection.data.labels import Vocabulary, label_of
from argusvl.detection.data.records import Scene
from argusvl.detection.measure.caption_scores import TextScore, chrf
from argusvl.detection.measure.dense_captions import claim_merged, claimed_caption, dense_caption_map
from argusvl.detection.measure.figures import PrecisionCurve
from argusvl.detection.measure.pairing import MIN_IOU, SCORE_THRESHOLD

MAX_DETECTIONS = 100
_EVERY_SIZE = {"any": [0.0, 1e10]}


def class_of(description: str, vocabulary: Vocabulary) -> str:
    """The class that a description belongs to, in Unicode NFC."""
    return label_of(unicodedata.normalize("NFC", description), vocabulary)


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The annotated objects of one image: boxes ``[T, 4]`` in the predictions' pixels, and their ``T`` descriptions."""

    boxes_xyxy_px: NDArray[np.float64]
    descriptions: tuple[str, ...]

    def __post_init__(self) -> None:
        boxes = np.array(self.boxes_xyxy_px, dtype=np.float64).reshape(-1, 4)
        if len(boxes) != len(self.descriptions):
            raise DataError(
                f"expected a description for each of the {len(boxes)} boxes, got {len(self.descriptions)}",
                where="Truth",
            )
        object.__setattr__(self, "boxes_xyxy_px", boxes)
        object.__setattr__(self, "descriptions", tuple(self.descriptions))

    @classmethod
    def of_scene(cls, scene: Scene, image: int = 0) -> Truth:
        """The objects that one image of a scene shows."""
        shown = [o for o in scene.objects if o.image == image]
        return cls(np.array([o.bbox_2d for o in shown]), tuple(o.desc for o in shown))

    def __len__(self) -> int:
        return len(self.descriptions)


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class: its APs (``nan`` where the truth holds none of it) and its number of truth objects."""

    AP: float
    AP50: float
    count: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What ``argus eval`` reports. A figure that the data cannot give is ``nan`` (``null`` in JSON).

    Attributes:
        AP: Mean AP over IoU 0.50:0.05:0.95 and over classes.
        AP50: At IoU 0.50.
        AP75: At IoU 0.75.
        AR100: Mean recall over IoU 0.50:0.05:0.95 and classes, at most 100 entries per image and class.
        AP50_agnostic: AP at IoU 0.50 with all classes taken as one, each query once.
        caption_exact: Share of the recalled objects whose description is the truth's, to the character (NFC);
            0 where nothing was recalled, ``nan`` where nothing was described.
        dense_caption_mAP_chrf: Dense-caption mAP (:mod:`~argusvl.detection.measure.dense_captions`), descriptions
            scored by chrF; ``nan`` where nothing was described.
        dense_caption_mAP_meteor: The same by METEOR; ``nan`` where that was not asked for.
        recall: Share of the objects with a box of their own at IoU ≥ 0.5 among an image's best, whatever its
            label.
        images: Number of images.
        objects: Number of truth objects.
        per_class: By class: those of the vocabulary, then others that the truth holds.
        precision_recall: By class, for those that the truth holds. Too long for a log: no part of
            :meth:`to_dict` and :meth:`scalars`.
    """

    AP: float
    AP50: float
    AP75: float
    AR100: float
    AP50_agnostic: float
    caption_exact: float
    dense_caption_mAP_chrf: float  # noqa: N815  # as the field writes it
    dense_caption_mAP_meteor: float  # noqa: N815
    recall: float
    images: int
    objects: int
    per_class: Mapping[str, ClassFigures]
    precision_recall: Mapping[str, PrecisionCurve] = field(default_factory=dict, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: ``nan`` becomes ``None``."""
        value = _null_nan(asdict(self))
        del value["precision_recall"]
        value["per_class"] = {name: _null_nan(figures) for name, figures in value["per_class"].items()}
        return value

    def scalars(self) -> dict[str, float]:
        """Flat figures for logs and for choosing a checkpoint, ``AP50/<class>`` by class, without ``nan``."""
        others = {"images", "objects", "per_class", "precision_recall"}
        flat = {f.name: float(getattr(self, f.name)) for f in fields(self) if f.name not in others}
        for name, figures in self.per_class.items():
            flat |= {f"AP/{name}": figures.AP, f"AP50/{name}": figures.AP50}
        return {name: value for name, value in flat.items() if not math.isnan(value)}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of an evaluation, image by image in the order of the file.

    Attributes:
        figures: What it comes to.
        images: Names of the images, as the records write them.
        predictions: What was found, best first.
        truth: The objects.
        seconds: Wall time of the predictions, reading the images included.
    """

    figures: Figures
    images: tuple[str, ...]
    predictions: tuple[Detections, ...]
    truth: tuple[Truth, ...]
    seconds: float

    @property
    def boxes_per_second(self) -> float:
        """Boxes that a caller gets in a second: those with a score that is shown."""
        boxes = sum(len(one.above(SCORE_THRESHOLD)) for one in self.predictions)
        return boxes / self.seconds if self.seconds else math.nan


def evaluate_detections(
    predictions: Sequence[Detections],
    truth: Sequence[Truth],
    *,
    labels: Sequence[str],
    vocabulary: Vocabulary,
    max_detections: int = MAX_DETECTIONS,
    described: Sequence[Detections] | None = None,
    meteor: TextScore | None = None,
) -> Figures:
    """Scores predictions against the truth, image by image in the same order and the same pixels.

    Args:
        predictions: For each image the entries that AP ranks; several labels of one query are allowed.
        truth: For each image its objects.
        labels: The vocabulary that the predictions choose from.
        vocabulary: ``closed``: a class is a whole description; ``open``: its first segment.
        max_detections: Highest-scoring entries of an image that count: 100, or the number of queries if that is more.
        described: For each image one entry a query, with captions where :func:`to_describe` asks for them.
            ``None``: each query's best entry in ``predictions``.
        meteor: Scores descriptions for ``dense_caption_mAP_meteor``, where that is wanted.

    Raises:
        DataError: The lists have different lengths, or a claimed entry was not described though others were.
    """
    if described is None:
        described = [p.best_per_query() for p in predictions]
    if not len(predictions) == len(truth) == len(described):
        raise DataError(
            "expected predictions, described predictions and truth for the same images, "
            f"got {len(predictions)}, {len(described)} and {len(truth)}"
        )
    ranked = [p.top(max_detections) for p in predictions]
    kept = [d.top(max_detections) for d in described]
    truth_classes = [[class_of(d, vocabulary) for d in t.descriptions] for t in truth]
    counts = Counter(dict.fromkeys(_nfc(labels), 0))
    counts.update(name for names in truth_classes for name in names)

    ranked_classes = [_nfc(p.labels) for p in ranked]
    scored = _Coco(ranked, ranked_classes, truth, truth_classes, list(counts), max_detections)
    one_class = [["object"] * len(d) for d in kept], [["object"] * len(t) for t in truth]
    agnostic = _Coco(kept, one_class[0], truth, one_class[1], ["object"], max_detections)
    recall, caption_exact = _described(kept, truth)

    def dense(score: TextScore | None) -> float:
        if score is None or all(d.captions is None for d in kept):
            return math.nan
        return dense_caption_map(kept, truth, score)

    return Figures(
        AP=scored.ap(),
        AP50=scored.ap(iou=0.5),
        AP75=scored.ap(iou=0.75),
        AR100=scored.ar100(),
        AP50_agnostic=agnostic.ap(iou=0.5),
        caption_exact=caption_exact,
        dense_caption_mAP_chrf=dense(chrf),
        dense_caption_mAP_meteor=dense(meteor),
        recall=recall,
        images=len(truth),
        objects=sum(counts.values()),
        per_class={
            name: ClassFigures(AP=scored.ap(category=k), AP50=scored.ap(category=k, iou=0.5), count=count)
            for k, (name, count) in enumerate(counts.items())
        },
        precision_recall={name: scored.curve(k) for k, (name, count) in enumerate(counts.items()) if count},
    )


def claim(truth: Truth, predictions: Detections) -> NDArray[np.int64]:
    """Which prediction each truth takes, ``[T]``: its highest-scoring unclaimed one with enough overlap, or -1.

    Truths choose in the order of the file.
    """
    return match(pairwise_iou(truth.boxes_xyxy_px, predictions.boxes_xyxy_px), MIN_IOU, predictions.scores)


def to_describe(truth: Truth, predictions: Detections) -> list[int]:
    """The predictions whose descriptions figures are made of."""
    claimed = claim(truth, predictions)
    merged = claim_merged(truth, predictions).described
    return sorted({*claimed[claimed >= 0].tolist(), *merged})


def _described(kept: Sequence[Detections], truth: Sequence[Truth]) -> tuple[float, float]:
    """Recall, and the share of the recalled objects that are described exactly."""
    objects = recalled = exact = 0
    captioned = any(d.captions is not None for d in kept)
    for detections, image_truth in zip(kept, truth, strict=True):
        objects += len(image_truth)
        for t, taken in enumerate(claim(image_truth, detections)):
            if taken < 0:
                continue
            recalled += 1
            if captioned:
                said, meant = _nfc([claimed_caption(detections, taken), image_truth.descriptions[t]])
                exact += said == meant
    if not objects:
        return math.nan, math.nan
    return recalled / objects, exact / max(recalled, 1) if captioned else math.nan


class _Coco:
    """One COCO evaluation of boxes, over all sizes of object."""

    def __init__(
        self,
        predictions: Sequence[Detections],
        prediction_classes: Sequence[Sequence[str]],
        truth: Sequence[Truth],
        truth_classes: Sequence[Sequence[str]],
        categories: Sequence[str],
        max_detections: int,
    ) -> None:
        ids = {name: k for k, name in enumerate(categories, start=1)}
        self._precision = np.full((10, 101, max(len(ids), 1)), -1.0)  # [IoU, recall, class]
        self._scores = np.zeros_like(self._precision)
        self._recall100 = np.full((10, max(len(ids), 1)), -1.0)
        self._thresholds = np.linspace(0.5, 0.95, 10)
        if not any(truth_classes):
            return
        annotations = [
            {"image_id": image, "category_id": ids[name], "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for image, (one, names) in enumerate(zip(truth, truth_classes, strict=True), start=1)
            for box, name in zip(_xywh(one.boxes_xyxy_px), names, strict=True)
        ]
        reference = COCO(
            {
                "info": {},
                "images": [{"id": image} for image in range(1, len(truth) + 1)],
                "categories": [{"id": k, "name": name} for name, k in ids.items()],
                "annotations": [{"id": k, **a} for k, a in enumerate(annotations, start=1)],
            }
        )
        # A label that is neither in the vocabulary nor in the truth has no AP; its entries have had their
        # place among the image's best, and count no further.
        results = [
            {"image_id": image, "category_id": ids[name], "bbox": box, "score": float(score)}
            for image, (one, names) in enumerate(zip(predictions, prediction_classes, strict=True), start=1)
            for box, score, name in zip(_xywh(one.boxes_xyxy_px), one.scores, names, strict=True)
            if name in ids
        ]
        evaluator = COCOeval_faster(reference, reference.loadRes(results), "bbox", ranges=_EVERY_SIZE)
        limits = sorted({MAX_DETECTIONS, max(max_detections, MAX_DETECTIONS)})
        evaluator.params.maxDets = limits
        evaluator.evaluate()
        evaluator.accumulate()
        shape = (len(evaluator.params.iouThrs), len(evaluator.params.recThrs), len(ids), -1, len(limits))
        self._precision = np.asarray(evaluator.eval["precision"]).reshape(shape)[:, :, :, 0, -1]
        self._scores = np.asarray(evaluator.eval["scores"]).reshape(shape)[:, :, :, 0, -1]
        self._recall100 = np.asarray(evaluator.eval["recall"]).reshape(shape[0], *shape[2:])[:, :, 0, 0]

    def ap(self, category: int | None = None, iou: float | None = None) -> float:
        """Mean precision over recall thresholds, and over IoU thresholds and classes where none is chosen."""
        chosen = self._precision if category is None else self._precision[:, :, [category]]
        return _mean(chosen if iou is None else chosen[np.isclose(self._thresholds, iou)])

    def curve(self, category: int) -> PrecisionCurve:
        """Precision over recall at IoU 0.50."""
        precision, scores = self._precision[0, :, category], self._scores[0, :, category]
        return PrecisionCurve(tuple(precision.tolist()), tuple(scores.tolist()))

    def ar100(self) -> float:
        """Mean recall over IoU thresholds and classes."""
        return _mean(self._recall100)


def _mean(values: NDArray[np.float64]) -> float:
    present = values[values > -1]  # COCO writes -1 for a class that the truth does not hold
    return float(present.mean()) if present.size else math.nan


def _xywh(boxes: NDArray[Any]) -> list[list[float]]:
    boxes = boxes.astype(np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()


def _nfc(texts: Sequence[str]) -> list[str]:
    return [unicodedata.normalize("NFC", text) for text in texts]


def _null_nan(value: Mapping[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in value.items()}
