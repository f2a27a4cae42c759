"""Arguments and options that several verbs of `argus recognize` have, and what they have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from argusvl.core.errors import ConfigError
from argusvl.core.files import real_path, refuse_replacing
from argusvl.core.terminal import say
from argusvl.recognition.backbones.table import known_backbones

LAYOUT_HELP = (
    "argus: data/CATEGORY/2.support-set/Class_X/shotN (or shotN, where the category is one class) and "
    "data/CATEGORY/6.preprocessed/X. imagefolder: train/X and val/X. Or patterns, of which each may be given several "
    "times: 'support=known/{class}/** queries=new/{class}/**', with {category}, {class}, {shot} (a number), * (one "
    "name) and ** (any number of names)."
)

BACKBONE_HELP = f"NAME, or NAME:FOLDER of its weights; names: {', '.join(known_backbones())}"

Lane = Literal["exact", "scaled"]
LANE_HELP = "Decode every pixel, or let the JPEG decoder shrink large pictures, which is faster"

VIEWS_HELP = (
    "one: the backbone's own; two: and its mirror image; four: both at a second size as well, where the "
    "backbone can"
)

ReadingThreads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads that read and decode; as many as there are cores by default."),
]
Images = Annotated[
    list[Path],
    typer.Argument(
        metavar="IMAGES",
        help="A folder; a list of files (.txt, or .jsonl for any name); or files and folders.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder of vectors computed before; $ARGUS_CACHE, or argus in your cache folder.",
        show_default=False,
    ),
]
LinesFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the lines here, not to stdout.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the --out file that is there.")]


def require_output(
    out: Path | None, *folders: Path, files: Sequence[Path] = (), overwrite: bool = False
) -> None:
    """Refuses to write over what the command reads, and unasked over anything.

    Raises:
        ConfigError: It has the name of an image, as where a shell has put file names for ``*``, or lies in a folder.
        ArgusError: It is there already, or is a file that is read.
    """
    from argusvl.core.images import IMAGE_SUFFIXES

    if out is None:
        return
    if out.suffix.lower() in IMAGE_SUFFIXES:
        raise ConfigError(
            f"--out {out} is the name of an image", remedy="name another file: --out result.jsonl"
        )
    for folder in folders:
        if folder.is_dir() and real_path(folder) in real_path(out).parents:
            raise ConfigError(
                f"--out {out} lies in {folder}, which the command reads", remedy="name a file elsewhere"
            )
    refuse_replacing(out, overwrite=overwrite, inputs=files)


@contextmanager
def goes_on_when_interrupted() -> Iterator[None]:
    """Says at Ctrl-C that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        say("what was computed is kept; the same command goes on")
        raise
