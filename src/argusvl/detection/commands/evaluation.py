"""`argus eval` for detection: figures, tables, and what the report shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from argusvl.command_options import Root
from argusvl.core.errors import DataError
from argusvl.detection.commands.options import OpenCaptions, RawScores, TrainedMaxPixels, TrainedMinPixels
from argusvl.task_parts import Evaluated

if TYPE_CHECKING:
    from argusvl.detection.data.records import RecordFile


def evaluate_checkpoint(
    checkpoint: Path,
    data: Path,
    *,
    device: str,
    batch_size: int,
    for_report: bool,
    root: Root = None,
    teachers: Annotated[
        int, typer.Option(min=0, help="Measure a second time after so many demonstrations of the pool.")
    ] = 0,
    captions: Annotated[bool, typer.Option(help="Measure descriptions; without them it is faster.")] = True,
    open_captions: OpenCaptions = False,
    raw_scores: RawScores = False,
    max_examples: Annotated[
        int | None, typer.Option(min=1, help="Use only the first so many records; all by default.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images; 0: this one does.")] = 0,
    min_pixels: TrainedMinPixels = None,
    max_pixels: TrainedMaxPixels = None,
) -> Evaluated:
    """Measure a checkpoint on annotated images.

    AP is COCO's, the mean over the classes of the data: whole descriptions where the checkpoint's vocabulary is
    closed, else first segments. caption_exact is the share of the recalled objects that are described to the letter.
    ece, the expected calibration error, is how far scores are from the share of predictions that are right. A machine
    that is faster in bfloat16 computes in it, as in training with bf16: auto; figures may differ a little between them.

    Examples:

        argus eval runs/demo data/val.jsonl

        argus eval runs/demo data/test.jsonl --json --out runs/demo/test --teachers 2
    """
    from argusvl.detection.checkpoint_layout import assets_file

    records = _records(data, root, max_examples)
    assets_file(checkpoint)

    # These take seconds: a mistake in the above has been told.
    from argusvl.detection.calibration import measure
    from argusvl.detection.captions import possible_descriptions
    from argusvl.detection.commands.evaluation_output import (
        figures_json,
        print_figures,
        print_reliability,
        warn_of_other_labels,
        write_evaluation,
    )
    from argusvl.detection.inference import Evaluation, RecordQuestions, evaluate_records
    from argusvl.detection.predictor import Predictor
    from argusvl.detection.report.pairing import SCORE_THRESHOLD

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
            describe_above=SCORE_THRESHOLD if for_report else 1.0,
            num_workers=workers,
            show_progress=True,
        )

    evaluation = measure_once(with_teachers=False)
    reliability = measure(evaluation.judged, calibration)
    figures: dict[str, Any] = figures_json(evaluation, reliability)
    taught = measure_once(with_teachers=True) if teachers else None
    if taught is not None:
        taught_reliability = measure(taught.judged, calibration)
        figures["with_teachers"] = {"teachers": teachers, **figures_json(taught, taught_reliability)}

    def show(title: str) -> None:
        print_figures(evaluation.figures, title)
        warn_of_other_labels(evaluation.figures, assets.labels)
        print_reliability(reliability, "left as they are" if raw_scores else assets.calibration_note)
        if taught is not None:
            print_figures(taught.figures, f"after {teachers} teachers")

    def write(out: Path) -> None:
        write_evaluation(out, evaluation, reliability, records, assets)

    return Evaluated(figures, show, write)


def _records(data: Path, root: Path | None, max_examples: int | None) -> RecordFile:
    from argusvl.detection.data.records import RecordFile

    if data.is_dir():
        inside = sorted(str(file) for file in data.glob("*.jsonl"))
        remedy = f"name one of {', '.join(inside)}" if inside else "name a JSONL file of records"
        raise DataError("a folder; what to measure on is a file", where=data, remedy=remedy)
    records = RecordFile(data, root, max_examples)
    if not len(records):
        raise DataError("the file holds no record", where=data, remedy="name a file with annotated records")
    return records
