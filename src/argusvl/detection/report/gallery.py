"""What an evaluation leaves for the report: pictures with truth and predictions, and precision over recall."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from argusvl.core.files import real_path
from argusvl.detection.data.detections import Detections
from argusvl.detection.data.labels import Vocabulary
from argusvl.detection.measure.evaluation import Evaluation, Truth, claim, class_of
from argusvl.detection.measure.pairing import MIN_IOU, SCORE_THRESHOLD, LabelledBox, num_errors, pair_up
from argusvl.detection.report.evaluation_files import (
    FoundBox,
    Gallery,
    GalleryImage,
    Misdescribed,
    PrecisionRecall,
    Reason,
    TruthBox,
)

Name = TypeVar("Name", bound=str)

GALLERY_IMAGES = 48
GALLERY_MIN_SCORE = 0.05
"""Predictions below are noise that nobody looks at; down to here the report's reader may lower the threshold."""

MISDESCRIBED = 50
"""So many of the wrong descriptions are named, the most frequent ones."""

_WORST_SHARE = 2 / 3


def make_gallery(
    evaluation: Evaluation,
    root: str | Path,
    *,
    vocabulary: Vocabulary,
    folder: str | Path | None = None,
    count: int = GALLERY_IMAGES,
) -> Gallery:
    """The content of ``gallery.json``.

    It shows the images with the most errors, and as many as are left spread evenly over the others, so that it does
    not show failures alone; of each ``chosen`` says why it is there, ``errors`` or ``spread``. The counts are over
    all images, from :data:`SCORE_THRESHOLD` on: ``kinds``, what became of the objects
    (:data:`~argusvl.detection.measure.pairing.KINDS`); ``confusion``, of those with a box of their own, which class
    was given to each class; ``misdescribed``, the most frequent wrong descriptions.

    Args:
        evaluation: With descriptions above the threshold.
        root: Folder that the images' names are relative to.
        vocabulary: ``closed``: a class is a whole description; ``open``: its first segment.
        folder: Where the gallery will lie: images below it are named relative to it, so that both can be moved
            together; others absolutely.
        count: How many images.
    """
    truths = [_truth_boxes(one, vocabulary) for one in evaluation.truth]
    paired = [
        pair_up(t, _predicted_boxes(p.above(SCORE_THRESHOLD)))
        for t, p in zip(truths, evaluation.predictions, strict=True)
    ]
    images = []
    for k, why in _chosen([num_errors(pairs) for pairs in paired], count):
        line = (
            evaluation.predictions[k]
            .above(GALLERY_MIN_SCORE)
            .to_jsonl(_path(Path(root) / evaluation.images[k], folder))
        )
        found = [FoundBox(**one) for one in line.pop("objects")]
        truth = [TruthBox(box.box_xyxy_px, box.label, box.class_name) for box in truths[k]]
        images.append(GalleryImage(**line, chosen=why, truth=truth, predictions=found))
    every = [pair for pairs in paired for pair in pairs]
    misdescribed = Counter(
        (pair.truth.label, pair.predicted.label)
        for pair in every
        if pair.truth and pair.predicted and pair.kind == "misdescribed"
    )
    return Gallery(
        score_threshold=SCORE_THRESHOLD,
        images_total=len(evaluation.images),
        kinds=_counted((pair.class_name, pair.kind) for pair in every),
        confusion=_counted(
            (pair.class_name, pair.predicted.counted_as)
            for pair in every
            if pair.predicted and pair.kind in ("right", "misdescribed")
        ),
        misdescribed=[
            Misdescribed(wanted, said, times)
            for (wanted, said), times in misdescribed.most_common(MISDESCRIBED)
        ],
        images=images,
    )


def precision_recall_file(evaluation: Evaluation, vocabulary: Vocabulary) -> PrecisionRecall:
    """Each class's precision over recall, and F1 over the score threshold, at IoU 0.5.

    Precision is AP's, over all that the model considered; F1 is that of the predictions that a caller gets.
    """
    f1 = _f1_over_thresholds(evaluation, vocabulary)
    classes = {
        name: replace(
            curve,
            precision=[round(p, 4) for p in curve.precision],
            scores=[round(s, 4) for s in curve.scores],
            f1=f1[name],
        )
        for name, curve in evaluation.figures.precision_recall.items()
    }
    return PrecisionRecall(MIN_IOU, classes)


def _f1_over_thresholds(evaluation: Evaluation, vocabulary: Vocabulary) -> dict[str, list[float]]:
    """For each class of the truth, F1 at the score thresholds 0, 0.01, … 1."""
    objects: Counter[str] = Counter()
    right: dict[str, list[float]] = defaultdict(list)
    wrong: dict[str, list[float]] = defaultdict(list)
    for truth, found in zip(evaluation.truth, evaluation.predictions, strict=True):
        wanted = np.array([class_of(text, vocabulary) for text in truth.descriptions], dtype=np.str_)
        labels = np.array([class_of(label, "closed") for label in found.labels], dtype=np.str_)
        objects.update(wanted.tolist())
        for name in {*wanted.tolist(), *labels.tolist()}:
            boxes = truth.boxes_xyxy_px[wanted == name]
            of_class = found[labels == name]
            claimed = claim(Truth(boxes, (name,) * len(boxes)), of_class)
            for k, score in enumerate(of_class.scores.tolist()):
                (right if k in claimed else wrong)[name].append(score)
    thresholds = np.linspace(0, 1, 101)[:, None]
    f1 = {}
    for name, count in objects.items():
        hits, misses = ((np.array(scores[name]) >= thresholds).sum(axis=1) for scores in (right, wrong))
        f1[name] = (2 * hits / (hits + misses + count)).round(4).tolist()
    return f1


def _chosen(errors: Sequence[int], count: int) -> list[tuple[int, Reason]]:
    """Indices of images, in the order of the file, each with why it was chosen."""
    if len(errors) <= count:
        return [(k, "errors" if errors[k] else "spread") for k in range(len(errors))]
    ordered = sorted(range(len(errors)), key=lambda k: -errors[k])
    worst = [k for k in ordered[: round(count * _WORST_SHARE)] if errors[k]]
    others = sorted(set(range(len(errors))) - set(worst))
    spread = np.linspace(0, len(others) - 1, count - len(worst)).round().astype(int)
    chosen: list[tuple[int, Reason]] = [(k, "errors") for k in worst]
    return sorted(chosen + [(others[k], "spread") for k in spread])


def _counted(named: Iterable[tuple[str, Name]]) -> dict[str, dict[Name, int]]:
    """How often each pair of names occurs, by the first one."""
    counts: dict[str, Counter[Name]] = {}
    for first, second in named:
        counts.setdefault(first, Counter())[second] += 1
    return {name: dict(counts[name]) for name in sorted(counts)}


def _path(image: Path, folder: str | Path | None) -> str:
    image = real_path(image)
    if folder is not None and image.is_relative_to(real_path(folder)):
        return image.relative_to(real_path(folder)).as_posix()
    return str(image)


def _truth_boxes(truth: Truth, vocabulary: Vocabulary) -> list[LabelledBox]:
    return [
        LabelledBox(tuple(box), text, class_name=class_of(text, vocabulary))
        for box, text in zip(truth.boxes_xyxy_px.tolist(), truth.descriptions, strict=True)
    ]


def _predicted_boxes(found: Detections) -> list[LabelledBox]:
    columns = (found.boxes_xyxy_px.tolist(), found.texts, found.scores.tolist(), found.labels)
    return [
        LabelledBox(tuple(box), text, score, label) for box, text, score, label in zip(*columns, strict=True)
    ]
