"""What `argus data` shows to people, on stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from argus_doctor.rendering import print_findings
from argus_doctor.wording import show_name
from argusvl.core.terminal import console
from argusvl.core.wording import counted
from argusvl.detection.data.manifest import Manifest, TokenStatistics, token_statistics

if TYPE_CHECKING:
    from rich.console import Console

    from argusvl.detection.data.measuring.histogram import Range
    from argusvl.detection.data.preparing.check import CheckReport
    from argusvl.detection.data.preparing.export import ExportReport

SHOWN_LABELS = 40

_BAR_WIDTH = 30


def print_conversion(manifest: Manifest, out: Path) -> None:
    """What a conversion wrote, and what it refused."""
    terminal = console()
    table = Table("split", "images", "objects", "labels")
    for name, counts in manifest.splits.items():
        labels = sorted(counts.labels.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{escape(show_name(label))} {count}" for label, count in labels[:8])
        shown += ", …" if len(labels) > 8 else ""
        table.add_row(name, str(counts.images), str(counts.objects), shown)
    terminal.print(table)
    _print_tokens(terminal, manifest.vision_tokens)
    print_findings(manifest.findings, terminal)
    refused = manifest.refused
    if refused.images or refused.objects:
        what = f"{counted(refused.images, 'image')}, {counted(refused.objects, 'object')}"
        listed = out / "manifest.json"
        terminal.print(Text(f"Refused: {what}; the rest was used. All are listed in {listed}."))
    terminal.print(Text(f"Written to {out}."))


def print_export(report: ExportReport, out: Path) -> None:
    """What an export wrote, and what it refused."""
    terminal = console()
    table = Table("split", "images", "objects")
    for name in report.images:
        table.add_row(name, str(report.images[name]), str(report.objects[name]))
    terminal.print(table)
    print_findings(report.findings, terminal)
    for note in report.notes:
        terminal.print(Text(f"Note: {note}."))
    terminal.print(Text(f"Written to {out}."))


def print_check(report: CheckReport) -> None:
    """What a check found."""
    terminal = console()
    _print_labels(terminal, report)
    for name, ranges in report.histograms().items():
        _print_histogram(terminal, name, ranges)
    _print_tokens(terminal, token_statistics(report.vision_tokens))
    print_findings(report.findings, terminal)
    for note in report.notes:
        terminal.print(Text(f"Note: {note}."))
    data = f"{counted(sum(report.images.values()), 'image')}, {counted(report.objects, 'object')}"
    warnings = counted(len(report.findings) - report.errors, "warning")
    found = f"{report.data}: {data}: {counted(report.errors, 'error')}, {warnings}."
    terminal.print(Text(found, style="bold"))


def print_counts(counts: Mapping[str, int]) -> None:
    """File → number of records."""
    terminal = console()
    for name, count in counts.items():
        terminal.print(Text(f"{name}.jsonl: {count} records"))


def _print_labels(terminal: Console, report: CheckReport) -> None:
    splits = list(report.images)
    of_splits = [split.removeprefix("teacher_") for split in splits] if len(splits) > 1 else []
    first = Column("label", overflow="fold", min_width=16)
    table = Table(first, "images", "objects", "share", *of_splits, box=SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    ordered = sorted(report.labels.items(), key=lambda item: -item[1].objects)
    total = max(report.objects, 1)
    for label, count in ordered[:SHOWN_LABELS]:
        by_split = [str(count.splits[split]) for split in splits] if len(splits) > 1 else []
        share = f"{100 * count.objects / total:.1f} %"
        table.add_row(escape(show_name(label)), str(count.images), str(count.objects), share, *by_split)
    terminal.print(table)
    if len(ordered) > SHOWN_LABELS:
        terminal.print(Text(f"… {len(ordered) - SHOWN_LABELS} rarer labels; --json lists all"))


def _print_histogram(terminal: Console, name: str, ranges: Sequence[Range]) -> None:
    """Text bars: the longest as wide as a third of a terminal."""
    terminal.print(Text(f"{name[0].upper()}{name[1:]}", style="bold"))
    most = max(one.count for one in ranges) or 1
    labels = [str(one) for one in ranges]
    width = max(map(len, labels))
    for label, one in zip(labels, ranges, strict=True):
        bar = "█" * round(_BAR_WIDTH * one.count / most) or ("▏" if one.count else "")
        line = Text.assemble(f"  {label:>{width}}  ", (f"{bar:<{_BAR_WIDTH}}", "cyan"), f" {one.count}")
        terminal.print(line)
    terminal.print()


def _print_tokens(terminal: Console, tokens: TokenStatistics | None) -> None:
    if tokens is not None:
        text = f"Vision tokens an image: {tokens.min} to {tokens.max}, mean {tokens.mean:.1f}, 95 % at {tokens.p95:.0f}"
        terminal.print(Text(text))
