"""Our own doctor, as a user calls it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from argusvl.doctor.bench.detectors.protocol import Found, NoDetector, Watcher
from argusvl.doctor.source.fixes import mend


class _OurWatcher:
    def __init__(self, watch: Any) -> None:
        self._watch = watch

    def step(self, **seen: Any) -> None:
        self._watch.step(**seen)

    def findings(self) -> Sequence[Found]:
        return [_found(one) for one in self._watch.report()]


class OurDetector(NoDetector):
    """``argusvl.doctor.Watch``. It looks for the script's source in the first frame that is not of this package."""

    def start(self, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> Watcher:
        """A watch on the model."""
        return _OurWatcher(importlib.import_module("argusvl.doctor").Watch(model, optimizer, **declared))


def _found(finding: Any) -> Found:
    return Found(
        slug=finding.slug,
        where=finding.where,
        severity=finding.severity,
        step=finding.numbers.get("first_seen"),
        text=finding.what,
        numbers={"probability": finding.probability}
        | {
            key: value for key, value in finding.numbers.items() if isinstance(value, (int, float, str, list))
        },
    )


def repair(source: str, found: Found) -> str | None:
    """The source with what our doctor proposes for a finding."""
    return mend(source, found.slug, found.numbers)
