"""``argus inspect memory``: what a training step takes, before it is taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from argusvl.command_options import AsJson
from argusvl.core.errors import CheckpointError
from argusvl.core.terminal import FOUND_SOMETHING, print_json, say

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLConfig

    from argusvl.detection.measure.footprint import BatchShape
    from argusvl.detection.measure.strategies import Strategy
    from argusvl.detection.model.configuration import ArgusDetectionConfig
    from argusvl.detection.model.losses import LossSettings

_SHAPES = ("3B", "7B", "32B", "72B")
_SHIPPED_HEAD: dict[str, Any] = {
    "hidden_size": 512,
    "num_heads": 8,
    "ffn_size": 2048,
    "decoder_num_layers": 3,
}
"""Of ``configs/qwen25_vl_3b.yaml``."""


def memory(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A checkpoint, a Qwen2.5-VL folder, a run's configuration, a size (3B, 7B, 32B, 72B), or all sizes.",
        ),
    ],
    samples: Annotated[int | None, typer.Option(min=1, help="Conversations of a micro-batch.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of each, images included.")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Images of each, teachers' included.")] = None,
    image_tokens: Annotated[int | None, typer.Option(min=1, help="Merged vision tokens of an image.")] = None,
    soak: Annotated[
        int | None,
        typer.Option(min=20, help="Train a checkpoint for so many steps on drawn data: does memory grow?"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a training step takes, by part and by strategy; nothing of it is allocated.

    The batch is the largest that the configuration's limits allow, or 1 conversation of 4,096 tokens with two images of
    1,024 merged tokens.

    Examples:

        argus inspect memory my.yaml

        argus inspect memory 7B --tokens 8192

        argus inspect memory all

        argus inspect memory argus-tiny --soak 1000
    """
    own = {"samples": samples, "tokens": tokens, "images": images, "image_tokens": image_tokens}
    changes: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if soak is not None:
        from argusvl.detection.commands.inspect_output import print_soak
        from argusvl.detection.commands.soak import soak as train

        result = train(what, soak)
        if as_json:
            print_json(result.as_dict())
        else:
            print_soak(result)
        if result.verdict == "grows":
            raise typer.Exit(FOUND_SOMETHING)
        return
    if what == "all":
        _published(changes, as_json)
        return
    asked = _asked(what, changes)

    from argusvl.detection.commands.inspect_output import needs_as_dict, print_needs
    from argusvl.detection.measure.strategies import need, on_one_device, on_several_devices

    count = _counting(asked)
    strategies = [*on_one_device(), *on_several_devices((8,))]
    needs = {s: need(s, count(s), averaged=asked.averaged) for s in strategies}
    as_asked = (s for s in strategies if s == replace(asked.trains, name=s.name, offered=True))
    configured = next(as_asked, None)
    if as_json:
        print_json(needs_as_dict(asked.batch, needs, count(strategies[0]), configured))
        return
    print_needs(what, asked.batch, needs, count(strategies[0]), configured)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A model, and how it is to be trained."""

    config: ArgusDetectionConfig
    settings: LossSettings
    batch: BatchShape
    trains: Strategy
    averaged: bool = False


def _counting(asked: _Asked) -> Any:
    from argusvl.detection.measure.strategies import counting

    say("Counting: about a second for each kind of step.")
    return counting(asked.config, asked.batch, asked.settings)


def _published(changes: dict[str, Any], as_json: bool) -> None:
    """The smallest configuration that fits, for every size and device."""
    from argusvl.detection.commands.inspect_output import Fit, fits_as_dict, print_fits
    from argusvl.detection.measure.strategies import (
        CARDS,
        first_that_fits,
        need,
        on_one_device,
        on_several_devices,
    )

    alone = [s for s in on_one_device() if s.precision != "float32"]
    whole = [s for s in alone if s.offered] + on_several_devices()
    rows: list[Fit] = []
    for name in _SHAPES:
        asked = _asked(name, changes)
        count = _counting(asked)
        needs = {s: need(s, count(s)) for s in [*alone, *whole]}
        for card in CARDS:
            one, all_weights = (first_that_fits(those, card, needs.__getitem__) for those in (alone, whole))
            rows.append((name, card, one, all_weights))
    if as_json:
        print_json(fits_as_dict(asked.batch, rows))
        return
    print_fits(asked.batch, rows)


def _asked(what: str, changes: dict[str, Any]) -> _Asked:
    """What a word on the command line means, its batch changed as asked."""
    path = Path(what)
    if what in _SHAPES:
        from argusvl.detection.model.architecture import PUBLISHED

        asked = _of_shape(PUBLISHED[what].config())
    elif path.suffix in (".yaml", ".yml"):
        asked = _of_config(path)
    else:
        asked = _of_checkpoint(path)
    return replace(asked, batch=replace(asked.batch, **changes))


def _of_shape(stock: Qwen2_5_VLConfig) -> _Asked:
    """A plain Qwen2.5-VL with the head that a training would put beside it."""
    from argusvl.detection.measure.footprint import BatchShape
    from argusvl.detection.measure.strategies import Strategy
    from argusvl.detection.model.configuration import ArgusDetectionConfig
    from argusvl.detection.model.losses import SHIPPED

    head = ArgusDetectionConfig(stock, **_SHIPPED_HEAD)
    return _Asked(head, SHIPPED, BatchShape(), Strategy("as shipped"))


def _of_config(path: Path) -> _Asked:
    from argusvl.detection.commands.inspect import read_detection_config

    run = read_detection_config(path)

    from argusvl.detection.measure.footprint import BatchShape
    from argusvl.detection.measure.strategies import Strategy
    from argusvl.detection.task import DetectionTask

    # As on the GPU that may not be here.
    trains = Strategy.of(run, on_gpu=run.infrastructure.device != "cpu")
    task, averaged = DetectionTask(run), run.training.ema_decay is not None
    return _Asked(task.model_config(), task.loss_settings(), BatchShape.largest(run), trains, averaged)


def _of_checkpoint(path: Path) -> _Asked:
    from argusvl.assets import model_folder
    from argusvl.core.files import real_path

    given = real_path(model_folder(path))
    if not given.is_dir():
        raise CheckpointError(
            "no such checkpoint, configuration or size",
            where=path,
            remedy=f"name a checkpoint's folder, a YAML file, or one of {', '.join(_SHAPES)}, all",
        )

    from argusvl.detection.data.checkpoint_layout import checkpoint_folder
    from argusvl.detection.data.patches import TOKEN_AREA
    from argusvl.detection.measure.footprint import BatchShape
    from argusvl.detection.measure.strategies import Strategy
    from argusvl.detection.model.loading import load_config, load_qwen_config
    from argusvl.detection.model.losses import SHIPPED
    from argusvl.detection.predict.checkpoint import DetectionAssets
    from argusvl.task_parts import ASSETS_FILE

    if (given / "config.json").is_file() and not (given / ASSETS_FILE).is_file():
        return _of_shape(load_qwen_config(given))
    folder = checkpoint_folder(path)
    config, assets = load_config(folder), DetectionAssets.load(folder)
    batch = BatchShape(
        tokens=assets.model_max_length,
        images=1,
        image_tokens=min(assets.max_pixels // TOKEN_AREA, assets.vision_tokens_max),
        objects=max(1, config.num_queries // 6),
        caption_tokens=config.caption_max_tokens,
        labels=len(assets.labels),
    )
    return _Asked(config, SHIPPED, batch, Strategy("as stored", "float32", checkpointing=False))
