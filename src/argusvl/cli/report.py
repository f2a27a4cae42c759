"""``argus report``: a run's HTML report, from what its folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from argusvl.core.errors import ArgusError
from argusvl.core.run_layout import REPORT_FILE
from argusvl.core.terminal import print_json, say


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run (its output_dir).")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write; RUN/report.html when left out.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the report's path as JSON to stdout.")
    ] = False,
) -> None:
    """Write one HTML file with a run's figures, curves and pictures, truth beside prediction.

    The file needs nothing else: pictures and fonts are inside. Pictures are those of an evaluation, which `argus eval
    RUN DATA --out RUN/test` leaves inside the run; a folder of its own that it has written has a report, too.

    Examples:

        argus report runs/demo

        argus report runs/demo --out demo.html
    """
    from argusvl.tasks import DEFAULT_TASK, task_at, task_entry, task_part
    from argusvl.visual.report import write_report
    from argusvl.visual.run_folder import load_run

    if out is not None and out.is_dir():
        raise ArgusError("is a folder", where=out, remedy="name the HTML file to write")
    task = task_at(run) or DEFAULT_TASK
    entry = task_entry(task)
    own = task_part(task, "report") if entry.report else None
    data = load_run(run, entry.figure_specs(), own)
    target = write_report(data, out or run / REPORT_FILE)
    say(f"Report written to {target}.")
    if own is not None and not data.sections:
        say(f"It shows no evaluation; `argus eval {run} DATA --out {run / 'test'}` leaves one for it.")
    if as_json:
        print_json({"report": str(target)})
