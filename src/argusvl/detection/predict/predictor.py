"""Checkpoint + images → results in the caller's terms."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, Self

import torch
from PIL import Image

from argusvl.core.allocator import keep_freed_memory
from argusvl.core.devices import usable_device
from argusvl.core.errors import ArgusError, CheckpointError, ConfigError, DataError, ModelError
from argusvl.core.files import read_json_object
from argusvl.core.images import open_upright
from argusvl.core.logging import get_logger
from argusvl.core.precision import compute_in, decide
from argusvl.detection.data.checkpoint_layout import checkpoint_folder, stock_folder
from argusvl.detection.data.detections import Detections
from argusvl.detection.data.labels import checked_labels
from argusvl.detection.data.preparing.pool import choose_cover
from argusvl.detection.data.records import Record, Scene
from argusvl.detection.data.sampling.collation import Collator
from argusvl.detection.data.sampling.conversation import ChatProcessor
from argusvl.detection.data.sampling.samples import LoadedScene, load_scene, prepare_image
from argusvl.detection.data.sampling.tokenizer import check_special_tokens
from argusvl.detection.measure.pairing import SCORE_THRESHOLD
from argusvl.detection.model.modeling import ArgusForDetection
from argusvl.detection.predict.captions import CaptionChoice, possible_descriptions
from argusvl.detection.predict.checkpoint import DetectionAssets, load_teacher_pool
from argusvl.detection.predict.inference import (
    Question,
    SampleMetadata,
    calibrated,
    collated,
    inference_sample,
    predict_batch,
)
from argusvl.detection.predict.postprocessing import describe
from argusvl.detection.predict.text_path import TextPrediction, write_answers
from argusvl.task_parts import ASSETS_FILE

_log = get_logger(__name__)

ImageLike = str | Path | Image.Image
Teachers = int | Sequence[Scene | Record]
OnError = Callable[[ImageLike, ArgusError], None]


class Predictor:
    """Finds and describes the objects of images with a trained checkpoint.

    Made by :meth:`from_pretrained`. Memory does not grow with the number of images: :meth:`stream` holds one batch.

    Attributes:
        model: In evaluation mode, on its device.
        processor: Writes the conversations as in training.
        assets: Labels, pixel limits and prompt of training.
        teacher_pool: Demonstrations that the checkpoint brings along.
        folder: The checkpoint.
    """

    def __init__(
        self,
        model: ArgusForDetection,
        processor: ChatProcessor,
        assets: DetectionAssets,
        teacher_pool: Sequence[Scene] = (),
        folder: str | Path = ".",
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.assets = assets
        self.teacher_pool = tuple(teacher_pool)
        self.folder = Path(folder)

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        device: str | torch.device = "auto",
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> Self:
        """Loads a checkpoint that ``argus train`` wrote.

        Args:
            path: The checkpoint folder, or a run's folder (its best checkpoint is taken then, or the newest where no
                figure chose one), or the name of a model that ships with Argus.
            device: ``auto`` takes a GPU where there is one.
            min_pixels: Refuse a checkpoint that was trained with another limit; ``None``: use the trained one.
            max_pixels: The same for the other limit.

        Raises:
            CheckpointError: The folder is no checkpoint, is damaged, or was trained with other pixel limits.
            ConfigError: There is no such device.
        """
        folder = checkpoint_folder(path)
        assets = DetectionAssets.load(folder)
        for name, wanted in (("min_pixels", min_pixels), ("max_pixels", max_pixels)):
            trained = getattr(assets, name)
            if wanted is not None and wanted != trained:
                raise CheckpointError(
                    f"{name} {wanted} was asked for, but the checkpoint was trained with {trained}: boxes would shift",
                    where=folder,
                    remedy=f"leave {name} out (the trained limit is used), or train with {name}={wanted}",
                )
        _check_preprocessor(folder, assets)
        on = usable_device(device)
        keep_freed_memory()
        precision = decide("auto", on)
        _log.debug("computing in %s: %s", precision.name, precision.why)
        tokenizer = assets.tokenizer(folder)
        # Whole weights under autocast, as in training, give the most exact boxes. On a GPU memory counts more: weights
        # that are stored in half precision stay so.
        dtype = "auto" if precision.bf16 and on.type != "cpu" else torch.float32
        model = ArgusForDetection.from_pretrained(folder, dtype=dtype)
        model.to(on)  # type: ignore[arg-type]  # transformers wraps `to` with a signature of its own
        compute_in(precision, model)
        compute_in(precision, model.qwen)  # writes answers by itself
        check_special_tokens(tokenizer, model.qwen.config)
        processor = ChatProcessor(
            tokenizer,
            prompt_language=assets.prompt_language,
            model_max_length=assets.model_max_length,
            over_length_policy=assets.over_length_policy,
        )
        return cls(model, processor, assets, load_teacher_pool(folder), folder)

    def predict_detection(
        self,
        images: ImageLike | Sequence[ImageLike],
        prompt: str | None = None,
        labels: Sequence[str] | None = None,
        teachers: Teachers = 0,
        *,
        batch_size: int = 8,
        captions: bool = True,
        open_captions: bool = False,
        raw_scores: bool = False,
        mirror: bool = False,
        score_threshold: float = SCORE_THRESHOLD,
    ) -> list[Detections]:
        """Finds the objects of each image, one pass a batch.

        An image that its EXIF tag says to turn is turned upright first; boxes are in the upright picture, and the
        result's ``note`` says so.

        Args:
            images: Paths or Pillow images.
            prompt: Used in place of the standard prompt.
            labels: Another vocabulary than the trained one.
            teachers: Demonstrations: a number from the checkpoint's pool, or scenes with objects (image paths as
                given, boxes in their pixels).
            batch_size: Images in a forward pass.
            captions: Whether to write descriptions.
            open_captions: Let them be any text where the checkpoint would choose from its descriptions.
            raw_scores: Leave scores as the model gives them where the checkpoint would make probabilities of them.
            mirror: Look at the mirror image as well: boxes are more exact, for twice the time.
            score_threshold: Leave out what scores less.

        Returns:
            For each image its objects, best first, at most one for each query.

        Raises:
            ImageError: An image cannot be used.
            ModelError: The checkpoint has no detection head.
        """
        found = self.stream(
            _listed(images),
            prompt,
            labels,
            teachers,
            batch_size=batch_size,
            captions=captions,
            open_captions=open_captions,
            raw_scores=raw_scores,
            mirror=mirror,
            score_threshold=score_threshold,
        )
        return [detections for _, detections in found]

    def stream(
        self,
        images: Iterable[ImageLike],
        prompt: str | None = None,
        labels: Sequence[str] | None = None,
        teachers: Teachers = 0,
        *,
        batch_size: int = 8,
        captions: bool = True,
        open_captions: bool = False,
        raw_scores: bool = False,
        mirror: bool = False,
        score_threshold: float = SCORE_THRESHOLD,
        on_error: OnError | None = None,
    ) -> Iterator[tuple[ImageLike, Detections]]:
        """As :meth:`predict_detection`, image by image, for folders of any size: images are read as they are needed.

        ``on_error`` is called with an image that cannot be used, which is then left out; ``None``: the error is raised.

        Yields:
            The image as it was given, and its objects.
        """
        detect = self.detector(
            labels, captions=captions, open_captions=open_captions, raw_scores=raw_scores, mirror=mirror
        )
        shown = self.load_teachers(teachers)
        for batch, questions in self._batches(images, batch_size, prompt, shown, on_error):
            found = detect(questions, [score_threshold] * len(questions))
            del questions  # nothing of the batch stays referenced while the caller works on its results
            yield from zip(batch, found, strict=True)

    def detector(
        self,
        labels: Sequence[str] | None = None,
        *,
        captions: bool = True,
        open_captions: bool = False,
        raw_scores: bool = False,
        mirror: bool = False,
    ) -> Callable[[Sequence[Question], Sequence[float]], list[Detections]]:
        """What answers questions of :meth:`question`, a forward pass at each call; arguments as for :meth:`stream`.

        Returns:
            ``(questions, score_thresholds) -> objects``: for each question, those that score at least its threshold.
        """
        vocabulary = checked_labels(self.assets.labels if labels is None else labels)
        collate = self._collator(vocabulary)
        assets, among = self.assets, None
        descriptions = possible_descriptions(vocabulary, assets.vocabulary, assets.descriptions)
        if descriptions is not None and captions and not open_captions:
            longest = self.model.config.caption_max_tokens
            among = CaptionChoice.of(descriptions, vocabulary, assets.vocabulary, self.processor, longest)
        calibration = None if raw_scores else assets.calibration

        @torch.inference_mode()
        def detect(questions: Sequence[Question], score_thresholds: Sequence[float]) -> list[Detections]:
            batch, metadata = collated(collate, questions)
            output, predictions = predict_batch(
                self.model, batch, metadata, vocabulary, calibration, mirror=mirror
            )
            found = [
                calibrated(p.best, calibration).above(least)
                for p, least in zip(predictions, score_thresholds, strict=True)
            ]
            if not captions:
                return found
            chosen = [range(len(detections)) for detections in found]
            return describe(self.model, output, self.processor.tokenizer, found, chosen, among)

        return detect

    def predict_text(
        self,
        images: ImageLike | Sequence[ImageLike],
        prompt: str | None = None,
        teachers: Teachers = 0,
        *,
        max_new_tokens: int = 1024,
        batch_size: int = 8,
    ) -> list[TextPrediction]:
        """Lets the language model write its answer, as any Qwen2.5-VL does, and reads the objects out of it.

        Args:
            images: Paths or Pillow images.
            prompt: Used in place of the standard prompt.
            teachers: Demonstrations, as for :meth:`predict_detection`.
            max_new_tokens: Longest answer.
            batch_size: Images generated for at once.

        Raises:
            ImageError: An image cannot be used.
        """
        shown = self.load_teachers(teachers)
        written: list[TextPrediction] = []
        for _, questions in self._batches(_listed(images), batch_size, prompt, shown, None):
            written += self.write(questions, max_new_tokens=max_new_tokens)
        return written

    def write(self, questions: Sequence[Question], *, max_new_tokens: int) -> list[TextPrediction]:
        """What the language model writes about questions of :meth:`question`, all at once."""
        batch, metadata = collated(self._collator(self.assets.labels), questions)
        return write_answers(
            self.model.qwen,
            self.processor,
            batch,
            metadata,
            vocabulary=self.assets.vocabulary,
            max_new_tokens=max_new_tokens,
        )

    def generate(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Points to what gives boxes: text generation knows nothing of the detection head (G-002).

        Raises:
            ModelError: Always.
        """
        raise ModelError(
            "generate() writes text and gives no boxes",
            remedy="call predict_detection(images) for boxes, or predict_text(images) for the written answer",
        )

    def load_teachers(self, teachers: Teachers) -> list[LoadedScene]:
        """Demonstrations, decoded and on the grid: a number from the checkpoint's pool, or given scenes.

        Of the pool those come first that together show most labels.

        Raises:
            ConfigError: The pool holds fewer.
            DataError: A teacher's image or one of its boxes cannot be used.
        """
        if isinstance(teachers, int):
            if not 0 <= teachers <= len(self.teacher_pool):
                raise ConfigError(
                    f"teachers is {teachers}, the checkpoint's pool holds {len(self.teacher_pool)}",
                    where=self.folder,
                    remedy="ask for fewer, give scenes of your own, or train with a teacher_pool",
                )
            shown = [{o.desc: 1 for o in scene.objects} for scene in self.teacher_pool]
            order = choose_cover(shown, len(shown))[:teachers] if teachers else []
            scenes: list[Scene] = [self.teacher_pool[k] for k in order]
            root = self.folder
        else:
            scenes = [t.student if isinstance(t, Record) else t for t in teachers]
            root = Path()
        return [
            load_scene(scene, root, self.assets.limits, f"teacher {k}")
            for k, scene in enumerate(scenes, start=1)
        ]

    def _collator(self, labels: Sequence[str]) -> Collator:
        return Collator(
            self.processor,
            labels=labels,
            vocabulary=self.assets.vocabulary,
            caption_max_tokens=self.model.config.caption_max_tokens,
            for_inference=True,
        )

    def _batches(
        self,
        images: Iterable[ImageLike],
        batch_size: int,
        prompt: str | None,
        teachers: Sequence[LoadedScene],
        on_error: OnError | None,
    ) -> Iterator[tuple[list[ImageLike], list[Question]]]:
        """Images that can be used, with their questions; read up to a batch ahead.

        A batch is ``batch_size`` images as they were given, without those that cannot be used: so what is computed
        together does not depend on what else could not be, nor on who computes it.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}", remedy="give 1 or more")
        decoder = ThreadPoolExecutor(1)
        try:
            coming: deque[tuple[ImageLike, Future[Question]]] = deque()
            given = iter(images)
            while True:
                # Decoded beside the forward pass: this batch and the next one.
                for image in islice(given, 2 * batch_size - len(coming)):
                    coming.append((image, decoder.submit(self.question, image, prompt, teachers)))
                if not coming:
                    return
                batch: list[ImageLike] = []
                questions: list[Question] = []
                for _ in range(min(batch_size, len(coming))):
                    image, question = coming.popleft()
                    try:
                        questions.append(question.result())
                    except DataError as error:
                        if on_error is None:
                            raise
                        on_error(image, error)
                    else:
                        batch.append(image)
                if batch:
                    yield batch, questions
        finally:
            decoder.shutdown(cancel_futures=True)

    def question(
        self, image: ImageLike, prompt: str | None = None, teachers: Sequence[LoadedScene] = ()
    ) -> Question:
        """What is asked about an image, decoded and on the grid; no model is needed for it.

        Raises:
            ImageError: The image cannot be used.
            DataError: It cannot be resized to the grid, or the conversation is too long.
        """
        source = (
            str(getattr(image, "filename", "")) or "an image"
            if isinstance(image, Image.Image)
            else str(image)
        )
        opened, note = open_upright(image)
        pixels, plan = prepare_image(opened, self.assets.limits, source)
        student = LoadedScene((pixels,), (), (plan,))
        sample = inference_sample(self.processor, student, teachers, source=source, prompt=prompt)
        return sample, SampleMetadata((source,), (plan,), (note,))


def _check_preprocessor(folder: Path, assets: DetectionAssets) -> None:
    """The stock part carries the limits for other tools; two that differ mean that one of them was changed since."""
    file = stock_folder(folder) / "preprocessor_config.json"
    if not file.is_file():
        return
    size = read_json_object(file, remedy="copy the checkpoint again").get("size")
    size = size if isinstance(size, dict) else {}
    stated = {"min_pixels": size.get("shortest_edge"), "max_pixels": size.get("longest_edge")}
    for name, value in stated.items():
        if value is not None and value != getattr(assets, name):
            raise CheckpointError(
                f"says {name} {value}, {ASSETS_FILE} says {getattr(assets, name)}: boxes would shift",
                where=file,
                remedy="put back the limit of training: use the checkpoint as `argus train` wrote it",
            )


def _listed(images: ImageLike | Sequence[ImageLike]) -> Sequence[ImageLike]:
    return [images] if isinstance(images, str | Path | Image.Image) else images
