"""What a figure of quality means: which way is better, in what unit. A task declares its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

FIGURES_FILE = "figures.json"
"""What an evaluation has found, with the task's name, in the folder of ``argus eval --out``."""

SPREAD = "spread"
"""By this name a task may give how much its predictions differ from sample to sample, relative to the truth: 0 is a
constant answer, and the doctor asks for it."""


@dataclass(frozen=True, slots=True)
class FigureSpec:
    """One figure that an evaluation gives.

    Attributes:
        meaning: In a few words, e.g. ``mean over classes, IoU 0.50``.
        better: Which way is better. Nothing assumes that more is.
        unit: E.g. ``px``; empty for what has none, such as a share from 0 to 1.
    """

    meaning: str
    better: Literal["higher", "lower"]
    unit: str = ""

    @property
    def higher_is_better(self) -> bool:
        """As transformers' ``greater_is_better``."""
        return self.better == "higher"

    @property
    def note(self) -> str:
        """What stands beside the figure: its meaning, its unit, and that lower is better where it is."""
        unit = f", {self.unit}" if self.unit else ""
        return f"{self.meaning}{unit}" + ("" if self.higher_is_better else "; lower is better")


def spec_of(name: str, figures: Mapping[str, FigureSpec]) -> FigureSpec | None:
    """What was declared of a figure; ``None`` where nothing was.

    Args:
        name: As declared, as logged (``eval_AP50``), or of one class (``AP50/screw``).
        figures: What the task declares.
    """
    return figures.get(name.removeprefix("eval_").split("/", 1)[0])
