"""``argus export``: writes a checkpoint as a Qwen2.5-VL folder, or as an adapter of one, with the head inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from argusvl.command_options import Checkpoint
from argusvl.core.errors import ArgusError
from argusvl.core.terminal import say


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
    from argusvl.detection.data.checkpoint_layout import checkpoint_folder

    folder = checkpoint_folder(checkpoint)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArgusError(
            "is there already" + (", and not empty" if out.is_dir() else ""),
            where=out,
            remedy="name a folder that is not there yet; nothing was changed",
        )

    from argusvl.detection.commands.exporting import (
        export_checkpoint,  # takes seconds: a mistake has been told
    )

    kind = export_checkpoint(folder, out, merge=merge, base=base, dtype=dtype)
    say(f"{kind} written to {out}, the detection head in {out / 'head'}.")
