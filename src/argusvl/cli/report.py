"""``argus report``: a run's HTML report, from what its folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from argusvl.cli.output import console, print_json

REPORT_FILE = "report.html"


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

    The file needs nothing else: pictures and fonts are inside. A folder that ``argus eval --out`` has written has
    a report, too.

    Examples:

        argus report runs/demo

        argus report runs/demo --out demo.html
    """
    from argusvl.visual.report import write_report
    from argusvl.visual.run_folder import load_run

    target = write_report(load_run(run), out or run / REPORT_FILE)
    console().print(Text(f"Report written to {target}."))
    if as_json:
        print_json({"report": str(target)})
