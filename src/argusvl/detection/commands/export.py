"""``argus export``: writes a checkpoint as a Qwen2.5-VL folder, or as an adapter of one, with the head inside."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from argusvl.command_options import Checkpoint
from argusvl.core.errors import ArgusError, CheckpointError
from argusvl.core.files import atomic_folder, copy_file
from argusvl.core.terminal import say
from argusvl.task_parts import ASSETS_FILE

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig


_WRITTEN_BY_THE_MODEL = (
    *("*.safetensors", "*.safetensors.index.json"),
    *("config.json", "generation_config.json", "adapter_config.json"),
)


def export(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make; not there yet, or empty.")],
    merge: Annotated[
        bool, typer.Option("--merge", help="Make an adapter part of the weights: OUT then needs no base.")
    ] = False,
    base: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the base of an adapter is now, if not where it was."),
    ] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(
            help="What to hold the weights in; auto: what those of the checkpoint, or its base, are in."
        ),
    ] = "auto",
) -> None:
    """Write a checkpoint as a plain Qwen2.5-VL folder, the detection head in head/.

    transformers, vLLM and others load the folder as any Qwen2.5-VL; every verb of argus takes it as a checkpoint. Of a
    checkpoint with an adapter (LoRA and others) the adapter is written, as PEFT loads it onto its base; with --merge a
    whole Qwen2.5-VL.

    Examples:

        argus export runs/mine models/mine

        argus export runs/lora models/mine --merge --dtype bfloat16
    """
    from argusvl.detection.data.checkpoint_layout import checkpoint_folder, is_adapter, stock_folder

    folder = checkpoint_folder(checkpoint)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArgusError(
            "is there already" + (", and not empty" if out.is_dir() else ""),
            where=out,
            remedy="name a folder that is not there yet; nothing was changed",
        )
    stock = stock_folder(folder)
    adapted = is_adapter(stock)
    if base is not None and not adapted:
        raise CheckpointError("has no adapter, and so no base", where=folder, remedy="leave --base out")
    if dtype != "auto" and adapted and not merge:
        raise CheckpointError(
            "would be written as an adapter, whose weights stay as they are",
            where=folder,
            remedy="leave --dtype out, or add --merge",
        )

    # These take seconds: a mistake in the above has been told.
    import torch

    from argusvl.detection.measure.reliability import CALIBRATION
    from argusvl.detection.model.modeling import ArgusForDetection
    from argusvl.detection.predict.checkpoint import POOL_FILE, POOL_IMAGES

    model = ArgusForDetection.from_pretrained(folder, base=base)
    held = model.qwen.dtype
    if adapted and merge:
        # What is added is small beside a weight: in bfloat16 most of it would be rounded away twice.
        model.float()
        model.merge_adapter()
    if dtype != "auto":
        held = getattr(torch, dtype)
    if not adapted or merge:
        model.qwen.to(held)  # type: ignore[arg-type]  # transformers wraps `to` with a signature of its own
        _say_type(model.qwen.config, held)
    with atomic_folder(out) as temporary:
        model.export(temporary)
        kept = [p for p in stock.iterdir() if not any(p.match(pattern) for pattern in _WRITTEN_BY_THE_MODEL)]
        for path in (*kept, *(folder / name for name in (ASSETS_FILE, POOL_FILE, CALIBRATION))):
            if path.is_file():
                copy_file(path, temporary / path.name)
        if (folder / POOL_IMAGES).is_dir():
            shutil.copytree(folder / POOL_IMAGES, temporary / POOL_IMAGES, copy_function=copy_file)
    kind = f"a Qwen2.5-VL in {str(held).removeprefix('torch.')}" if model.adapter is None else "an adapter"
    say(f"{kind} written to {out}, the detection head in {out / 'head'}.")


def _say_type(config: PreTrainedConfig, dtype: torch.dtype) -> None:
    for part in (config, config.get_text_config(), getattr(config, "vision_config", None)):
        if part is not None:
            part.dtype = dtype
