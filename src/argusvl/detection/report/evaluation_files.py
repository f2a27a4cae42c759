"""Reading what ``argus eval --out`` writes beside the figures.

``gallery.json``
    ``{"score_threshold": number, "images_total": number, "kinds": {class: {kind: count}}, "confusion": {class: {class:
    count}}, "misdescribed": [{"truth": text, "said": text, "count": count}], "images": [{"image": path, "width":
    pixels, "height": pixels, "truth": [{"bbox_2d": [x1, y1, x2, y2], "desc": "…", "label": "…"}], "predictions":
    [{"bbox_2d": […], "desc": "…", "label": "…", "score": number}]}]}``, or the list of images alone. Boxes are pixels
    of the stored image; paths are absolute or relative to the folder. ``label`` is the class; without it the first
    ``/`` segment of ``desc`` is. A prediction without ``desc`` is shown by its ``label``. Of an image all but
    ``image`` may be left out, of the rest all but ``images``.
``precision_recall.json``
    ``{"iou": 0.5, "classes": {class: {"precision": [numbers], "scores": [numbers], "f1": [numbers]}}}``: the first two
    at equally spaced recalls from 0 to 1, ``f1`` at equally spaced score thresholds from 0 to 1; it may be left out.
``calibration.json``
    ``{"bins": [{"confidence": number, "accuracy": number, "count": number}], "ece": number, "ece_before": number or
    null, "bins_before": [the same] or null, "types": the same for label scores, "measured_on": text}``. The last two
    may be left out; the accuracy of an empty bin may be ``null``, and so may ``ece`` where nothing was predicted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argusvl.detection.measure.pairing import KINDS, LabelledBox
from argusvl.detection.measure.reliability import CALIBRATION, Bin, Reliability
from argusvl.detection.report.pictures import GalleryItem
from argusvl.detection.report.scored_curves import PrecisionCurve
from argusvl.visual.json_files import (
    are_shares,
    bad_value,
    finite_number,
    is_count,
    is_share,
    read_json,
    read_object,
)

GALLERY = "gallery.json"
PRECISION_RECALL = "precision_recall.json"


@dataclass(frozen=True, slots=True)
class GalleryFile:
    """What ``gallery.json`` holds.

    Attributes:
        items: Pictures with truth and predictions.
        score_threshold: From where predictions count.
        total: Number of pictures that were measured; ``None`` where it is not said.
        note: How the pictures were chosen, in words; empty where it is not said.
        kinds: By class, how many objects there are of each kind, over all pictures.
        confusion: By class, which classes were given to its objects, over all pictures.
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
    value = read_json(file)
    if value is None:
        return GalleryFile()
    about: dict[str, Any] = {}
    if isinstance(value, dict):
        about, value = value, value.get("images")
    if not isinstance(value, list):
        raise bad_value(
            file, "field 'images'", value, "write a list of images with their truth and predictions"
        )
    total = about.get("images_total")
    return GalleryFile(
        items=[_item(folder, file, i, entry) for i, entry in enumerate(value)],
        score_threshold=finite_number(about.get("score_threshold")) or 0.0,
        total=total if is_count(total) and total >= len(value) else None,
        note=_how_chosen(value),
        # Other kinds than the report's are an error, for their sum would be wrong.
        kinds=_counts(file, "kinds", about.get("kinds", {}), KINDS),
        confusion=_counts(file, "confusion", about.get("confusion", {})),
        misdescribed=_misdescribed(file, about.get("misdescribed", [])),
    )


def load_precision_recall(folder: Path) -> dict[str, PrecisionCurve]:
    """A curve for each class; empty if there is no file.

    Raises:
        DataError: The file is damaged.
    """
    file = folder / PRECISION_RECALL
    classes = read_object(file).get("classes", {})
    if not isinstance(classes, dict):
        raise bad_value(file, "field 'classes'", classes, "write an object with a curve for each class")
    curves: dict[str, PrecisionCurve] = {}
    for name, curve in classes.items():
        given = curve if isinstance(curve, dict) else {}
        precision, scores, f1 = given.get("precision"), given.get("scores"), given.get("f1")
        place = f"field 'classes.{name}'"
        if not (are_shares(precision) and are_shares(scores)):
            raise bad_value(file, place, curve, "write precision and scores, lists of 0 to 1")
        lengths = {len(precision), len(scores), *(len(c.precision) for c in curves.values())}
        if len(lengths) > 1:
            raise bad_value(file, place, sorted(lengths), "write lists of one length")
        if f1 is not None and not (are_shares(f1) and len(f1) == len(precision)):
            raise bad_value(file, f"{place}: f1", f1, "write a list as long as precision, of 0 to 1")
        curves[name] = PrecisionCurve(precision, scores, f1 or ())
    return curves


def load_calibrations(folder: Path) -> tuple[dict[str, Reliability], str]:
    """The calibration of each kind of score, and what it was measured on; empty if there is no file.

    Raises:
        DataError: The file is damaged.
    """
    file = folder / CALIBRATION
    value = read_object(file)
    found = {"score": _calibration(file, "", value) if value else None}
    if value.get("types") is not None:
        found["label score"] = _calibration(file, "types.", value["types"])
    measured_on = str(value.get("measured_on") or "")
    return {name: calibration for name, calibration in found.items() if calibration}, measured_on


def _how_chosen(images: list[Any]) -> str:
    """In words, where the file says of each image why it was chosen."""
    chosen = [entry.get("chosen") for entry in images]
    worst, spread = chosen.count("errors"), chosen.count("spread")
    if worst + spread < len(images):
        return ""
    return f"the {worst} with the most errors, and {spread} spread evenly over the others"


def _counts(
    file: Path, place: str, value: Any, allowed: Collection[str] | None = None
) -> dict[str, dict[str, int]]:
    if not isinstance(value, dict) or not all(isinstance(counts, dict) for counts in value.values()):
        raise bad_value(file, f"field '{place}'", value, 'write {"class": {"name": number, …}, …}')
    for name, counts in value.items():
        for key, count in counts.items():
            if not is_count(count) or (allowed is not None and key not in allowed):
                remedy = f"write a number of {', '.join(allowed)}" if allowed else "write a number of objects"
                raise bad_value(file, f"field '{place}.{name}.{key}'", count, remedy)
    return value


def _misdescribed(file: Path, value: Any) -> list[tuple[str, str, int]]:
    if not isinstance(value, list):
        raise bad_value(file, "field 'misdescribed'", value, "write a list of truth, said and count")
    found = []
    for i, entry in enumerate(value):
        given = entry if isinstance(entry, dict) else {}
        truth, said, count = (given.get(key) for key in ("truth", "said", "count"))
        if not (isinstance(truth, str) and isinstance(said, str) and is_count(count)):
            raise bad_value(
                file, f"field 'misdescribed[{i}]'", entry, "write truth and said as texts, and their count"
            )
        found.append((truth, said, count))
    return found


def _calibration(file: Path, place: str, value: Any) -> Reliability | None:
    """``None`` where nothing was predicted."""
    if not isinstance(value, dict):
        raise bad_value(file, f"field '{place.rstrip('.')}'", value, "write an object with bins and ece")
    ece, before = value.get("ece"), value.get("ece_before")
    if ece is None and value.get("bins") == []:
        return None
    if not is_share(ece) or not (before is None or is_share(before)):
        raise bad_value(
            file, f"fields '{place}ece' and '{place}ece_before'", [ece, before], "write numbers from 0 to 1"
        )
    bins_before = value.get("bins_before")
    return Reliability(
        bins=_bins(file, f"{place}bins", value.get("bins")),
        ece=ece,
        bins_before=None if bins_before is None else _bins(file, f"{place}bins_before", bins_before),
        ece_before=before,
    )


def _bins(file: Path, place: str, value: Any) -> list[Bin]:
    if not isinstance(value, list):
        raise bad_value(file, f"field '{place}'", value, "write a list of bins")
    bins = []
    for i, entry in enumerate(value):
        given: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
        confidence, accuracy, count = (given.get(key) for key in ("confidence", "accuracy", "count"))
        if count == 0:
            continue  # an empty bin has no accuracy
        if not (is_share(confidence) and is_share(accuracy) and is_count(count)):
            remedy = 'write {"confidence": 0 to 1, "accuracy": 0 to 1, "count": number}'
            raise bad_value(file, f"field '{place}[{i}]'", entry, remedy)
        bins.append(Bin(confidence, accuracy, count))
    return bins


def _item(folder: Path, file: Path, index: int, entry: Any) -> GalleryItem:
    place = f"images[{index}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise bad_value(file, f"field '{place}.image'", entry, "write the path of the image")
    path = folder / entry["image"]  # an absolute path stands for itself
    width, height = entry.get("width"), entry.get("height")
    return GalleryItem(
        image=path,
        truth=_boxes(file, f"{place}.truth", entry.get("truth", [])),
        predicted=_boxes(file, f"{place}.predictions", entry.get("predictions", [])),
        caption=path.name,
        size=(width, height) if is_count(width) and is_count(height) else None,
    )


def _boxes(file: Path, place: str, value: Any) -> list[LabelledBox]:
    if not isinstance(value, list):
        raise bad_value(file, f"field '{place}'", value, "write a list of objects")
    boxes = []
    for i, entry in enumerate(value):
        box = entry.get("bbox_2d") if isinstance(entry, dict) else None
        if not isinstance(box, list) or len(box) != 4 or any(finite_number(v) is None for v in box):
            raise bad_value(
                file, f"field '{place}[{i}].bbox_2d'", box, "write four numbers [x1, y1, x2, y2] in pixels"
            )
        label = entry.get("desc") or entry.get("label")
        if not isinstance(label, str):
            raise bad_value(file, f"field '{place}[{i}].desc'", label, "write the description, or a label")
        class_name = entry.get("label")
        x1, y1, x2, y2 = (float(v) for v in box)
        boxes.append(
            LabelledBox(
                (x1, y1, x2, y2),
                label,
                finite_number(entry.get("score")),
                class_name if isinstance(class_name, str) else "",
            )
        )
    return boxes
