"""What was found in one image, in the pixels of the image that the caller gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from argusvl.core.errors import DataError
from argusvl.core.extras import import_extra

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes with labels, scores and descriptions of one image.

    An entry is a box with *one* label. ``predict_detection`` gives at most one entry for each of the model's
    queries (its best label); the ranking for AP may hold several labels of the same query: ``queries`` tells.

    Attributes:
        boxes_xyxy_px: ``[N, 4]`` float32, pixels of the caller's image.
        scores: ``[N]`` float32 in 0..1: the probability that box and label are right, where the checkpoint is
            calibrated; else objectness × label score.
        labels: ``N`` labels of the vocabulary.
        label_scores: ``[N]`` float32 in 0..1: probability of the label among the vocabulary.
        image_size: ``(width, height)`` of the image that the boxes are drawn on.
        captions: ``N`` descriptions, ``None`` for an entry that was not described; ``None`` altogether where
            nothing was.
        queries: ``[N]`` int64: the model's query behind each entry; ``None`` when the boxes are not a head's.
        note: What the caller should know of the image, e.g. ``turned upright (EXIF 6)``.

    Raises:
        DataError: The fields do not fit each other, or hold numbers that are not finite.
    """

    boxes_xyxy_px: FloatArray
    scores: FloatArray
    labels: tuple[str, ...]
    label_scores: FloatArray
    image_size: tuple[int, int]
    captions: tuple[str | None, ...] | None = None
    queries: NDArray[np.int64] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        # The fields are frozen, so what the caller gave is normalised once, here.
        store = object.__setattr__
        boxes = _array("boxes_xyxy_px", self.boxes_xyxy_px, np.float32)
        if boxes.size == 0:
            boxes = boxes.reshape(0, 4)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise _misfit("boxes_xyxy_px", "shape [N, 4]", f"shape {list(boxes.shape)}")
        count = len(boxes)
        store(self, "boxes_xyxy_px", boxes)
        for name, dtype in (("scores", np.float32), ("label_scores", np.float32), ("queries", np.int64)):
            if getattr(self, name) is None:
                continue
            values = _array(name, getattr(self, name), dtype)
            if values.shape != (count,):
                raise _misfit(name, f"shape [{count}], one for each box", f"shape {list(values.shape)}")
            store(self, name, values)
        for name in ("labels", "captions"):
            texts = getattr(self, name)
            if texts is None and name == "captions":
                continue
            if isinstance(texts, str) or len(texts) != count:
                raise _misfit(name, f"{count} texts, one for each box", f"{texts!r:.80}")
            store(self, name, tuple(texts))
        width, height = self.image_size
        if width <= 0 or height <= 0:
            raise _misfit("image_size", "(width, height) in pixels", repr(self.image_size))
        store(self, "image_size", (int(width), int(height)))

    @classmethod
    def empty(cls, image_size: tuple[int, int], note: str = "") -> Detections:
        """Nothing was found."""
        none = np.zeros(0, np.float32)
        return cls(np.zeros((0, 4), np.float32), none, (), none, image_size, note=note)

    def __len__(self) -> int:
        return len(self.boxes_xyxy_px)

    def __getitem__(self, index: slice | ArrayLike) -> Detections:
        """A subset: a slice, a boolean mask ``[N]``, or integer indices. Always a ``Detections``."""
        if not isinstance(index, slice):
            index = np.asarray(index)
            index = index if index.size else index.astype(np.int64)
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return Detections(
            boxes_xyxy_px=self.boxes_xyxy_px[chosen],
            scores=self.scores[chosen],
            labels=tuple(self.labels[i] for i in chosen),
            label_scores=self.label_scores[chosen],
            image_size=self.image_size,
            captions=None if self.captions is None else tuple(self.captions[i] for i in chosen),
            queries=None if self.queries is None else self.queries[chosen],
            note=self.note,
        )

    @property
    def texts(self) -> list[str]:
        """The description of each entry, its label where it has none."""
        captions = self.captions or (None,) * len(self)
        return [caption or label for caption, label in zip(captions, self.labels, strict=True)]

    def above(self, score: float) -> Detections:
        """The entries with at least this score."""
        return self[self.scores >= score]

    def top(self, count: int) -> Detections:
        """The ``count`` highest-scoring entries, best first; equal scores keep their order."""
        return self[np.argsort(-self.scores, kind="stable")[:count]]

    def best_per_query(self) -> Detections:
        """Each query's highest-scoring entry, best first. Without queries every entry stands for itself."""
        ordered = self.top(len(self))
        if ordered.queries is None:
            return ordered
        _, first = np.unique(ordered.queries, return_index=True)
        return ordered[np.sort(first)]

    def to_jsonl(self, image: str) -> dict[str, Any]:
        """One line of ``argus predict``, which names the image so: objects in the form of our records, with scores."""
        line: dict[str, Any] = {"image": image, "width": self.image_size[0], "height": self.image_size[1]}
        if self.note:
            line["note"] = self.note
        line["objects"] = []
        for i, label in enumerate(self.labels):
            entry: dict[str, Any] = {
                "bbox_2d": [round(float(v), 2) for v in self.boxes_xyxy_px[i]],
                "label": label,
                "score": round(float(self.scores[i]), 5),
                "label_score": round(float(self.label_scores[i]), 5),
            }
            if self.captions is not None and self.captions[i] is not None:
                entry["desc"] = self.captions[i]
            line["objects"].append(entry)
        return line

    def to_supervision(self, labels: Sequence[str] | None = None) -> Any:
        """The same as ``supervision.Detections``; labels and captions are in its ``data``.

        The vocabulary gives the class ids their order; without one it is that of the sorted labels found.

        Raises:
            ArgusError: The package ``supervision`` is not installed.
            DataError: A label is not in ``labels``.
        """
        supervision = import_extra("supervision")
        order = sorted(set(self.labels)) if labels is None else list(labels)
        unknown = sorted(set(self.labels) - set(order))
        if unknown:
            raise DataError(f"the labels {unknown} are not among {order}", remedy="give the whole vocabulary")
        data: dict[str, Any] = {"class_name": np.array(self.labels, dtype=str)}
        if self.captions is not None:
            data["caption"] = np.array(self.captions, dtype=object)
        return supervision.Detections(
            xyxy=self.boxes_xyxy_px.copy(),
            confidence=self.scores.copy(),
            class_id=np.array([order.index(label) for label in self.labels], dtype=int),
            data=data,
        )


def _array(name: str, value: Any, dtype: type[np.generic]) -> NDArray[Any]:
    try:
        array = np.array(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise _misfit(name, f"an array of {np.dtype(dtype).name}", str(error)) from None
    if not np.isfinite(array).all():
        raise _misfit(name, "finite numbers", f"{int((~np.isfinite(array)).sum())} that are not")
    array.setflags(write=False)
    return array


def _misfit(name: str, expected: str, got: str) -> DataError:
    return DataError(f"{name}: expected {expected}, got {got}", where="Detections")
