"""What ``argus inspect`` shows to people, on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from argusvl.core.terminal import console
from argusvl.detection.data.measuring.token_table import TOTAL, TokenTable, part_name
from argusvl.detection.data.special_tokens import IMAGE_PAD

if TYPE_CHECKING:
    from argusvl.detection.data.sampling.conversation import ChatProcessor, Conversation
    from argusvl.training.parameter_groups import GroupRow

_STYLES = {
    "system": "dim",
    "teacher prompt": "cyan",
    "teacher image": "blue",
    "teacher answer": "yellow",
    "student prompt": "cyan",
    "student image": "blue",
    "student answer": "bold green",
}
_BAR = 40


def print_token_table(table: TokenTable) -> None:
    """Tokens by part, the histogram of lengths and the longest records."""
    out = console()
    figures = ("least", "mean", "most", "total", "share")
    shown = Table("part", *(Column(name, justify="right") for name in figures))
    whole = table.parts[-1].total if table.parts else 0
    for row in table.parts:
        style = "bold" if row.part == TOTAL else _STYLES[row.part]
        share = f"{row.total / whole:.1%}"
        shown.add_row(
            Text(row.part, style=style),
            f"{row.least}",
            f"{row.mean:.1f}",
            f"{row.most}",
            f"{row.total}",
            share,
        )
    out.print(shown)
    most = max((b.records for b in table.histogram), default=1)
    for one in table.histogram:
        bar = "█" * max(round(one.records / most * _BAR), 1 if one.records else 0)
        out.print(Text(f"{one.low:>7}-{one.high:<7}{one.records:>8} {bar}"))
    out.print(Text("Longest:"))
    for record in table.longest:
        beyond = record.tokens > table.model_max_length
        line = f"{record.tokens:>7} tokens  index {record.index}  {record.source}"
        out.print(Text(line, style="red" if beyond else ""), soft_wrap=True)
    out.print(Text(f"{table.records} records, {table.with_teachers} of them with teachers.", style="bold"))
    if table.too_long:
        text = f"{table.too_long} records are longer than model_max_length, {table.model_max_length}."
        out.print(Text(text, style="bold red"))


def print_conversation(processor: ChatProcessor, conversation: Conversation, source: str) -> None:
    """A conversation's text in colours that say what each token is; labelled are the answers."""
    out = console()
    legend = Text.assemble(*((f" {name} ", style) for name, style in _STYLES.items()))
    out.print(Text(f"{source}: {len(conversation)} tokens", style="bold"), legend, soft_wrap=True)
    text = Text()
    for name, piece, _ in conversation_pieces(processor, conversation):
        text.append(piece, style=_STYLES[name])
    out.print(text, soft_wrap=True)


def conversation_pieces(processor: ChatProcessor, conversation: Conversation) -> list[tuple[str, str, int]]:
    """``(name, text, tokens)`` of every part; an image's placeholders are written once, with their number."""
    pieces = []
    for part in conversation.parts:
        text = f"{IMAGE_PAD}×{len(part)}"
        if part.kind != "image":
            text = str(processor.tokenizer.decode(conversation.input_ids[part.start : part.stop]))
        pieces.append((part_name(part.role, part.kind), text, len(part)))
    return pieces


def print_groups(rows: Sequence[GroupRow]) -> None:
    """The parameter groups, and the whole below."""
    columns = [Column(name, justify="right") for name in ("tensors", "parameters", "training", "rate")]
    table = Table("group", *columns, "for example")
    for row in rows:
        rate = f"{row.learning_rate:g}" if row.learning_rate else "frozen"
        figures = (f"{row.tensors}", f"{row.parameters:,}", f"{row.trainable:,}", rate)
        table.add_row(Text(row.group), *figures, Text("\n".join(row.examples)))
    total = [f"{sum(getattr(r, name) for r in rows):,}" for name in ("tensors", "parameters", "trainable")]
    table.add_section()
    table.add_row(Text("all", style="bold"), *(Text(f, style="bold") for f in total))
    console().print(table)
