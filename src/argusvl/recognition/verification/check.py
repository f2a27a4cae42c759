"""What a check says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Group = Literal["memory", "preprocessing", "dtypes and devices", "reproducibility"]

GROUPS: tuple[Group, ...] = ("memory", "preprocessing", "dtypes and devices", "reproducibility")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table.

    Attributes:
        group: Of seed 004's checklist.
        name: What is asked for.
        passed: Whether it is so; ``None`` where the question does not arise.
        figure: What was found, in words and numbers.
        values: The numbers, JSON-ready.
    """

    group: Group
    name: str
    passed: bool | None
    figure: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "group": self.group,
            "name": self.name,
            "passed": self.passed,
            "figure": self.figure,
            "values": dict(self.values),
        }
