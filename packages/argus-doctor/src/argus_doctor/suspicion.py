"""What a check believes, before all of them are weighed together."""

from __future__ import annotations

import statistics
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One belief.

    Attributes:
        slug: Of the catalogue.
        sign: What gives it away; ``signs.toml`` says how often it has been right.
        what: What was seen, with the numbers.
        where: Module, tensor, step or line.
        numbers: For programs.
        proven: Whether it cannot be otherwise; any other belief is a hint.
        remedy: What to do, where what was seen tells it better than the catalogue's entry.
    """

    slug: str
    sign: str
    what: str
    where: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    proven: bool = False
    remedy: str = ""

    @property
    def probability(self) -> float:
        """That it is right, of the sign alone."""
        return signs()["probability"][self.sign]

    @property
    def weight(self) -> float:
        """How near to the cause its sign is, where two could explain each other."""
        return signs()["weight"][self.sign]


@cache
def signs() -> Mapping[str, Mapping[str, float]]:
    """``probability``: sign → how often what it said was right, fitted on runs whose truth is known; ``weight``."""
    file = resources.files("argus_doctor.checks") / "signs.toml"
    found: dict[str, dict[str, float]] = tomllib.loads(file.read_text(encoding="utf-8"))
    return found


def median(values: Iterable[float]) -> float:
    """Of what is there; 0 of nothing."""
    known = list(values)
    return statistics.median(known) if known else 0.0
