from __future__ import annotations

from pathlib import Path

import pytest

from argusvl.core.errors import ArgusError
from doctor_bench.case import Case, Edit, Truth, cases_of
from doctor_bench.detectors.protocol import Found
from doctor_bench.detectors.together import run_of
from doctor_bench.proof import flaw_of
from doctor_bench.run import run_cases
from doctor_bench.scoring import score

DETECTOR = """
from doctor_bench.detectors.protocol import Found, NoDetector, NoWatcher

class Watcher(NoWatcher):
    first = last = None
    def step(self, **seen):
        self.last = float(seen["loss"])
        self.first = self.last if self.first is None else self.first
    def findings(self):
        return [Found("wrong-sign", "mlp.py:1")] if not self.last > 0 else []

class Detector(NoDetector):
    def start(self, model, optimizer, declared):
        return Watcher()
    def read(self, files):
        lines = files.csv.read_text().splitlines()
        return [Found("read", text=f"{len(lines)} {files.script.name} {files.error is None}", severity="info")]

class Broken(NoDetector):
    def start(self, model, optimizer, declared):
        raise ValueError("broken detector")

class Endless(NoDetector):
    def start(self, model, optimizer, declared):
        while True:
            pass
"""


@pytest.fixture
def detectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "some_detectors.py").write_text(DETECTOR)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "some_detectors"


def test_cases_are_run_under_a_detector_of_ones_own_and_repaired(detectors: str) -> None:
    def repair(source: str, finding: Found) -> str:
        return source.replace("-F.cross_entropy", "F.cross_entropy")

    cases = cases_of("dev", ["wrong-sign-mlp", "healthy-frozen-declared"])
    outcomes = run_cases(cases, f"{detectors}:Detector", repair=repair)
    result = score(outcomes)
    fault, healthy = result.faults[0], result.healthy[0]
    assert (fault.detected, fault.first_right, fault.place_right, fault.repaired) == (True, True, False, True)
    assert not healthy.alarms and not healthy.problem
    wrong = next(one for one in outcomes if one.case.truth)
    assert wrong.watched.findings[-1].text == f"{wrong.watched.steps + 1} blobs_mlp.py True"
    assert wrong.alone and wrong.alone.figures == wrong.twin.figures  # type: ignore[union-attr]  # deterministic


def test_a_case_is_proven_by_the_harm_of_its_fault() -> None:
    cases = cases_of("dev", ["stale-optimizer-finetune", "loss-broadcast-regression"])
    for outcome in run_cases(cases, "none", alone=False, probe=True):
        assert flaw_of(outcome) == ""
    harmless = Case("blobs_mlp", 1, truth=Truth("wrong-sign"), fault=(Edit("val_acc = 0.0", "val_acc = 0"),))
    (outcome,) = run_cases([harmless], "none", alone=False, probe=True)
    assert "the fault costs 0.000" in flaw_of(outcome)


def test_a_detector_that_fails_or_hangs_stops_nothing(detectors: str) -> None:
    (broken,) = run_cases(cases_of("dev", ["healthy-frozen-declared"]), f"{detectors}:Broken", alone=False)
    assert "broken detector" in (broken.watched.detector_error or "") and broken.watched.figures
    cases = cases_of("dev", ["healthy-frozen-declared"])
    (endless,) = run_cases(cases, f"{detectors}:Endless", alone=False, timeout_s=1)
    assert "no result within 1 s" in (endless.watched.error or "")


def test_rules_of_others_watch_the_same_run_apart() -> None:
    names = ("sagemaker-rules", "autotrainer-rules", "spike-detection")
    (outcome,) = run_cases(cases_of("dev", ["wrong-sign-mlp"]), "+".join(names), alone=False)
    for name in names:
        run = run_of(outcome.watched, name)
        assert not run.detector_error and "non-finite-loss" in [found.slug for found in run.alarms]
        assert {found.by for found in run.findings} == {name}


def test_an_unknown_detector_is_refused_before_anything_runs() -> None:
    with pytest.raises(ArgusError, match="no detector is called 'argos'; did you mean 'argus'"):
        run_cases(cases_of("dev"), "argos")


def test_an_interpreter_without_the_package_is_named(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(ArgusError, match=str(python)):
        run_cases(cases_of("dev", ["healthy-lora"]), "none", python=python)
