"""Several detectors on one run: what each finds is kept apart; what each costs is not known then."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from doctor_bench.detectors.protocol import Detector, Found, RunFiles, Watcher
from doctor_bench.execution import Executed

_FAILED = "detector-failed"


class Together:
    """Detectors by name, each of which outlives an error of another."""

    def __init__(self, detectors: Mapping[str, Detector]) -> None:
        self._detectors = detectors
        self._errors: dict[str, str] = {}

    def start(self, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> Watcher:
        """A watcher of each."""
        watchers = {
            name: self.guarded(name, partial(one.start, model, optimizer, declared), None)
            for name, one in self._detectors.items()
        }
        return _Watchers(self, {name: one for name, one in watchers.items() if one is not None})

    def read(self, files: RunFiles) -> Sequence[Found]:
        """What each reads, and the errors."""
        found = [
            replace(one, by=name)
            for name, detector in self._detectors.items()
            for one in self.guarded(name, partial(detector.read, files), ())
        ]
        failed = [Found(_FAILED, text=text, by=name) for name, text in self._errors.items()]
        return [*found, *failed]

    def guarded(self, name: str, call: Callable[[], Any], otherwise: Any) -> Any:
        """What a call gives; of a detector that has failed before or fails now, what is given otherwise."""
        if name in self._errors:
            return otherwise
        try:
            return call()
        except Exception:  # noqa: BLE001 - whatever one detector raises, the others go on
            self._errors[name] = traceback.format_exc()
            return otherwise


class _Watchers:
    def __init__(self, together: Together, watchers: Mapping[str, Watcher]) -> None:
        self._together, self._watchers = together, watchers

    def step(self, **seen: Any) -> None:
        for name, one in self._watchers.items():
            self._together.guarded(name, partial(one.step, **seen), None)

    def findings(self) -> Sequence[Found]:
        return [
            replace(found, by=name)
            for name, one in self._watchers.items()
            for found in self._together.guarded(name, one.findings, ())
        ]


def run_of(run: Executed, name: str) -> Executed:
    """A run as one of its detectors saw it."""
    own = [found for found in run.findings if found.by == name]
    failed = next((found.text for found in own if found.slug == _FAILED), run.detector_error)
    return replace(run, findings=[one for one in own if one.slug != _FAILED], detector_error=failed)
