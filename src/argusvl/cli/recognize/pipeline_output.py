"""What `argus recognize describe` says to people, on stderr."""

from __future__ import annotations

from rich.text import Text

from argusvl.cli.recognize.named import print_named
from argusvl.core.terminal import console
from argusvl.core.wording import counted
from argusvl.recognition.pipeline.stages import PipelineReport, StageReport


def print_pipeline(report: PipelineReport) -> None:
    """The sums of each stage, and what could not be used and why."""
    terminal = console()
    print_named("quarantined", ((q.path, f"{q.reason} (stage {q.stage})") for q in report.quarantined))
    print_named("not searched", ((p.path, p.reason) for p in report.problems))
    for stage in report.stages:
        terminal.print(Text(_line(stage)), soft_wrap=True)
    total = f"{counted(report.inputs, 'image')} = {report.finished} finished + {len(report.quarantined)} quarantined"
    terminal.print(Text(f"{total}: {report.out}"), soft_wrap=True)


def _line(stage: StageReport) -> str:
    text = f"{stage.name}: {counted(stage.inputs, 'image')} = {stage.done} done + {stage.quarantined} quarantined"
    if stage.resumed:
        text += f", {stage.resumed} of them before"
    if stage.lease is not None:
        used = stage.lease
        text += (
            f"; the model took {used.model_bytes / 2**20:.0f} MiB of {used.device} for {used.seconds:.0f} s"
        )
    return text
