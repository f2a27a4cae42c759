"""``argus inspect``: what a model is given, token by token, and the groups that its parameters fall into."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from argusvl.command_options import AsJson, Checkpoint, Root
from argusvl.core.errors import CheckpointError, ConfigError, DataError
from argusvl.core.files import read_json_object
from argusvl.core.terminal import print_json
from argusvl.task_parts import ASSETS_FILE

if TYPE_CHECKING:
    from argusvl.detection.config import DetectionRunConfig

_AGAIN = "copy the model's folder again"


def tokens(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A JSONL file of records.")],
    model: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint, or a Qwen2.5-VL folder in hub layout: its tokenizer and limits. Either this or "
            "--config is needed."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A run's configuration: its tokenizer and limits, and teachers drawn as in training."
        ),
    ] = None,
    index: Annotated[int, typer.Option(help="The record to write out, from 0; negative from the end.")] = 0,
    epoch: Annotated[int, typer.Option(min=0, help="The epoch that teachers are drawn for.")] = 0,
    max_examples: Annotated[
        int | None, typer.Option(min=1, help="Count only the first so many records; all by default.")
    ] = None,
    root: Root = None,
    language: Annotated[
        str,
        typer.Option(help="Language of the prompts, zh or en, where --model is a folder that does not say."),
    ] = "en",
    as_json: AsJson = False,
) -> None:
    """Count the tokens of every record by part, and write one out in colours.

    Examples:

        argus inspect tokens data/train.jsonl --model runs/demo/best --index 3

        argus inspect tokens data/train.jsonl --config my.yaml
    """
    if (model is None) == (config is None):
        raise ConfigError(
            "one of --model and --config is needed, and not both",
            remedy="name a model folder, or a configuration whose tokenizer and limits to use",
        )
    view = _of_config(config) if config is not None else _of_model(Path(str(model)), language)

    from argusvl.detection.commands.inspect_output import (
        conversation_pieces,
        print_conversation,
        print_token_table,
    )
    from argusvl.detection.data.measuring.token_table import token_table
    from argusvl.detection.data.records import RecordFile
    from argusvl.detection.data.sampling.dataset import DetectionDataset

    if root is None and view.root is not None:
        root = view.root
    records = RecordFile(data, root, max_examples)
    if len(records) == 0:
        raise DataError("the file holds no record", where=data, remedy="name another file")
    if not -len(records) <= index < len(records):
        raise ConfigError(
            f"--index is {index}, the file has {len(records)} records",
            where=data,
            remedy=f"write an index from 0 to {len(records) - 1}",
        )
    dataset = DetectionDataset(
        records, view.processor, limits=view.limits, teachers=view.teachers, augmentation=None, seed=view.seed
    )
    dataset.set_epoch(epoch)
    conversation = dataset.measure(index)
    table = token_table(dataset, view.model_max_length)
    if as_json:
        pieces = conversation_pieces(view.processor, conversation)
        record = {
            "index": index % len(records),
            "source": records.source(index),
            "tokens": len(conversation),
            "parts": [{"part": name, "text": text, "tokens": count} for name, text, count in pieces],
        }
        print_json({**asdict(table), "record": record})
        return
    print_token_table(table)
    print_conversation(view.processor, conversation, records.source(index))


def params(checkpoint: Checkpoint, as_json: AsJson = False) -> None:
    """Show the parameter groups with their sizes and learning rates.

    Examples:

        argus inspect params runs/demo/best
    """
    from argusvl.detection.data.checkpoint_layout import checkpoint_folder

    folder = checkpoint_folder(checkpoint)

    # These take seconds: a mistake in the above has been told.
    from argusvl.detection.commands.inspect_output import print_groups
    from argusvl.detection.model.modeling import ArgusForDetection
    from argusvl.detection.predict.checkpoint import DetectionAssets
    from argusvl.detection.task import GROUP_PATTERNS, parameter_groups
    from argusvl.training.parameter_groups import describe_groups

    # Of the stored configuration only the rates are needed: it may be of an earlier version, with other keys.
    saved = DetectionAssets.load(folder).config.get("training", {})
    rates = {name: saved.get(f"{name}_lr") for name in GROUP_PATTERNS}
    missing = [f"{name}_lr" for name, rate in rates.items() if not isinstance(rate, int | float)]
    if missing:
        raise CheckpointError(
            f"the stored configuration has no {missing[0]}",
            where=folder / ASSETS_FILE,
            remedy="use a checkpoint as `argus train` wrote it",
        )
    model = ArgusForDetection.from_pretrained(folder)
    groups = parameter_groups(
        rates, detection_enabled=model.config.detection_enabled, second_eye=model.config.second_eye != "none"
    )
    rows = describe_groups(model, groups)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_groups(rows)


@dataclass(frozen=True, slots=True)
class _View:
    """How a model would see the records; its processor takes any length, the limit is kept apart."""

    processor: Any
    limits: Any
    teachers: Any
    seed: int
    model_max_length: int
    root: Path | None


def read_detection_config(path: Path) -> DetectionRunConfig:
    """The configuration of a run, for verbs that look at it.

    Raises:
        ConfigError: It is malformed, or another task's.
    """
    from argusvl.config.loading import build, read_config
    from argusvl.detection.config import DetectionRunConfig

    raw = read_config(path)
    if raw.task is not None and raw.task.value != "detection":
        raise ConfigError(
            f"the task is {raw.task.value}", where=path, remedy="give a configuration of detection"
        )
    return build(raw, DetectionRunConfig)


def _of_config(path: Path) -> _View:
    from argusvl.detection.data.measuring.conversation_lengths import unlimited_processor
    from argusvl.detection.data.sampling.dataset import TeacherSettings
    from argusvl.detection.task import DetectionTask

    run = read_detection_config(path)
    task = DetectionTask(run)
    data = task.config.data
    return _View(
        processor=unlimited_processor(task.processor.tokenizer, data.prompt_language),
        limits=task.limits,
        teachers=TeacherSettings(task.teacher_pool, data.teacher_ratio, data.num_teachers),
        seed=run.training.seed,
        model_max_length=task.config.model.model_max_length,
        root=data.root,
    )


def _of_model(folder: Path, language: str) -> _View:
    """A checkpoint says everything itself; of a plain hub folder its own files are read."""
    from argusvl.assets import model_folder
    from argusvl.detection.data.checkpoint_layout import stock_folder
    from argusvl.detection.data.sampling.samples import VisionLimits
    from argusvl.detection.data.sampling.tokenizer import load_tokenizer
    from argusvl.run.checkpoints import checkpoint_at

    folder = checkpoint_at(model_folder(folder))
    tokenizer = load_tokenizer(stock_folder(folder))

    from argusvl.detection.data.measuring.conversation_lengths import unlimited_processor
    from argusvl.detection.data.sampling.dataset import TeacherSettings

    # Without a configuration there is no pool: the records' own teachers are shown, each time.
    own_teachers = TeacherSettings(None, 1.0, 0)
    if (folder / ASSETS_FILE).is_file():
        from argusvl.detection.predict.checkpoint import DetectionAssets

        assets = DetectionAssets.load(folder)
        processor = unlimited_processor(tokenizer, assets.prompt_language)
        return _View(processor, assets.limits, own_teachers, 0, assets.model_max_length, None)
    low, high = _pixel_limits(folder / "preprocessor_config.json")
    limits = VisionLimits(low, high, sys.maxsize, sys.maxsize, "refuse")
    values = read_json_object(folder / "config.json", remedy=_AGAIN)
    longest = values.get("text_config", values).get("max_position_embeddings")
    if not isinstance(longest, int):
        raise CheckpointError(
            "names no max_position_embeddings",
            where=folder / "config.json",
            remedy="copy the model's config.json again",
        )
    return _View(unlimited_processor(tokenizer, language), limits, own_teachers, 0, longest, None)


def _pixel_limits(file: Path) -> tuple[int, int]:
    """Smallest and largest area of an image, in either spelling that Qwen's folders use."""
    values = read_json_object(file, remedy=_AGAIN)
    size = values.get("size") or {}
    low = values.get("min_pixels", size.get("shortest_edge", size.get("min_pixels")))
    high = values.get("max_pixels", size.get("longest_edge", size.get("max_pixels")))
    if not isinstance(low, int) or not isinstance(high, int):
        raise CheckpointError(
            "names no pixel limits (min_pixels and max_pixels)",
            where=file,
            remedy="copy the model's preprocessor_config.json again, or use --config",
        )
    return low, high
