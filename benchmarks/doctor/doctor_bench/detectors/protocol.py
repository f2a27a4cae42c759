"""What a detector is to the runner, and what it hands back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that a detector found.

    Attributes:
        slug: The cause, in the catalogue's words; empty where the detector's message maps to none.
        where: ``file:line``, a module, a parameter or a part of the batch; empty where it does not say.
        severity: ``error``, ``warning``, or ``info`` for what is no alarm.
        step: The optimizer step at which it was found first; ``None`` where it does not say; 0 before training.
        text: In the detector's own words.
        numbers: What the detector measured of it, for a repair.
        by: The detector, where several watched the run.
    """

    slug: str
    where: str = ""
    severity: str = "warning"
    step: int | None = None
    text: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the pipe between processes and for results."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What a run leaves behind, for detectors that read.

    Attributes:
        script: The script that was executed.
        csv: Its log: ``step,loss,val_loss,lr``.
        error: The traceback with which it ended, if it did.
    """

    script: Path
    csv: Path
    error: str | None


class Watcher(Protocol):
    """Watches one model during its training."""

    def step(self, **seen: Any) -> None:
        """After each optimizer step: always ``loss`` and ``batch``, ``val_loss`` and ``lr`` where there are any."""

    def findings(self) -> Sequence[Found]:
        """All that was found, the most probable cause first."""


class Detector(Protocol):
    """A detector, as the runner uses it: once for each run, in a process of its own."""

    def start(self, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> Watcher:
        """Called by the script, once for each model that it watches; ``declared`` is what it says that it means."""

    def read(self, files: RunFiles) -> Sequence[Found]:
        """Called when the run is over, however it ended."""


class NoWatcher:
    """Sees nothing."""

    def step(self, **seen: Any) -> None:
        """Nothing."""

    def findings(self) -> Sequence[Found]:
        """Nothing."""
        return ()


class NoDetector:
    """Finds nothing: what a run is like alone. Base of detectors that only read."""

    def start(self, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> Watcher:
        """A watcher that sees nothing."""
        return NoWatcher()

    def read(self, files: RunFiles) -> Sequence[Found]:
        """Nothing."""
        return ()
