"""What a checkpoint holds beside the weights, so that prediction meets the conditions of training.

``argus.json`` says the labels, the pixel limits, the prompt's language and the run's whole configuration;
``teacher_pool.jsonl`` the demonstrations that may be shown, with their images under ``teacher_images/``, so that the
folder can be moved and needs nothing of the training data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from argusvl.core.errors import CheckpointError
from argusvl.core.files import copy_file, path_inside, read_json_object, write_text_atomically
from argusvl.core.schemas import checked
from argusvl.detection.data.checkpoint_layout import assets_file, stock_folder
from argusvl.detection.data.labels import Vocabulary
from argusvl.detection.data.records import Record, RecordFile, Scene, write_records
from argusvl.detection.data.sampling.conversation import OverLengthPolicy
from argusvl.detection.data.sampling.samples import VisionLimits, VisionTokensPolicy
from argusvl.detection.data.sampling.tokenizer import load_tokenizer, vocabulary_digest
from argusvl.detection.measure.calibration import Calibration
from argusvl.task_parts import ASSETS_FILE

if TYPE_CHECKING:
    from transformers.tokenization_utils_tokenizers import TokenizersBackend

POOL_FILE = "teacher_pool.jsonl"
POOL_IMAGES = "teacher_images"

_Several = Annotated[int, Field(strict=True, gt=0)]
_Texts = tuple[Annotated[str, Field(min_length=1)], ...]


@dataclass(frozen=True, slots=True)
class DetectionAssets:
    """The conditions of training that prediction must meet: of the run's configuration the keys of the same names, and
    these. Keys that checkpoints of earlier versions lack have a default.

    Attributes:
        labels: Vocabulary of the type score, in the order of training; empty where only language was trained, on
            records without objects.
        descriptions: What captions are chosen from; ``None``: any text. A checkpoint that does not say so, of an
            earlier version, chooses from the labels of a closed vocabulary.
        calibration: Makes probabilities of scores; ``None``: there is none.
        calibration_note: What the calibration was fitted on, or why there is none.
        vocabulary_digest: Of the tokenizer; empty where the checkpoint does not say so.
        config: The run's configuration, for the record; nothing is read from it.
    """

    labels: _Texts
    vocabulary: Vocabulary
    prompt_language: str
    model_max_length: _Several
    over_length_policy: OverLengthPolicy
    min_pixels: _Several
    max_pixels: _Several
    vision_tokens_warn: _Several
    vision_tokens_max: _Several
    vision_tokens_policy: VisionTokensPolicy
    descriptions: Annotated[_Texts, Field(min_length=1)] | None = None
    calibration: Calibration | None = None
    calibration_note: str = "the checkpoint was written without one"
    vocabulary_digest: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    def tokenizer(self, folder: Path) -> TokenizersBackend:
        """The tokenizer of training, from the checkpoint.

        Raises:
            CheckpointError: It cannot be read, or is another one: the ids that the model learned mean other tokens.
        """
        tokenizer = load_tokenizer(stock_folder(folder))
        if self.vocabulary_digest and vocabulary_digest(tokenizer) != self.vocabulary_digest:
            raise CheckpointError(
                "the tokenizer is not that of training: its tokens have other ids or merges",
                where=stock_folder(folder),
                remedy="copy the tokenizer's files of the checkpoint again",
            )
        return tokenizer

    @property
    def limits(self) -> VisionLimits:
        """How images reach the network's grid."""
        return limits_in(self)

    def save(self, folder: str | Path) -> None:
        """Writes ``argus.json`` into a checkpoint folder."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"
        write_text_atomically(Path(folder) / ASSETS_FILE, text)

    @classmethod
    def load(cls, folder: str | Path) -> DetectionAssets:
        """Inverse of :meth:`save`.

        Raises:
            CheckpointError: The folder is missing or no checkpoint, or ``argus.json`` is damaged.
        """
        file = assets_file(Path(folder))
        value = read_json_object(file, remedy="copy the checkpoint again, or use another one")
        if value.get("task", "detection") != "detection":
            raise CheckpointError(
                f"a checkpoint of the task {value['task']!r:.40}",
                where=folder,
                remedy="name one of detection, e.g. argus-tiny",
            )
        if "descriptions" not in value and value.get("vocabulary") == "closed":
            value["descriptions"] = value.get("labels") or None
        remedy = "it was changed by hand or by another version: use the checkpoint as `argus train` wrote it"
        return checked(value, cls, file, remedy=remedy)


def limits_in(settings: Any) -> VisionLimits:
    """The limits of images among the settings of a run or of a checkpoint, which have the same names."""
    return VisionLimits(**{f.name: getattr(settings, f.name) for f in fields(VisionLimits)})


def save_teacher_pool(folder: str | Path, scenes: Sequence[Scene], root: str | Path) -> None:
    """Copies a teacher pool with its images, whose paths are relative to ``root``, into a checkpoint folder."""
    folder = Path(folder)
    images = folder / POOL_IMAGES
    images.mkdir(parents=True, exist_ok=True)
    copied = []
    for number, scene in enumerate(scenes):
        names = []
        for k, image in enumerate(scene.images):
            name = f"{number:04d}_{k}{Path(image).suffix.lower()}"
            copy_file(Path(root) / image, images / name)
            names.append(f"{POOL_IMAGES}/{name}")
        copied.append(Record(student=Scene(images=tuple(names), objects=scene.objects)))
    write_records(folder / POOL_FILE, copied)


def load_teacher_pool(folder: str | Path) -> tuple[Scene, ...]:
    """The demonstrations of a checkpoint, image paths relative to it; none where it holds no pool.

    Raises:
        DataError: A line of the pool is no record.
        CheckpointError: An image lies outside of the checkpoint.
    """
    file = Path(folder) / POOL_FILE
    scenes = tuple(record.student for record in RecordFile(file)) if file.is_file() else ()
    for name in (name for scene in scenes for name in scene.images):
        path_inside(file.parent, name, stated_in=file)
    return scenes
