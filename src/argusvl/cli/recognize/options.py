"""Options that several of the verbs have, and their exit code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from argusvl.cli.output import console
from argusvl.core.errors import ConfigError

FOUND_SOMETHING = 1
"""Exit code: done, and something is wrong with what was asked about."""

LAYOUT_HELP = (
    "argus: data/CATEGORY/2.support-set/Class_X/shotN (or shotN, where the category is one class) and "
    "data/CATEGORY/6.preprocessed/X. imagefolder: train/X and val/X. Or patterns, of which each may be given several "
    "times: 'support=known/{class}/** queries=new/{class}/**', with {category}, {class}, {shot} (a number), * (one "
    "name) and ** (any number of names)."
)

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads; as many as there are cores by default.")]
ReadingThreads = Annotated[int | None, typer.Option(min=1, help="Threads that read and decode.")]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder of vectors computed before; $ARGUS_CACHE, or argus in your cache folder.",
        show_default=False,
    ),
]
LinesFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the lines here, not to stdout.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write the result to stdout as JSON.")]


def require_output(out: Path | None, *folders: Path, files: Sequence[Path] = ()) -> None:
    """Refuses to write over what the command reads.

    Args:
        out: Where the user wants the result; nothing is refused when ``None``.
        folders: Stores and data folders, which hold no results.
        files: Lists and the like that are read.

    Raises:
        ConfigError: It has the name of an image, as where a shell has put file names for ``*``, or lies in a folder.
    """
    from argusvl.recognition.extraction.sources import IMAGE_SUFFIXES

    if out is None:
        return
    if out.suffix.lower() in IMAGE_SUFFIXES:
        raise ConfigError(
            f"--out {out} is the name of an image", remedy="name another file: --out result.jsonl"
        )
    if out.resolve() in [file.resolve() for file in files]:
        raise ConfigError(f"--out {out} is what the command reads", remedy="name another file")
    for folder in folders:
        if folder.is_dir() and folder.resolve() in out.resolve().parents:
            raise ConfigError(
                f"--out {out} lies in {folder}, which the command reads", remedy="name a file elsewhere"
            )


@contextmanager
def goes_on_when_interrupted() -> Iterator[None]:
    """Says at Ctrl-C that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        console().print("what was computed is kept; the same command goes on", markup=False)
        raise
