"""`argus predict` for detection: a predictor with what is asked of it, and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from argusvl.core.errors import ArgusError
from argusvl.detection.commands.options import (
    Mirror,
    OpenCaptions,
    RawScores,
    TrainedMaxPixels,
    TrainedMinPixels,
)
from argusvl.detection.measure.pairing import SCORE_THRESHOLD

if TYPE_CHECKING:
    from PIL import Image

    from argusvl.detection.data.detections import Detections
    from argusvl.detection.predict.predictor import Predictor


def load_predictor(
    checkpoint: Path,
    *,
    device: str,
    labels: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Look for these labels instead of the trained ones.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Ask this instead of the standard prompt.")] = None,
    teachers: Annotated[
        int, typer.Option(min=0, help="Demonstrations of the checkpoint's pool to show first.")
    ] = 0,
    score_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out what scores less, from 0 to 1.")
    ] = SCORE_THRESHOLD,
    captions: Annotated[bool, typer.Option(help="Write descriptions; without them it is faster.")] = True,
    open_captions: OpenCaptions = False,
    raw_scores: RawScores = False,
    mirror: Mirror = False,
    min_pixels: TrainedMinPixels = None,
    max_pixels: TrainedMaxPixels = None,
) -> DetectionStream:
    """Find and describe the objects in images.

    One line of JSON for each image: its boxes in its own pixels, labels, scores and descriptions. An image that
    cannot be used is named and the others are done; the exit code is then 1, or 2 where none could be used.

    Examples:

        argus predict runs/demo photo.jpg --draw out/

        argus predict runs/demo photos/ --out found.jsonl --labels 螺丝连接点,标签贴纸
    """
    from argusvl.detection.data.checkpoint_layout import assets_file

    assets_file(checkpoint)

    # This takes seconds: a mistake in the above has been told.
    from argusvl.detection.predict.predictor import Predictor

    predictor = Predictor.from_pretrained(
        checkpoint, device=device, min_pixels=min_pixels, max_pixels=max_pixels
    )
    request = {
        "prompt": prompt,
        "labels": [label.strip() for label in labels.split(",")] if labels is not None else None,
        "teachers": teachers,
        "captions": captions,
        "open_captions": open_captions,
        "raw_scores": raw_scores,
        "mirror": mirror,
        "score_threshold": score_threshold,
    }
    return DetectionStream(predictor, request)


@dataclass(frozen=True, slots=True)
class DetectionStream:
    """A predictor with a request; meets :class:`argusvl.task_parts.Predictor`."""

    predictor: Predictor
    request: Mapping[str, Any]

    def stream(
        self, images: Sequence[Path], *, batch_size: int, on_error: Callable[[Path, ArgusError], None]
    ) -> Iterator[tuple[Path, Detections]]:
        """Detections in the order of the images."""
        refuse: Any = on_error  # what comes back is what was given: paths
        found: Iterator[Any] = self.predictor.stream(
            images, batch_size=batch_size, on_error=refuse, **self.request
        )
        return found


def draw(image: Path, prediction: Detections, *, font_path: Path | None) -> Image.Image:
    """Draws descriptions where there are any, labels elsewhere."""
    from argusvl.core.images import open_image
    from argusvl.visual.drawing import draw_boxes

    # A model may write any character; one that the font lacks is shown as its code.
    return draw_boxes(
        open_image(image, exif="upright"),
        prediction.boxes_xyxy_px.tolist(),
        prediction.texts,
        prediction.scores.tolist(),
        font_path=font_path,
        on_missing="escape",
    )
