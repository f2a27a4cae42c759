"""`argus doctor bench`: hands over to the doctor's benchmark, which lies beside the package in a clone."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from argusvl.command_options import AsJson
from argusvl.core.errors import ArgusError
from argusvl.core.terminal import print_json

_PACKAGE = "doctor_bench"
_IN_A_CLONE = Path(__file__).parents[3] / "benchmarks" / "doctor"


def command(
    suite: Annotated[
        str, typer.Option(help="Which one: dev, held-out, reported, other-loops or healthy.")
    ] = "dev",
    beside: Annotated[
        str, typer.Option("--with", metavar="NAMES", help="Other detectors too, with commas between them.")
    ] = "",
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="NAME", help="Only this case; can be repeated.")
    ] = None,
    peer_python: Annotated[
        Path | None, typer.Option(help="The interpreter in whose environment other detectors are installed.")
    ] = None,
    only_others: Annotated[bool, typer.Option("--only-others", help="Leave our own doctor out.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Runs at the same time.")] = 2,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="benchmarks/doctor of a clone; of the one that this runs in."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the doctor: train small scripts with a known fault, their twins without it, and healthy ones.

    Examples:

        argus doctor bench

        argus doctor bench --case missing-zero-grad-mlp

        argus doctor bench --suite held-out --with sagemaker-rules --json
    """
    measuring = _load(folder or _IN_A_CLONE)
    others = [name.strip() for name in beside.split(",") if name.strip()]
    detectors = [*([] if only_others else ["argus"]), *others]
    if not detectors:
        raise ArgusError("no detector is left to measure", remedy="name one by --with")
    scores = measuring.measure(suite, detectors, case or (), peer_python=peer_python, workers=workers)
    if as_json:
        print_json({"suite": suite, "detectors": {name: one.to_json() for name, one in scores.items()}})


def _load(folder: Path) -> Any:
    """The benchmark's own code, from the folder that it is in."""
    if not (folder / _PACKAGE / "__init__.py").is_file():
        raise ArgusError(
            "the doctor's benchmark is not here: it lies beside the package, not in it",
            where=folder,
            remedy="clone the repository and run there, or name its folder: --folder CLONE/benchmarks/doctor",
        )
    sys.path.insert(0, str(folder.resolve()))
    return importlib.import_module(f"{_PACKAGE}.measuring")
