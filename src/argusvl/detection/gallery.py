"""Truth beside predictions for some images of an evaluation: what the report draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from argusvl.detection.evaluation import Truth
from argusvl.detection.inference import Evaluation
from argusvl.detection.predictor import SCORE_THRESHOLD

GALLERY_FILE = "gallery.json"
GALLERY_IMAGES = 24


def make_gallery(
    evaluation: Evaluation,
    root: str | Path,
    *,
    count: int = GALLERY_IMAGES,
    score_threshold: float = SCORE_THRESHOLD,
) -> dict[str, Any]:
    """JSON-ready; images are spread evenly over the file, so that nobody chose them.

    Args:
        evaluation: With descriptions above the threshold.
        root: Folder that the images' names are relative to.
        count: How many images.
        score_threshold: Predictions below are left out.

    Returns:
        ``{"score_threshold": …, "images": [{"image": path, "width": …, "height": …, "truth": [{"bbox_2d",
        "desc"}], "predictions": [{"bbox_2d", "label", "desc", "score", "label_score"}]}]}``.
    """
    total = len(evaluation.images)
    chosen = np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()
    images = []
    for k in chosen:
        # Absolute: the report is made in another folder.
        image = (Path(root) / evaluation.images[k]).resolve()
        line = evaluation.predictions[k].above(score_threshold).to_jsonl(str(image))
        line["truth"] = _truth(evaluation.truth[k])
        line["predictions"] = line.pop("objects")
        images.append(line)
    return {"score_threshold": score_threshold, "images": images}


def _truth(truth: Truth) -> list[dict[str, Any]]:
    boxes = truth.boxes_xyxy_px.tolist()
    return [{"bbox_2d": box, "desc": text} for box, text in zip(boxes, truth.descriptions, strict=True)]
