"""Images → batches → predictions: the one path that prediction and evaluation share.

Conversations are written without the student's answer and without its objects, so nothing of the truth can reach
the model.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch.utils.data import DataLoader, Dataset, Subset

from argusvl.core.batch import Batch
from argusvl.core.errors import ModelError
from argusvl.core.progress import track
from argusvl.detection.data.detections import Detections
from argusvl.detection.data.labels import Vocabulary
from argusvl.detection.data.records import RecordFile
from argusvl.detection.data.resize import ResizePlan
from argusvl.detection.data.sampling.collation import Collator
from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.data.sampling.pixels import mirror_images
from argusvl.detection.data.sampling.samples import (
    LoadedScene,
    Sample,
    VisionLimits,
    join,
    load_scene,
)
from argusvl.detection.measure.calibration import Calibration
from argusvl.detection.measure.caption_scores import TextScore
from argusvl.detection.measure.evaluation import Evaluation, Figures, Truth, evaluate_detections, to_describe
from argusvl.detection.measure.matched_predictions import MatchedPredictions
from argusvl.detection.model.modeling import ArgusForDetection, DetectionOutput
from argusvl.detection.predict.captions import CaptionChoice
from argusvl.detection.predict.postprocessing import ImagePredictions, describe, num_kept, postprocess
from argusvl.training.parallel import Parallel
from argusvl.training.sandbox import evaluation_sandbox


@dataclass(frozen=True, slots=True)
class SampleMetadata:
    """What it takes to bring the predictions of one sample back to the caller's images: of each student image its name,
    how it was resized from the caller's, what the caller should know of it, and its objects where they are known.
    """

    images: tuple[str, ...]
    plans: tuple[ResizePlan, ...]
    notes: tuple[str, ...]
    truth: tuple[Truth, ...] = ()


Question = tuple[Sample, SampleMetadata]
"""What the collator takes, and what is kept until the answer is there (the pixels are not)."""


def inference_sample(
    processor: ChatProcessor,
    student: LoadedScene,
    teachers: Sequence[LoadedScene] = (),
    *,
    source: str,
    prompt: str | None = None,
) -> Sample:
    """The sample of a conversation that ends where the answer would begin.

    A teacher that shows the student's own picture would give the answer away and is left out.
    """
    student = replace(student, objects=())
    teachers = [
        t for t in teachers if not any(np.array_equal(a, b) for a in t.images for b in student.images)
    ]
    conversation = processor.inference(
        student.turn, [t.turn for t in teachers], source=source, question=prompt
    )
    return join(conversation, student, teachers, source)


@dataclass(frozen=True, eq=False)
class RecordQuestions(Dataset[Question]):
    """Questions about the students of a records file, with their truth; ``limits`` are those of training.

    ``teachers`` are demonstrations for every student; where there are any, a record with teachers of its own is shown
    those instead, as in training.
    """

    records: RecordFile
    processor: ChatProcessor
    limits: VisionLimits
    teachers: Sequence[LoadedScene] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Question:
        record, root, teachers = self.records[index], self.records.root, self.teachers
        student = load_scene(record.student, root, self.limits, record.source)
        if teachers and record.teachers:
            teachers = [load_scene(scene, root, self.limits, record.source) for scene in record.teachers]
        images = record.student.images
        truth = tuple(Truth.of_scene(record.student, k) for k in range(len(images)))
        sample = inference_sample(self.processor, student, teachers, source=record.source)
        return sample, SampleMetadata(images, student.plans, ("",) * len(images), truth)


def predict_batch(
    model: ArgusForDetection,
    batch: Batch,
    metadata: Sequence[SampleMetadata],
    labels: Sequence[str],
    calibration: Calibration | None = None,
    *,
    mirror: bool = False,
) -> tuple[DetectionOutput, list[ImagePredictions]]:
    """One forward pass over a collated batch: the output, and predictions for each student image in order.

    Scores are the model's own; label scores are calibrated already. With ``mirror`` a second pass over the mirror
    images has a vote on where things are.

    Raises:
        ModelError: The model has no detection head.
    """
    if not model.config.detection_enabled:
        raise ModelError(
            "the model has no detection head (it was trained with detection_enabled: false)",
            remedy="use predict_text (argus eval --path text), or a checkpoint with a detection head",
        )
    sizes = [plan.size for one in metadata for plan in one.plans]
    if not sizes:  # there is no student image
        return DetectionOutput(loss_terms={}), []
    inputs = batch.to(model.device, non_blocking=True).inputs
    output, mirrored = model(**inputs), None
    if mirror:
        images = inputs["student_image_index"]
        pixels = mirror_images(inputs["pixel_values"], inputs["image_grid_thw"], images)
        mirrored = model(**{**inputs, "pixel_values": pixels})
    notes = [note for one in metadata for note in one.notes]
    temperature = 1.0 if calibration is None else calibration.type_temperature
    predictions = postprocess(
        output,
        labels,
        sizes,
        notes,
        nms_iou=model.config.nms_iou,
        type_temperature=temperature,
        mirrored=mirrored,
    )
    return output, predictions


@dataclass(frozen=True, slots=True)
class HeadEvaluation(Evaluation):
    """The outcome of an evaluation of the detection head.

    Its predictions are every query once; described where a truth object claims it, and above the score given as
    ``describe_above``. ``matched`` are the same as the model scores them: what calibration is fitted and measured
    on.
    """

    matched: MatchedPredictions


def evaluate_records(
    model: ArgusForDetection,
    questions: RecordQuestions,
    *,
    labels: Sequence[str],
    vocabulary: Vocabulary,
    batch_size: int,
    captions: bool = True,
    descriptions: Sequence[str] | None = None,
    calibration: Calibration | None = None,
    describe_above: float = 1.0,
    mirror: bool = False,
    meteor: TextScore | None = None,
    num_workers: int = 0,
    show_progress: bool = False,
    parallel: Parallel | None = None,
) -> HeadEvaluation:
    """Predicts every record and scores it. The model, and every random state, is afterwards as it was.

    Args:
        model: With a detection head.
        questions: The records.
        labels: The vocabulary.
        vocabulary: ``open`` or ``closed``.
        batch_size: Records in a forward pass.
        captions: Whether to describe what the truth claims; otherwise ``caption_exact`` is ``nan``.
        descriptions: What captions are chosen from; ``None``: any text.
        calibration: Makes probabilities of the scores; ``None``: they stay as the model gives them.
        describe_above: Also describe predictions with at least this score, e.g. to draw them.
        mirror: Look at mirror images as well: boxes are more exact, for twice the time.
        meteor: Scores descriptions as well where ``dense_caption_mAP_meteor`` is wanted.
        num_workers: Processes that read images.
        show_progress: Whether to show a bar where somebody watches.
        parallel: The processes that share the records; each gets the whole outcome.

    Raises:
        DataError: A record or one of its images cannot be used.
        ModelError: The model has no detection head, or its output is not finite.
    """
    began = time.perf_counter()
    collate = Collator(
        questions.processor,
        labels=labels,
        vocabulary=vocabulary,
        caption_max_tokens=model.config.caption_max_tokens,
        for_inference=True,
    )
    among = None
    if captions and descriptions is not None:
        among = CaptionChoice.of(
            descriptions, labels, vocabulary, questions.processor, model.config.caption_max_tokens
        )
    parallel = parallel or Parallel()
    share = parallel.share(len(questions))

    def predict() -> list[_Predicted]:
        indices = iter(share)
        predicted: list[_Predicted] = []
        batches = question_batches(Subset(questions, share), collate, batch_size, num_workers)
        count = -(-len(share) // batch_size)
        for batch, metadata in track(batches, count, "Evaluating", unit="batches", enabled=show_progress):
            output, predictions = predict_batch(model, batch, metadata, labels, calibration, mirror=mirror)
            kept = num_kept(model.config.num_queries)
            best = [p.best.top(kept) for p in predictions]
            objects = [t for one in metadata for t in one.truth]
            matched = []
            for m, (shown, of_image) in enumerate(zip(best, objects, strict=True)):
                assert output.type_logits is not None and shown.queries is not None
                logits = output.type_logits[m].float().cpu().numpy()[shown.queries]
                matched.append(MatchedPredictions.of_image(shown, of_image, logits, labels, vocabulary))
            if captions:
                chosen = [
                    sorted(
                        {
                            *to_describe(t, b),
                            *np.flatnonzero(calibrated(b, calibration).scores >= describe_above),
                        }
                    )
                    for t, b in zip(objects, best, strict=True)
                ]
                best = describe(model, output, questions.processor.tokenizer, best, chosen, among)
            numbered = zip(metadata, indices, strict=False)
            names = [(index, name) for one, index in numbered for name in one.images]
            ranked = [p.ranked for p in predictions]
            predicted += map(_Predicted, names, ranked, best, matched, objects)
        return predicted

    with evaluation_sandbox(model):
        parts = parallel.gather_results(predict)
    seconds = time.perf_counter() - began
    # The order of the file, whoever predicted what; of one record, the order of its images.
    rows = sorted((row for part in parts for row in part), key=lambda row: row.name[0])
    truth, described = [row.truth for row in rows], [row.described for row in rows]
    figures = evaluate_detections(
        [row.ranked for row in rows],
        truth,
        labels=labels,
        vocabulary=vocabulary,
        max_detections=num_kept(model.config.num_queries),
        described=described,
        meteor=meteor,
    )
    return HeadEvaluation(
        _rescored(figures, calibration),
        tuple(row.name[1] for row in rows),
        tuple(calibrated(d, calibration) for d in described),
        tuple(truth),
        seconds,
        MatchedPredictions.joined([row.matched for row in rows]),
    )


@dataclass(frozen=True, slots=True)
class _Predicted:
    """Of one image: number of its record and its name, every query once ranked, the best described, and the truth."""

    name: tuple[int, str]
    ranked: Detections
    described: Detections
    matched: MatchedPredictions
    truth: Truth


def _rescored(figures: Figures, calibration: Calibration | None) -> Figures:
    """Figures are of the model's own ranking; thresholds in them are given in the scores that are shown."""
    if calibration is None:
        return figures
    curves = {}
    for name, curve in figures.precision_recall.items():
        scores = np.array(curve.scores)
        # 0 stands for a recall that is not reached.
        shown = np.where(scores > 0, calibration.probabilities(scores), 0.0)
        curves[name] = replace(curve, scores=tuple(shown.tolist()))
    return replace(figures, precision_recall=curves)


def calibrated(detections: Detections, calibration: Calibration | None) -> Detections:
    """Predictions with probabilities for scores, where there is a calibration."""
    return detections if calibration is None else calibration.apply(detections)


def collated(collate: Collator, questions: Sequence[Question]) -> tuple[Batch, list[SampleMetadata]]:
    """Questions as a batch, and what is kept of them."""
    return collate([sample for sample, _ in questions]), [metadata for _, metadata in questions]


def question_batches(
    questions: Dataset[Question], collate: Collator, batch_size: int, num_workers: int
) -> Iterator[tuple[Batch, list[SampleMetadata]]]:
    """Collated questions with their metadata, in order; the worker that read them collates them."""
    join_up = partial(collated, collate)
    return iter(DataLoader(questions, batch_size, num_workers=num_workers, collate_fn=join_up))
