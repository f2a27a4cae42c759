"""What a model has found, as Label Studio's ``predictions``: an annotator corrects boxes in place of drawing them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from argusvl.core.errors import DataError
from argusvl.core.files import (
    already_there,
    atomic_folder,
    is_inside,
    read_lines,
    real_path,
    write_text_atomically,
)
from argusvl.core.strict_json import MalformedJsonError, decode_json
from argusvl.core.wording import first_line
from argusvl.detection.data.detections import Detections
from argusvl.detection.data.formats.label_studio import (
    DATA_KEY,
    INTERFACE_FILE,
    TASKS_FILE,
    labelling_interface,
    local_file,
    rectangle,
    tasks_text,
)
from argusvl.detection.data.formats.xml_tree import unwritable
from argusvl.detection.data.preparing.export import ImageMode, bring


def label_studio_prediction(detections: Detections, model_version: str) -> dict[str, Any]:
    """One entry of a task's ``predictions``: boxes in the pixels of the upright picture, as Label Studio shows it."""
    result = []
    for k, (box, label) in enumerate(zip(detections.boxes_xyxy_px, detections.texts, strict=True)):
        region = rectangle(f"p{k}", box.tolist(), label, detections.image_size)
        result.append({**region, "score": round(float(detections.scores[k]), 5)})
    # Label Studio sorts tasks by this score: the least certain box says how much a picture needs a look.
    score = float(detections.scores.min()) if len(detections) else 0.0
    return {"model_version": model_version, "score": round(score, 5), "result": result}


def read_predictions(file: Path) -> Iterator[tuple[Path, Detections]]:
    """The images and detections of a file that ``argus predict --out`` wrote.

    Raises:
        DataError: It is missing, or a line is none of a detector's.
    """
    remedy = "name a file that `argus predict RUN PHOTOS --out FILE` wrote"
    for where, line in read_lines(file, remedy=remedy):
        try:
            value = decode_json(line)
            objects = value["objects"]
            captions = tuple(one.get("desc") for one in objects)
            detections = Detections(
                boxes_xyxy_px=np.array([one["bbox_2d"] for one in objects], np.float32).reshape(-1, 4),
                scores=np.array([one["score"] for one in objects], np.float32),
                labels=tuple(str(one["label"]) for one in objects),
                label_scores=np.array([one["label_score"] for one in objects], np.float32),
                image_size=(value["width"], value["height"]),
                captions=captions,
            )
            image = Path(value["image"])
        except (MalformedJsonError, KeyError, TypeError, ValueError, AttributeError, DataError) as error:
            raise DataError(
                f"is no line of `argus predict` of a detector: {first_line(error)}",
                where=where,
                remedy=remedy,
            ) from None
        yield image, detections


@dataclass(frozen=True, slots=True)
class Prelabelled:
    """How many tasks and pre-labels were written, and what the labelling interface offers."""

    images: int
    boxes: int
    labels: tuple[str, ...]


def write_prelabels(
    found: Path,
    out: Path,
    *,
    model_version: str,
    labels: Sequence[str] = (),
    images: ImageMode = "copy",
    served: Path | None = None,
) -> Prelabelled:
    """Makes a folder that Label Studio serves: tasks with predictions, the labelling interface, and the images.

    Args:
        found: What ``argus predict --out`` wrote.
        out: The folder to make.
        model_version: What Label Studio calls the model.
        labels: Offered even where nothing of the kind was found.
        images: How they come into the folder.
        served: The folder that Label Studio serves, ``out`` or one around it; ``out`` when ``None``.

    Raises:
        DataError: ``found`` cannot be used or names no image, an image is missing, or ``out`` exists.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise already_there(out, None, DataError)
    root = out if served is None else served
    if not is_inside(root, out):
        text = f"does not lie in {root}, which Label Studio serves"
        raise DataError(text, where=out, remedy="name a folder inside of it")
    below = real_path(out).relative_to(real_path(root))
    pairs = list(read_predictions(found))
    if not pairs:
        raise DataError("names no image", where=found, remedy="predict some photographs first")
    missing = next((image for image, _ in pairs if not image.is_file()), None)
    if missing is not None:
        text = f"names {str(missing)!r}, which is not there"
        remedy = "call the command from the folder that the predictions were made in"
        raise DataError(text, where=found, remedy=remedy)
    absolute = [Path(os.path.abspath(image)) for image, _ in pairs]  # noqa: PTH100 - links stay as they are named
    shared = Path(os.path.commonpath([image.parent for image in absolute]))
    offered = dict.fromkeys([*labels, *sorted({one for _, d in pairs for one in d.texts})])
    unusable = next((one for one in offered if unwritable(one)), None)
    if unusable is not None:
        raise DataError(f"the label {unusable!r}: {unwritable(unusable)}", where=found)
    tasks = []
    with atomic_folder(out) as folder:
        for image, (_, detections) in zip(absolute, pairs, strict=True):
            place = Path("images") / image.relative_to(shared)
            bring(image, folder / place, images)
            prediction = label_studio_prediction(detections, model_version)
            tasks.append(
                {"data": {DATA_KEY: local_file((below / place).as_posix())}, "predictions": [prediction]}
            )
        for name, text in ((TASKS_FILE, tasks_text(tasks)), (INTERFACE_FILE, labelling_interface(offered))):
            write_text_atomically(folder / name, text)
    return Prelabelled(len(pairs), sum(len(d) for _, d in pairs), tuple(offered))
