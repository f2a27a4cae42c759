"""What an evaluation shows to people, on stderr, and the files that it leaves."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from argusvl.core.files import real_path, write_text_atomically
from argusvl.core.terminal import console
from argusvl.core.wording import counted, listed
from argusvl.detection.assets import DetectionAssets
from argusvl.detection.data.records import RecordFile
from argusvl.detection.evaluation import Figures
from argusvl.detection.gallery import (
    make_gallery,
    precision_recall_file,
)
from argusvl.detection.inference import Evaluation
from argusvl.detection.reliability import ReliabilityReport, write_reliability
from argusvl.detection.report.evaluation_files import GALLERY, PRECISION_RECALL

PREDICTIONS_FILE = "predictions.jsonl"


def warn_of_other_labels(figures: Figures, labels: Sequence[str]) -> None:
    """Says so where the data have no class that the checkpoint knows."""
    present = [name for name, one in figures.per_class.items() if one.count]
    unknown = [name for name in present if name not in labels]
    if unknown and len(unknown) == len(present):
        text = (
            f"None of the data's classes ({listed(unknown, 3)}) is a label of the checkpoint ({listed(labels, 3)}): "
            "every figure by class is 0."
        )
        console().print(Text(text, style="yellow"), soft_wrap=True)


def print_figures(figures: Figures, title: str) -> None:
    """A table of the classes and a line for each figure, on stderr."""
    terminal = console()
    terminal.print(
        Text(
            f"{title}: {counted(figures.images, 'image')}, {counted(figures.objects, 'object')}", style="bold"
        )
    )
    classes = Table("class", "AP", "AP50", "objects", box=SIMPLE_HEAD)
    for column in classes.columns[1:]:
        column.justify = "right"
    for name, one in figures.per_class.items():
        classes.add_row(Text(name), _shown(one.AP), _shown(one.AP50), str(one.count))
    classes.add_section()
    classes.add_row("mean", _shown(figures.AP), _shown(figures.AP50), str(figures.objects), style="bold")
    terminal.print(classes)
    others: tuple[str, ...] = (
        "AP75",
        "AR100",
        "AP50_agnostic",
        "caption_exact",
        "recall",
        "dense_caption_mAP_chrf",
    )
    if not math.isnan(figures.dense_caption_mAP_meteor):
        others += ("dense_caption_mAP_meteor",)
    terminal.print(
        Text("   ".join(f"{name} {_shown(getattr(figures, name))}" for name in others)), soft_wrap=True
    )


def print_reliability(reliability: ReliabilityReport, note: str) -> None:
    """How far scores can be believed, and what they were fitted on."""
    scores = reliability.scores
    if scores.bins_before is None:
        text = f"ece {_shown(scores.ece)}   scores are not calibrated: {note}"
    else:
        before = math.nan if scores.ece_before is None else scores.ece_before
        text = f"ece {_shown(scores.ece)}   before calibration {_shown(before)} ({note})"
    console().print(Text(text), soft_wrap=True)


def figures_json(evaluation: Evaluation, reliability: ReliabilityReport) -> dict[str, Any]:
    """The figures of an evaluation, ready for JSON."""
    speed = len(evaluation.images) / evaluation.seconds if evaluation.seconds else None
    return {
        **evaluation.figures.to_dict(),
        "ece": None if math.isnan(reliability.scores.ece) else reliability.scores.ece,
        "ece_before": reliability.scores.ece_before,
        "seconds": round(evaluation.seconds, 3),
        "images_per_second": None if speed is None else round(speed, 3),
    }


def write_evaluation(
    out: Path,
    evaluation: Evaluation,
    reliability: ReliabilityReport,
    records: RecordFile,
    assets: DetectionAssets,
) -> None:
    """Writes predictions, and what the report shows of an evaluation, into a folder."""
    lines = (
        json.dumps(detections.to_jsonl(image), ensure_ascii=False) + "\n"
        for image, detections in zip(evaluation.images, evaluation.predictions, strict=True)
    )
    write_text_atomically(out / PREDICTIONS_FILE, "".join(lines))
    gallery = make_gallery(evaluation, records.root, vocabulary=assets.vocabulary, folder=out)
    write_text_atomically(out / GALLERY, json.dumps(gallery, ensure_ascii=False) + "\n")
    curves = precision_recall_file(evaluation, assets.vocabulary)
    write_text_atomically(out / PRECISION_RECALL, json.dumps(curves, ensure_ascii=False) + "\n")
    write_reliability(out, reliability, _measured_on(records.path, assets))


def _measured_on(data: Path, assets: DetectionAssets) -> str:
    """The data's name, and whether scores were fitted on it: they are then better than on other pictures."""
    section = assets.config.get("data")
    fitted = section.get("val") if isinstance(section, dict) else None
    same = assets.calibration is not None and fitted and real_path(fitted) == real_path(data)
    return f"{data}, which scores were fitted on" if same else str(data)


def _shown(figure: float) -> str:
    return "-" if math.isnan(figure) else f"{figure:.3f}"
