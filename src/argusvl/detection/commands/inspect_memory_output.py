"""What ``argus inspect memory`` shows to people, on stderr, and to programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table
from rich.text import Text

from argusvl.core.terminal import console
from argusvl.detection.measure.strategies import CARDS, GIB, Need, Strategy

if TYPE_CHECKING:
    from argusvl.detection.commands.soak import Soak
    from argusvl.detection.measure.footprint import BatchShape, CountedStep

Fit = tuple[str, int, tuple[Strategy, Need] | None, tuple[Strategy, Need] | None]
"""Size, GiB of a device; what fits on one device, and on the fewest with all weights trained."""

_NOTE = (
    "Counted, not measured: beside it CUDA takes about 1 GiB, and 5 % of a device are lost to fragments; both are "
    "left free where something is said to fit. What is marked * argus train does not offer."
)


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
