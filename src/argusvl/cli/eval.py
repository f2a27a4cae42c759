"""`argus eval`: measure a checkpoint on annotated images."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from argusvl.cli.output import console, counted, print_json
from argusvl.core.errors import DataError
from argusvl.core.files import write_text_atomically
from argusvl.detection.assets import DetectionAssets
from argusvl.detection.calibration import measure
from argusvl.detection.captions import possible_descriptions
from argusvl.detection.data.dataset import Vocabulary
from argusvl.detection.data.records import RecordFile
from argusvl.detection.evaluation import Figures
from argusvl.detection.gallery import (
    GALLERY_FILE,
    PRECISION_RECALL_FILE,
    make_gallery,
    precision_recall_file,
)
from argusvl.detection.inference import Evaluation, RecordQuestions, evaluate_records
from argusvl.detection.predictor import SCORE_THRESHOLD, Predictor
from argusvl.detection.reliability import ReliabilityReport, write_reliability

FIGURES_FILE = "figures.json"
PREDICTIONS_FILE = "predictions.jsonl"


def command(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint, or a run for its best one.")
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A JSONL file of annotated records.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder that image paths are relative to; by default the file's own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the figures to stdout as JSON.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write figures, predictions and a gallery for the report here."),
    ] = None,
    teachers: Annotated[
        int, typer.Option(min=0, help="Measure a second time after so many demonstrations of the pool.")
    ] = 0,
    captions: Annotated[bool, typer.Option(help="Measure descriptions; without them it is faster.")] = True,
    open_captions: Annotated[
        bool,
        typer.Option("--open-captions", help="Let descriptions be any text, not only those of training."),
    ] = False,
    raw_scores: Annotated[
        bool, typer.Option("--raw-scores", help="Leave scores as the model gives them, not calibrated.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Records in a forward pass.")] = 8,
    max_examples: Annotated[
        int | None, typer.Option(min=1, help="Use only the first so many records.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    min_pixels: Annotated[
        int | None, typer.Option(help="Refuse a checkpoint that was trained with another limit.")
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Refuse a checkpoint that was trained with another limit.")
    ] = None,
) -> None:
    """Measure a checkpoint on annotated images.

    AP is COCO's, the mean over the classes of the data: whole descriptions where the checkpoint's vocabulary is
    closed, else first segments. caption_exact is the share of the recalled objects that are described to the letter.
    ece, the expected calibration error, is how far scores are from the share of predictions that are right. Where
    training ran in bf16, its own evaluations did, too; a CPU computes in float32 here, and figures may differ a little.

    Examples:

        argus eval runs/demo data/val.jsonl

        argus eval runs/demo data/test.jsonl --json --out runs/demo/test --teachers 2
    """
    records = _records(data, root, max_examples)
    predictor = Predictor.from_pretrained(
        checkpoint, device=device, min_pixels=min_pixels, max_pixels=max_pixels
    )
    assets = predictor.assets
    shown = predictor.load_teachers(teachers)
    calibration = None if raw_scores else assets.calibration
    descriptions = possible_descriptions(assets.labels, assets.vocabulary, assets.descriptions)

    def measure_once(with_teachers: bool) -> Evaluation:
        return evaluate_records(
            predictor.model,
            RecordQuestions(records, predictor.processor, assets.limits, shown if with_teachers else ()),
            labels=assets.labels,
            vocabulary=assets.vocabulary,
            batch_size=batch_size,
            captions=captions,
            descriptions=None if open_captions else descriptions,
            calibration=calibration,
            describe_above=SCORE_THRESHOLD if out is not None else 1.0,
            num_workers=workers,
            show_progress=True,
        )

    evaluation = measure_once(with_teachers=False)
    reliability = measure(evaluation.evidence, calibration)
    result = {"checkpoint": str(predictor.folder), "data": str(data), **_report(evaluation, reliability)}
    print_figures(evaluation.figures, f"{predictor.folder} on {data}")
    _warn_of_other_labels(evaluation.figures, assets.labels)
    _print_reliability(reliability, "left as they are" if raw_scores else assets.calibration_note)
    if teachers:
        taught = measure_once(with_teachers=True)
        taught_reliability = measure(taught.evidence, calibration)
        result["with_teachers"] = {"teachers": teachers, **_report(taught, taught_reliability)}
        print_figures(taught.figures, f"after {teachers} teachers")
    if as_json:
        print_json(result)
    if out is not None:
        _write(out, result, evaluation, records, assets.vocabulary)
        write_reliability(out, reliability, _measured_on(data, assets))


def _warn_of_other_labels(figures: Figures, labels: Sequence[str]) -> None:
    present = [name for name, one in figures.per_class.items() if one.count]
    unknown = [name for name in present if name not in labels]
    if unknown and len(unknown) == len(present):
        text = (
            f"None of the data's classes ({', '.join(unknown[:3])}{', …' if len(unknown) > 3 else ''}) is a label of "
            f"the checkpoint ({', '.join(labels[:3])}{', …' if len(labels) > 3 else ''}): every figure by class is 0."
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
    others = ("AP75", "AR100", "AP50_agnostic", "caption_exact", "recall")
    terminal.print(
        Text("   ".join(f"{name} {_shown(getattr(figures, name))}" for name in others)), soft_wrap=True
    )


def _print_reliability(reliability: ReliabilityReport, note: str) -> None:
    scores = reliability.scores
    if scores.bins_before is None:
        text = f"ece {_shown(scores.ece)}   scores are not calibrated: {note}"
    else:
        before = math.nan if scores.ece_before is None else scores.ece_before
        text = f"ece {_shown(scores.ece)}   before calibration {_shown(before)} ({note})"
    console().print(Text(text), soft_wrap=True)


def _measured_on(data: Path, assets: DetectionAssets) -> str:
    """The data's name, and whether scores were fitted on it: they are then better than on other pictures."""
    section = assets.config.get("data")
    fitted = section.get("val") if isinstance(section, dict) else None
    same = assets.calibration is not None and fitted and Path(fitted).resolve() == data.resolve()
    return f"{data}, which scores were fitted on" if same else str(data)


def _shown(figure: float) -> str:
    return "-" if math.isnan(figure) else f"{figure:.3f}"


def _report(evaluation: Evaluation, reliability: ReliabilityReport) -> dict[str, Any]:
    speed = len(evaluation.images) / evaluation.seconds if evaluation.seconds else None
    return {
        **evaluation.figures.to_dict(),
        "ece": None if math.isnan(reliability.scores.ece) else reliability.scores.ece,
        "ece_before": reliability.scores.ece_before,
        "seconds": round(evaluation.seconds, 3),
        "images_per_second": None if speed is None else round(speed, 3),
    }


def _records(data: Path, root: Path | None, max_examples: int | None) -> RecordFile:
    if data.is_dir():
        inside = sorted(str(file) for file in data.glob("*.jsonl"))
        remedy = f"name one of {', '.join(inside)}" if inside else "name a JSONL file of records"
        raise DataError("a folder; what to measure on is a file", where=data, remedy=remedy)
    records = RecordFile(data, root, max_examples)
    if not len(records):
        raise DataError("the file holds no record", where=data, remedy="name a file with annotated records")
    return records


def _write(
    out: Path, result: dict[str, Any], evaluation: Evaluation, records: RecordFile, vocabulary: Vocabulary
) -> None:
    lines = (
        json.dumps(detections.to_jsonl(image), ensure_ascii=False) + "\n"
        for image, detections in zip(evaluation.images, evaluation.predictions, strict=True)
    )
    write_text_atomically(out / PREDICTIONS_FILE, "".join(lines))
    gallery = make_gallery(evaluation, records.root, vocabulary=vocabulary, folder=out)
    write_text_atomically(out / GALLERY_FILE, json.dumps(gallery, ensure_ascii=False) + "\n")
    curves = precision_recall_file(evaluation, vocabulary)
    write_text_atomically(out / PRECISION_RECALL_FILE, json.dumps(curves, ensure_ascii=False) + "\n")
    write_text_atomically(out / FIGURES_FILE, json.dumps(result, ensure_ascii=False, indent=2) + "\n")
    console().print(Text(f"Written to {out}."))
