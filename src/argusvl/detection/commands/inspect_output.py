"""What ``argus inspect`` shows to people, on stderr; of memory also what programs are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table
from rich.text import Text

from argusvl.core.terminal import console
from argusvl.detection.data.measuring.token_table import TOTAL, TokenTable, part_name
from argusvl.detection.data.special_tokens import IMAGE_PAD
from argusvl.detection.measure.strategies import CARDS, GIB, Need, Strategy

if TYPE_CHECKING:
    from argusvl.detection.commands.soak import Soak
    from argusvl.detection.data.sampling.conversation import ChatProcessor, Conversation
    from argusvl.detection.measure.footprint import BatchShape, CountedStep
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

Fit = tuple[str, int, tuple[Strategy, Need] | None, tuple[Strategy, Need] | None]
"""Size, GiB of a device; what fits on one device, and on the fewest with all weights trained."""

_NOTE = (
    "Counted, not measured: beside it CUDA takes about 1 GiB, and 5 % of a device are lost to fragments; both are "
    "left free where something is said to fit. What is marked * argus train does not offer."
)


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


# --- memory ---------------------------------------------------------------------------------------------------------


def print_needs(
    name: str,
    batch: BatchShape,
    needs: Mapping[Strategy, Need],
    step: CountedStep,
    configured: Strategy | None,
) -> None:
    """A model's step by strategy, and by part for the strategy that is configured."""
    out = console()
    parameters = ", ".join(f"{part} {size:,}" for part, size in step.parameters.items())
    out.print(Text(f"{name}: {step.total:,} parameters ({parameters})", style="bold"), soft_wrap=True)
    out.print(Text(_batch(batch)), soft_wrap=True)
    figures = ("devices", "start", "forward", "backward", "peak", "host")
    columns = [Column(name, justify="right") for name in figures]
    shown = Table("strategy", *columns, "fits on", title="GiB on each device")
    for strategy, need in needs.items():
        values = (need.start, need.forward, need.backward, need.peak, need.host)
        cards = [f"{card}" for card in CARDS if need.fits(card)]
        shown.add_row(
            Text(_name(strategy), style="bold" if strategy == configured else ""),
            f"{strategy.devices}",
            *(_gib(value) for value in values),
            ", ".join(cards),
        )
    out.print(shown)
    chosen = configured or next(iter(needs))
    parts = Table(
        "part", Column("GiB", justify="right"), title=f"at the peak of: {chosen.name}", title_justify="left"
    )
    for part, size in needs[chosen].parts.items():
        parts.add_row(part, _gib(size))
    out.print(parts)
    out.print(Text(_NOTE), soft_wrap=True)


def print_fits(batch: BatchShape, rows: Sequence[Fit]) -> None:
    """The smallest configuration that fits, by size and device."""
    out = console()
    out.print(Text(_batch(batch)), soft_wrap=True)
    device, one, several = (Column(name, justify="right") for name in ("device", "GiB", "GiB"))
    shown = Table("model", device, "on one device", one, "all weights", several)
    for name, card, alone, whole in rows:
        shown.add_row(f"Qwen2.5-VL-{name}", f"{card} GiB", *_fit(alone), *_fit(whole))
        if card == CARDS[-1]:
            shown.add_section()
    out.print(shown)
    out.print(Text(_NOTE), soft_wrap=True)


def print_soak(result: Soak) -> None:
    """How memory went over a run."""
    line = (
        f"{result.steps} steps, resident memory {result.per_1000_steps:+.2f} MiB per 1,000 steps "
        f"(95 % bounds {result.low:+.2f} to {result.high:+.2f}; limit {result.limit:g}): {result.verdict}"
    )
    styles = {"flat": "green", "grows": "bold red", "undecided": "yellow"}
    console().print(Text(line, style=styles[result.verdict]), soft_wrap=True)


def needs_as_dict(
    batch: BatchShape, needs: Mapping[Strategy, Need], step: CountedStep, configured: Strategy | None
) -> dict[str, Any]:
    """For ``--json``; sizes in bytes."""
    return {
        "batch": asdict(batch),
        "parameters": step.parameters,
        "configured": None if configured is None else configured.name,
        "strategies": [_as_dict(strategy, need) for strategy, need in needs.items()],
    }


def fits_as_dict(batch: BatchShape, rows: Sequence[Fit]) -> dict[str, Any]:
    """For ``--json``; sizes in bytes."""
    return {
        "batch": asdict(batch),
        "fits": [
            {
                "model": name,
                "device_gib": card,
                "one_device": None if alone is None else _as_dict(*alone),
                "all_weights": None if whole is None else _as_dict(*whole),
            }
            for name, card, alone, whole in rows
        ],
    }


def _as_dict(strategy: Strategy, need: Need) -> dict[str, Any]:
    fits = [card for card in CARDS if need.fits(card)]
    return {**asdict(strategy), **asdict(need), "peak": need.peak, "fits_on_gib": fits}


def _fit(found: tuple[Strategy, Need] | None) -> tuple[str, str]:
    if found is None:
        return "-", ""
    strategy, need = found
    devices = f"{strategy.devices} × " if strategy.devices > 1 else ""
    return f"{devices}{_name(strategy)}", _gib(need.peak)


def _name(strategy: Strategy) -> str:
    return strategy.name if strategy.offered else f"{strategy.name} *"


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}" if size < 10 * GIB else f"{size / GIB:.1f}"


def _batch(batch: BatchShape) -> str:
    kind = "packed" if batch.packed else "padded"
    return (
        f"A micro-batch of {batch.samples} × {batch.tokens} tokens ({kind}), each with {batch.images} images of "
        f"{batch.image_tokens} merged tokens and {batch.objects} objects"
    )
