"""`argus eval`: measure a checkpoint on annotated images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from argusvl.cli.options import AsJson, Checkpoint, Device, Root, TrainedMaxPixels, TrainedMinPixels
from argusvl.cli.output import print_json
from argusvl.core.errors import DataError

if TYPE_CHECKING:
    from argusvl.detection.data.records import RecordFile


def command(
    checkpoint: Checkpoint,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A JSONL file of annotated records.")],
    root: Root = None,
    as_json: AsJson = False,
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
        int | None, typer.Option(min=1, help="Use only the first so many records; all by default.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images; 0: this one does.")] = 0,
    device: Device = "auto",
    min_pixels: TrainedMinPixels = None,
    max_pixels: TrainedMaxPixels = None,
) -> None:
    """Measure a checkpoint on annotated images.

    AP is COCO's, the mean over the classes of the data: whole descriptions where the checkpoint's vocabulary is
    closed, else first segments. caption_exact is the share of the recalled objects that are described to the letter.
    ece, the expected calibration error, is how far scores are from the share of predictions that are right. A machine
    that is faster in bfloat16 computes in it, as in training with bf16: auto; figures may differ a little between them.

    Examples:

        argus eval runs/demo data/val.jsonl

        argus eval runs/demo data/test.jsonl --json --out runs/demo/test --teachers 2
    """
    from argusvl.detection.checkpoint_layout import checkpoint_folder

    records = _records(data, root, max_examples)
    folder = checkpoint_folder(checkpoint)

    # These take seconds: a mistake in the above has been told.
    from argusvl.cli.eval_output import (
        figures_json,
        print_figures,
        print_reliability,
        warn_of_other_labels,
        write_evaluation,
    )
    from argusvl.detection.calibration import measure
    from argusvl.detection.captions import possible_descriptions
    from argusvl.detection.inference import Evaluation, RecordQuestions, evaluate_records
    from argusvl.detection.predictor import Predictor
    from argusvl.visual.pairing import SCORE_THRESHOLD

    predictor = Predictor.from_pretrained(folder, device=device, min_pixels=min_pixels, max_pixels=max_pixels)
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
    reliability = measure(evaluation.judged, calibration)
    result = {"checkpoint": str(folder), "data": str(data), **figures_json(evaluation, reliability)}
    print_figures(evaluation.figures, f"{folder} on {data}")
    warn_of_other_labels(evaluation.figures, assets.labels)
    print_reliability(reliability, "left as they are" if raw_scores else assets.calibration_note)
    if teachers:
        taught = measure_once(with_teachers=True)
        taught_reliability = measure(taught.judged, calibration)
        result["with_teachers"] = {"teachers": teachers, **figures_json(taught, taught_reliability)}
        print_figures(taught.figures, f"after {teachers} teachers")
    if as_json:
        print_json(result)
    if out is not None:
        write_evaluation(out, result, evaluation, reliability, records, assets)


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
