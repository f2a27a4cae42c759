"""What a check believes, before all of them are weighed together."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One belief.

    Attributes:
        slug: Of the catalogue.
        strength: How sure the check is by itself, from 0 to 1.
        what: What was seen, with the numbers.
        where: Module, tensor, step or line.
        numbers: For programs.
    """

    slug: str
    strength: float
    what: str
    where: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)


def median(values: Iterable[float], default: float = 0.0) -> float:
    """Of what is there."""
    known = list(values)
    return statistics.median(known) if known else default


def names(parts: Sequence[str], most: int = 3) -> str:
    """The first few of them, in words."""
    shown = ", ".join(parts[:most])
    return f"{shown} and {len(parts) - most} more" if len(parts) > most else shown
