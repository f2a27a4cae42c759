"""`argus eval` for detection: figures, tables, and what the report shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from argusvl.command_options import Root
from argusvl.core.errors import ConfigError, DataError
from argusvl.detection.commands.options import (
    Mirror,
    OpenCaptions,
    RawScores,
    TrainedMaxPixels,
    TrainedMinPixels,
)
from argusvl.task_parts import Evaluated

if TYPE_CHECKING:
    from argusvl.detection.data.records import RecordFile
    from argusvl.detection.data.sampling.samples import LoadedScene


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
    path: Annotated[
        Literal["head", "text", "both"],
        typer.Option(
            help="What to measure: the detection head, the answers that the language model writes, or both."
        ),
    ] = "head",
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest written answer, in tokens; 1024 by default.")
    ] = None,
    captions: Annotated[bool, typer.Option(help="Measure descriptions; without them it is faster.")] = True,
    meteor: Annotated[
        bool,
        typer.Option(
            "--meteor", help="Score descriptions by METEOR, too: English; needs Java and takes seconds."
        ),
    ] = False,
    open_captions: OpenCaptions = False,
    raw_scores: RawScores = False,
    mirror: Mirror = False,
    max_examples: Annotated[
        int | None, typer.Option(min=1, help="Use only the first so many records; all by default.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images; 0: this one does.")] = 0,
    min_pixels: TrainedMinPixels = None,
    max_pixels: TrainedMaxPixels = None,
) -> Evaluated:
    """Measure a checkpoint on annotated images.

    AP is COCO's, the mean over the classes of the data: whole descriptions where the checkpoint's vocabulary is
    closed, else first segments. As with other DETRs each box competes once for every class, and the best 100 pairs of
    an image count, or as many as there are queries; argus predict and predictions.jsonl have each box once, of its
    best class, and their AP is less where classes are hardly told apart. caption_exact is the share of the recalled
    objects that are described to the letter.
    ece, the expected calibration error, is how far scores are from the share of predictions that are right. A machine
    that is faster in bfloat16 computes in it, as in training with bf16: auto; figures may differ a little between them.
    dense_caption_mAP is densecap's: boxes and descriptions in one figure, descriptions scored by chrF (any language) or
    METEOR. A written answer has no scores: all its boxes count with 1.

    Examples:

        argus eval runs/demo data/val.jsonl

        argus eval runs/demo data/test.jsonl --json --out runs/demo/test --teachers 2

        argus eval runs/demo data/test.jsonl --path both
    """
    from argusvl.detection.data.checkpoint_layout import assets_file

    of_head = {
        "--mirror": mirror,
        "--no-captions": not captions,
        "--open-captions": open_captions,
        "--raw-scores": raw_scores,
    }
    of_answers = {"--max-new-tokens": max_new_tokens is not None}
    without, options = ("written answers", of_answers) if path == "head" else ("the detection head", of_head)
    for option in (name for name, given in options.items() if given and path != "both"):
        raise ConfigError(
            f"concerns {without}, which --path {path} does not measure",
            where=option,
            remedy=f"leave {option} out, or measure {without} as well: --path both",
        )
    records = _records(data, root, max_examples)
    assets_file(checkpoint)

    # These take seconds: a mistake in the above has been told.
    from argusvl.detection.commands.evaluation_output import Measured, fitted_on
    from argusvl.detection.measure.calibration import measure
    from argusvl.detection.measure.caption_scores import Meteor
    from argusvl.detection.measure.pairing import SCORE_THRESHOLD
    from argusvl.detection.predict.captions import possible_descriptions
    from argusvl.detection.predict.inference import RecordQuestions, evaluate_records
    from argusvl.detection.predict.predictor import Predictor
    from argusvl.detection.predict.text_path import evaluate_answers

    scored_by = Meteor() if meteor else None
    predictor = Predictor.from_pretrained(
        checkpoint, device=device, min_pixels=min_pixels, max_pixels=max_pixels
    )
    assets = predictor.assets
    shown = predictor.load_teachers(teachers)
    calibration = None if raw_scores else assets.calibration
    descriptions = possible_descriptions(assets.labels, assets.vocabulary, assets.descriptions)

    shared: dict[str, Any] = {
        "labels": assets.labels,
        "vocabulary": assets.vocabulary,
        "batch_size": batch_size,
        "meteor": scored_by,
        "num_workers": workers,
        "show_progress": True,
    }

    def measure_once(demonstrations: Sequence[LoadedScene]) -> Measured:
        questions = RecordQuestions(records, predictor.processor, assets.limits, demonstrations)
        head = reliability = text = None
        if path != "text":
            head = evaluate_records(
                predictor.model,
                questions,
                captions=captions,
                descriptions=None if open_captions else descriptions,
                calibration=calibration,
                # A written answer describes every box: beside it the head describes all that it shows.
                describe_above=SCORE_THRESHOLD if for_report or path == "both" else 1.0,
                mirror=mirror,
                **shared,
            )
            reliability = measure(head.matched, calibration)
        if path != "head":
            text = evaluate_answers(
                predictor.model.qwen, questions, max_new_tokens=max_new_tokens or 1024, **shared
            )
        return Measured(head, reliability, text)

    alone = measure_once(())
    taught = measure_once(shown) if teachers else None
    figures: dict[str, Any] = {"path": path, **alone.to_dict()}
    if taught is not None:
        figures["with_teachers"] = {"teachers": teachers, **taught.to_dict()}

    def show(title: str) -> None:
        note = "left as they are" if raw_scores else assets.calibration_note
        if calibration is not None and fitted_on(records.path, assets):
            note += ": these, so that ece is smaller than on others"
        alone.show(title, assets.labels, note)
        if taught is not None:
            taught.show(f"after {teachers} teachers")

    return Evaluated(figures, show, lambda out: alone.write(out, records, assets))


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
