"""`argus eval`: measure a checkpoint on annotated data."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from argusvl.cli.by_task import with_options
from argusvl.command_options import AsJson, Checkpoint, Device
from argusvl.core.errors import DataError
from argusvl.core.figures import FIGURES_FILE, FigureSpec
from argusvl.core.files import already_there, read_json, write_text_atomically
from argusvl.core.terminal import console, print_json, say
from argusvl.run.layout import EVENTS_FILE
from argusvl.task_parts import EvaluateCheckpoint
from argusvl.tasks import find_checkpoint, task_entry, task_part


def for_task(task: str) -> Callable[..., None]:
    """The verb with the options of a task's evaluation."""

    def command(
        evaluate: EvaluateCheckpoint,
        checkpoint: Checkpoint,
        data: Annotated[
            Path,
            typer.Argument(metavar="DATA", help="Annotated data, laid out as those of the task's training."),
        ],
        as_json: AsJson = False,
        out: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="Write figures, and what the report shows of them, here."),
        ] = None,
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="Replace files in DIR that are no evaluation's.")
        ] = False,
        batch_size: Annotated[int, typer.Option(min=1, help="Records in a forward pass.")] = 8,
        device: Device = "auto",
        **options: Any,
    ) -> None:
        if out is not None and out.exists() and not out.is_dir():
            raise DataError(
                "is a file; an evaluation is written into a folder", where=out, remedy="name a folder"
            )
        if out is not None and not overwrite:
            _refuse_foreign(out, task_entry(task).evaluation_files)
        folder = find_checkpoint(checkpoint)
        evaluated = evaluate(
            folder, data, device=device, batch_size=batch_size, for_report=out is not None, **options
        )
        title = f"{folder} on {data}"
        if evaluated.show is None:
            _print_figures(title, evaluated.figures, task_entry(task).figure_specs())
        else:
            evaluated.show(title)
        result = {"task": task, "checkpoint": str(folder), "data": str(data), **evaluated.figures}
        if as_json:
            print_json(result)
        if out is not None:
            if evaluated.write is not None:
                evaluated.write(out)
            # Last: this file is what makes the folder an evaluation.
            write_text_atomically(out / FIGURES_FILE, json.dumps(result, ensure_ascii=False, indent=2) + "\n")
            say(f"Written to {out}.")

    return with_options(command, task_part(task, "evaluation"))


def _refuse_foreign(out: Path, names: Sequence[str]) -> None:
    """Refuses to replace what no evaluation has written.

    Raises:
        ArgusError: A name that an evaluation writes is taken by something else.
    """
    with contextlib.suppress(OSError, ValueError):
        found = read_json(out / FIGURES_FILE)
        if isinstance(found, dict) and {"task", "checkpoint", "data"} <= found.keys():
            return
    trained = (out / EVENTS_FILE).is_file()
    for name in (FIGURES_FILE, *names):
        if os.path.lexists(out / name) and not (trained and name == "calibration.json"):  # a run has its own
            raise already_there(out / name)


def _print_figures(title: str, figures: Mapping[str, Any], declared: Mapping[str, FigureSpec]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table("figure", "value", "meaning", box=SIMPLE_HEAD)
    table.columns[1].justify = "right"
    for name, spec in declared.items():
        if isinstance(value := figures.get(name), int | float):
            table.add_row(Text(name), f"{value:.4g}", Text(spec.note))
    terminal = console()
    terminal.print(Text(title, style="bold"), soft_wrap=True)
    terminal.print(table)
