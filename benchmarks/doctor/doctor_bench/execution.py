"""One run: an edited script executed under a detector, in this process."""

from __future__ import annotations

import csv
import gc
import importlib.util
import random
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doctor_bench.detectors import make_detector
from doctor_bench.detectors.protocol import Detector, Found, RunFiles, Watcher


@dataclass(slots=True)
class Executed:
    """What came of a run.

    Attributes:
        figures: What the script returned; empty if it failed.
        findings: The detector's, the most probable cause first.
        steps: Optimizer steps that the script told.
        seconds: Of the training, detector and all, by the clock.
        cpu_seconds: The processor's.
        live_graphs: Nodes of graphs that were alive after a step, at most.
        moved: Parameter → relative distance from where it was when the watch began.
        error: The script's traceback.
        detector_error: The detector's: the first, after which it is left alone.
    """

    figures: dict[str, float] = field(default_factory=dict)
    findings: list[Found] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    live_graphs: int = 0
    moved: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    detector_error: str | None = None

    @property
    def alarms(self) -> list[Found]:
        """The findings that are more than information."""
        return [found for found in self.findings if found.severity != "info"]

    def to_json(self) -> dict[str, Any]:
        """For the pipe between processes."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"findings": [found.to_json() for found in self.findings]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Executed:
        """What ``to_json`` gave."""
        return cls(**{**values, "findings": [Found(**found) for found in values["findings"]]})


class _Recorder:
    """Stands between script and detector: counts, writes the log, and outlives an error of the detector."""

    def __init__(self, run: Executed, rows: list[list[float | None]], *, probe: bool) -> None:
        self._run, self._rows, self._probe = run, rows, probe
        self._watchers: list[Watcher] = []
        self._models: list[tuple[Any, dict[str, Any]]] = []

    def start(self, detector: Detector, model: Any, optimizer: Any, declared: Mapping[str, Any]) -> _Watch:
        if self._probe:
            weights = {name: value.detach().clone() for name, value in model.named_parameters()}
            self._models.append((model, weights))
        try:
            watcher = detector.start(model, optimizer, declared)
        except Exception:  # noqa: BLE001 - whatever a detector raises, the run goes on
            self._run.detector_error = self._run.detector_error or traceback.format_exc()
            return _Watch(self, None)
        self._watchers.append(watcher)
        return _Watch(self, watcher)

    def step(self, watcher: Watcher | None, seen: Mapping[str, Any]) -> None:
        self._run.steps += 1
        row = [self._run.steps, *(_number(seen.get(name)) for name in ("loss", "val_loss", "lr"))]
        self._rows.append(row)
        if watcher is not None and self._run.detector_error is None:
            try:
                watcher.step(**seen)
            except Exception:  # noqa: BLE001 - what a script or a detector raises nobody knows
                self._run.detector_error = traceback.format_exc()
        if self._probe and self._run.steps % 100 == 0:
            self._run.live_graphs = max(self._run.live_graphs, _live_graphs())

    def finish(self) -> None:
        for model, before in self._models:
            for name, value in model.named_parameters():
                if name in before and before[name].shape == value.shape:
                    distance = (value.detach() - before[name]).norm() / before[name].norm().clamp(min=1e-12)
                    self._run.moved[name] = float(distance)
        for watcher in self._watchers:
            try:
                self._run.findings += watcher.findings()
            except Exception:  # noqa: BLE001 - what a script or a detector raises nobody knows
                self._run.detector_error = self._run.detector_error or traceback.format_exc()


class _Watch:
    """What the script holds."""

    def __init__(self, recorder: _Recorder, watcher: Watcher | None) -> None:
        self._recorder, self._watcher = recorder, watcher

    def step(self, **seen: Any) -> None:
        self._recorder.step(self._watcher, seen)


def execute(script: Path, seed: int, detector_name: str, *, probe: bool = False) -> Executed:
    """Executes a script's ``train`` under a detector.

    Args:
        script: The script's file, with ``train(watch_factory, seed)``; its log is written beside it.
        seed: Handed to ``train``; all generators are seeded with it before.
        detector_name: As ``make_detector`` takes it.
        probe: Also measure which weights moved and which graphs are alive; for proving cases.
    """
    import numpy as np
    import torch

    torch.set_num_threads(1)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    run, rows = Executed(), list[list[float | None]]()
    detector = make_detector(detector_name)
    recorder = _Recorder(run, rows, probe=probe)

    def watch_factory(model: Any, optimizer: Any, **declared: Any) -> _Watch:
        return recorder.start(detector, model, optimizer, declared)

    start, cpu_start = time.perf_counter(), time.process_time()
    try:
        run_script = _load(
            script
        ).train  # the line of the call says nothing of what it runs: detectors may read it
        figures = run_script(watch_factory, seed)
        run.figures = {name: float(value) for name, value in figures.items()}
    except Exception:  # noqa: BLE001 - what a script or a detector raises nobody knows
        run.error = traceback.format_exc()
    run.seconds, run.cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    recorder.finish()
    log = script.with_suffix(".csv")
    with log.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["step", "loss", "val_loss", "lr"], *rows])
    try:
        run.findings += detector.read(RunFiles(script, log, run.error))
    except Exception:  # noqa: BLE001 - what a script or a detector raises nobody knows
        run.detector_error = run.detector_error or traceback.format_exc()
    return run


def _load(script: Path) -> Any:
    # Under its own name and from its file, so that inspect, tracebacks and readers of sources see a user's script.
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    return module


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _live_graphs() -> int:
    import torch

    waiting = [
        one.grad_fn for one in gc.get_objects() if type(one) is torch.Tensor and one.grad_fn is not None
    ]
    seen = set(waiting)
    while waiting:
        for before, _ in waiting.pop().next_functions:
            if before is not None and before not in seen:
                seen.add(before)
                waiting.append(before)
    return len(seen)
