"""What `argus recognize describe` says to people, on stderr."""

from __future__ import annotations

from argusvl.cli.recognize.named import print_named
from argusvl.core.terminal import say
from argusvl.core.wording import counted
from argusvl.recognition.pipeline.stages import PipelineReport, StageReport


def print_pipeline(report: PipelineReport) -> None:
    """The sums of each stage, and what could not be used and why."""
    print_named("quarantined", ((q.path, f"{q.reason} (stage {q.stage})") for q in report.quarantined))
    print_named("not searched", ((p.path, p.reason) for p in report.problems))
    for stage in report.stages:
        say(_line(stage))
    total = f"{counted(report.inputs, 'image')} = {report.finished} finished + {len(report.quarantined)} quarantined"
    say(f"{total}: {report.out}")


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
