"""``argus report``: a run's HTML report, from what its folder holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from argusvl.command_options import AsJson, Device
from argusvl.core.errors import ArgusError
from argusvl.core.files import refuse_replacing, write_text_atomically
from argusvl.core.terminal import print_json, say
from argusvl.run.layout import CONFIG_FILE, REPORT_FILE
from argusvl.tasks import DEFAULT_TASK, find_checkpoint, load_run_config, task_at, task_entry, task_part

if TYPE_CHECKING:
    from argusvl.visual.inner import Inner


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN [RUN …]", help="Folder of a run (its output_dir); several are compared."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to write; RUN/report.html when left out, or comparison.html here."
        ),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Look into the run's best checkpoint, with a batch of its held-out data: features by layer, dead "
            "units, attention.",
        ),
    ] = False,
    landscape: Annotated[
        bool,
        typer.Option("--landscape", help="Draw the loss around the weights, too: 225 losses of a batch."),
    ] = False,
    charts: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write each chart as SVG and PNG, and pictures as PNG, into this folder, too."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there and are no page of Argus.")
    ] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Write one HTML file with a run's figures, curves and pictures, truth beside prediction.

    Of several runs it is a comparison: what differs, curves on one chart, whether differences of figures are chance,
    classes that gained and lost, and pictures that changed, side by side.

    The file needs nothing else: pictures and fonts are inside. Pictures are those of an evaluation, which `argus eval
    RUN DATA --out RUN/test` leaves inside the run; a folder of its own that it has written has a report, too.

    Examples:

        argus report runs/demo

        argus report runs/demo --out demo.html

        argus report runs/demo --probe --landscape

        argus report runs/before runs/after --out comparison.html
    """
    if len(runs) > 1:
        if probe or landscape or charts is not None:
            raise ArgusError(
                "--probe, --landscape and --charts are of one run",
                remedy="report each run by itself for them",
            )
        _compare(runs, out or Path("comparison.html"), overwrite=overwrite, as_json=as_json)
        return
    (run,) = runs
    from argusvl.run.reading import load_run
    from argusvl.visual.inner import inner_section, shows_inner
    from argusvl.visual.page import is_page
    from argusvl.visual.report import write_report

    page = out or run / REPORT_FILE
    refuse_replacing(page, overwrite=overwrite, ours=is_page)
    if not (probe or landscape or overwrite) and shows_inner(page):
        raise ArgusError(
            "the report there shows what --probe has found, and this one would not",
            where=page,
            remedy="add --probe, with --landscape where it was there; --out for another file; or --overwrite",
        )
    task = task_at(run) or DEFAULT_TASK
    entry = task_entry(task)
    own = task_part(task, "report") if entry.report else None
    data = load_run(run, entry.figure_specs(), own)
    inner = _look_inside(run, task, device, landscape=landscape) if probe or landscape else None
    if inner is not None:
        data = replace(data, inner=[inner_section(inner)])
    if charts is not None:
        from argusvl.visual.chart_files import chart_files

        written = chart_files(data, inner, charts, overwrite=overwrite)
        say(f"{len(written)} charts written to {charts}.")
    target = write_report(data, page)
    say(f"Report written to {target}.")
    if own is not None and not data.sections:
        say(
            f"It shows what training measured; `argus eval {run} DATA --out {run / 'test'}` leaves more for it."
        )
    if as_json:
        print_json({"report": str(target)})


def _compare(folders: list[Path], out: Path, *, overwrite: bool, as_json: bool) -> None:
    from argusvl.run.comparing import load_runs, on_the_same_data
    from argusvl.visual.comparison import render_comparison
    from argusvl.visual.page import is_page

    refuse_replacing(out, overwrite=overwrite, ours=is_page)
    tasks = [task_at(folder) or DEFAULT_TASK for folder in folders]
    entry = task_entry(tasks[0])
    if len(set(tasks)) > 1:
        told = ", ".join(f"{folder} ({task})" for folder, task in zip(folders, tasks, strict=True))
        raise ArgusError(f"runs of different tasks: {told}", remedy="compare runs of one task")
    runs = load_runs(folders, entry.figure_specs())
    measured, gap = on_the_same_data(folders)
    gaps = [gap] if gap else []
    gaps += [
        f"{one.name} has not finished: {one.state}."
        for one in runs
        if one.state not in ("finished", "not known")
    ]
    sections = []
    if measured and entry.comparison is None:
        gaps.append(f"Single pictures are not compared: the task {tasks[0]} has no such part.")
    elif measured:
        names = [one.name for one in runs]
        sections = task_part(tasks[0], "comparison")(dict(zip(names, measured, strict=True)))
    write_text_atomically(out, render_comparison(runs, entry.figure_specs(), sections, gaps))
    say(f"Comparison written to {out}.")
    for one in gaps:
        say(one)
    if as_json:
        print_json({"report": str(out)})


def _look_inside(run: Path, task: str, device: str, *, landscape: bool) -> Inner:
    open_checkpoint = task_part(task, "probe")
    config = load_run_config(run / CONFIG_FILE)
    probed = open_checkpoint(find_checkpoint(run), config, device=device)

    from argusvl.visual.feature_statistics import layer_statistics
    from argusvl.visual.inner import Inner, attention_over
    from argusvl.visual.loss_landscape import landscape_chart, loss_landscape

    return Inner(
        batch=probed.batch,
        layers=layer_statistics(probed.model, probed.forward),
        attention=[attention_over(one.name, one.image, one.heads) for one in probed.attention()],
        landscape=landscape_chart(loss_landscape(probed.model, probed.loss, show_progress=True))
        if landscape
        else None,
    )
