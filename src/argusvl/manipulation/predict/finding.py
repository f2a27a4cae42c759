"""Where the hands of a picture are: a detector looks for them, or a file says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from argusvl.core.errors import CheckpointError, DataError
from argusvl.core.files import read_lines, user_path
from argusvl.core.strict_json import MalformedJsonError, decode_json, finite_number, shown
from argusvl.manipulation.data.checking import Floats, Side

if TYPE_CHECKING:
    from PIL import Image

    from argusvl.detection.predict.inference import Question
    from argusvl.detection.predict.predictor import Predictor

FINDER = "argus-hand-finder"
"""The detector of hands that ships with Argus."""
SCORE_THRESHOLD = 0.4
"""Least score of a hand that is looked at."""
_LINE = 'write {"image": "PATH", "objects": [{"bbox_2d": [x1, y1, x2, y2], "label": "left hand"}]}'


@dataclass(frozen=True, slots=True, eq=False)
class HandBox:
    """Where a hand is.

    Attributes:
        box_xyxy_px: ``[4]`` in the upright picture's pixels.
        side: Which hand; ``None`` where nothing says it.
        score: From 0 to 1; ``None`` where it was given and not found.
    """

    box_xyxy_px: Floats
    side: Side | None = None
    score: float | None = None


class LooksForHands(Protocol):
    """Says where hands are, in two halves: the first needs no model and runs beside it."""

    def look(self, image: Path | None, picture: Image.Image) -> Any:
        """What :meth:`found` has to know of an upright picture; ``image``: its file, where it has one."""
        ...

    def found(self, looked: Sequence[Any]) -> list[list[HandBox]]:
        """The hands of each picture, the surest first, in one forward pass."""
        ...


class HandFinder:
    """A detector of the house that was trained on hands: on both sides, where its labels tell them apart."""

    def __init__(self, detector: Predictor, threshold: float = SCORE_THRESHOLD) -> None:
        self._detector, self._threshold = detector, threshold
        self._detect = detector.detector(captions=False)

    @classmethod
    def from_pretrained(
        cls, path: str | Path = FINDER, *, device: Any = "auto", threshold: float = SCORE_THRESHOLD
    ) -> Self:
        """Loads a detection checkpoint; its labels are hands, in any words.

        Raises:
            CheckpointError: The folder is no detection checkpoint, or damaged.
            ConfigError: There is no such device.
        """
        from argusvl.assets import model_folder
        from argusvl.detection.predict.predictor import Predictor
        from argusvl.run.checkpoints import checkpoint_at

        detector = Predictor.from_pretrained(checkpoint_at(model_folder(path)), device=device)
        if not detector.model.config.detection_enabled:
            remedy = f"name a detector of hands, or {FINDER}"
            raise CheckpointError("it has no detection head and finds nothing", where=path, remedy=remedy)
        return cls(detector, threshold)

    def look(self, image: Path | None, picture: Image.Image) -> Question:
        """The picture as the detector sees it."""
        return self._detector.question(picture)

    def found(self, looked: Sequence[Question]) -> list[list[HandBox]]:
        """The hands of each picture."""
        return [
            [
                HandBox(box.astype(float), side_of(label), float(score))
                for box, label, score in zip(one.boxes_xyxy_px, one.labels, one.scores, strict=True)
            ]
            for one in self._detect(looked, [self._threshold] * len(looked))
        ]


class BoxFile:
    """Boxes from a file: a track of hands through the pictures of a film, or what another detector found.

    Its lines are those of ``argus predict``: ``{"image": …, "objects": [{"bbox_2d": [x1, y1, x2, y2], "label": …}]}``.
    The label says which hand it is; one that does not leaves it open.

    Raises:
        DataError: The file cannot be read, or a line is something else.
    """

    def __init__(self, file: str | Path) -> None:
        self._file = user_path(file)
        self._boxes: dict[str, list[HandBox]] = {}
        for where, line in read_lines(self._file, remedy=_LINE):
            try:
                value = decode_json(line)
                image, boxes = value["image"], [_box(entry) for entry in value["objects"]]
                if not isinstance(image, str):
                    raise TypeError
            except (MalformedJsonError, KeyError, TypeError, ValueError):
                raise DataError(f"no line of boxes: {shown(line)}", where=where, remedy=_LINE) from None
            self._boxes[image] = boxes

    def look(self, image: Path | None, picture: Image.Image) -> list[HandBox]:
        """What the file says of a picture: by its path as it was named there, else by its file's name.

        Raises:
            DataError: It says nothing of it.
        """
        for name in () if image is None else (str(image), image.name):
            if name in self._boxes:
                return self._boxes[name]
        remedy = f'add a line with "image": "{image}"'
        raise DataError("no line names this picture", where=self._file, remedy=remedy)

    def found(self, looked: Sequence[list[HandBox]]) -> list[list[HandBox]]:
        """What was looked up."""
        return list(looked)


def _box(entry: Any) -> HandBox:
    numbers = [finite_number(value) for value in entry["bbox_2d"]]
    if len(numbers) != 4 or None in numbers:
        raise ValueError
    return HandBox(np.array(numbers, dtype=float), side_of(str(entry.get("label", ""))))


def side_of(label: str) -> Side | None:
    """Which hand a label means; ``None`` where it does not say."""
    words = label.lower()
    left, right = (any(word in words for word in pair) for pair in (("left", "左"), ("right", "右")))
    if left == right:
        return None
    return "left" if left else "right"
