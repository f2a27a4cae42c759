"""What `argus recognize table`, `enroll` and `classify` say to people, on stderr."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from argusvl.cli.output import console
from argusvl.recognition.few_shot.layout import printable
from argusvl.recognition.few_shot.measurement import Measured

_NAMED = 20
"""Pictures that are named here; the JSON names all."""


def print_measured(measured: Measured) -> None:
    """What is odd about the data, and what of it was left out."""
    terminal = console()
    for note in measured.notes:
        terminal.print(Text.assemble(("note", "yellow"), f" {note}"), soft_wrap=True)
    print_quarantined(measured.quarantined)


def print_quarantined(quarantined: Mapping[str, str]) -> None:
    """Pictures that cannot be used, each with its reason."""
    terminal = console()
    for path, reason in list(quarantined.items())[:_NAMED]:
        terminal.print(Text.assemble(("quarantined", "red"), f" {printable(path)}: {reason}"), soft_wrap=True)
    if len(quarantined) > _NAMED:
        terminal.print(f"quarantined: {len(quarantined) - _NAMED} more", soft_wrap=True)
