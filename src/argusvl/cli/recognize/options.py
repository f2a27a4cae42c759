"""Options that several of the verbs have, and their exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
