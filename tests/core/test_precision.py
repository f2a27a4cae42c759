"""bfloat16 where it pays, by a measurement; the measuring itself is tested with clocks that the tests turn."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

import pytest
import torch
from torch import nn

from argusvl.core import precision
from argusvl.core.precision import Precision, compute_in, cpu_speed, decide, speed_of

CPU = torch.device("cpu")
Measured = Callable[[float | None], None]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Says what this CPU's speed is measured to be; ``None``: nothing may be measured."""

    def is_measured(speed: float | None) -> None:
        measure = (lambda: pytest.fail("measured")) if speed is None else lambda: speed
        monkeypatch.setattr(precision, "cpu_speed", measure)

    return is_measured


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("argusvl"), "propagate", True)
    caplog.set_level(logging.WARNING)
    return caplog


@pytest.mark.parametrize(
    ("speed", "bf16"), [(0.06, False), (1.0, False), (1.29, False), (1.3, True), (4.0, True)]
)
def test_a_cpu_computes_in_bfloat16_where_that_clearly_pays(
    speed: float, bf16: bool, measured: Measured, warnings: pytest.LogCaptureFixture
) -> None:
    measured(speed)
    found = decide("auto", CPU)
    assert (found.bf16, found.speed) == (bf16, speed)
    assert f"{speed:.2g} times" in found.why
    assert found.facts()["precision"] == ("bfloat16" if bf16 else "float32")
    assert found.facts()["bfloat16_speed"] == speed
    assert not warnings.messages


@pytest.mark.parametrize("native", [False, True])
def test_a_gpu_computes_in_bfloat16_where_it_has_it(
    native: bool, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    measured(None)
    assert decide("auto", torch.device("cuda")).bf16 is native


def test_what_is_asked_for_is_done_with_a_warning_where_it_is_slow(
    measured: Measured, warnings: pytest.LogCaptureFixture
) -> None:
    measured(None)
    assert not decide(False, CPU).bf16
    for speed in (3.0, 1.1, 0.06):
        assert not warnings.messages
        measured(speed)
        assert decide(True, CPU).bf16
    assert len(warnings.messages) == 1
    assert "bf16" in warnings.messages[0] and "0.06 times" in warnings.messages[0]
    decide(True, CPU, asked_by="base_dtype")
    assert "as base_dtype says" in warnings.messages[1] and "base_dtype=float32" in warnings.messages[1]


def test_a_run_that_goes_on_stays_with_what_it_began_in(
    measured: Measured, warnings: pytest.LogCaptureFixture
) -> None:
    measured(None)
    assert not decide("auto", CPU, begun_with=False).bf16
    assert not decide(False, CPU, begun_with=True).bf16, "the configuration has been changed"
    assert not warnings.messages
    measured(0.5)
    assert decide("auto", CPU, begun_with=True).bf16
    assert "0.5 times" in warnings.messages[0] and "bf16=false" in warnings.messages[0]


class Clock:
    """Time that passes only where a piece of work says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns: list[str] = []

    def work(self, name: str, seconds: Callable[[int], float]) -> Callable[[], None]:
        def run() -> None:
            self.now += seconds(self.turns.count(name))
            self.turns.append(name)

        return run


def test_a_busy_machine_does_not_change_what_is_measured() -> None:
    clock = Clock()
    # Each is disturbed in most of its turns, at other times than the other one.
    work = clock.work("work", lambda turn: 0.001 if turn == 3 else 0.004 + 0.001 * turn)
    other = clock.work("other", lambda turn: 0.002 if turn == 1 else 0.009)
    assert speed_of(work, other, lambda: clock.now) == pytest.approx(2.0)
    assert clock.turns[:4] == ["work", "other", "work", "other"], "in turns: both have the same neighbours"


def test_the_first_call_is_not_counted_and_slow_work_is_not_repeated_for_long() -> None:
    clock = Clock()
    work = clock.work("work", lambda turn: 5.0)
    other = clock.work("other", lambda turn: 0.1 if turn else 100.0)
    assert speed_of(work, other, lambda: clock.now) == pytest.approx(0.02)
    assert clock.turns.count("work") == 3


def test_this_cpu_can_be_measured_and_its_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    assert 0 < cpu_speed() < 1000
    assert torch.get_num_threads() == before
    assert precision.cpu_speed() < precision.PAYS_FROM, "tests compute the same on every machine"


@pytest.mark.parametrize("bf16", [False, True])
def test_a_model_computes_in_what_was_decided_and_gives_float32(bf16: bool) -> None:
    inside = nn.Linear(3, 3)
    model = nn.Sequential(inside, nn.Tanh())
    seen: list[torch.dtype] = []
    inside.register_forward_hook(lambda module, given, found: seen.append(found.dtype))
    compute_in(Precision(bf16, "as the test says"), model)
    assert model(torch.ones(2, 3)).dtype == torch.float32
    assert seen == [torch.bfloat16 if bf16 else torch.float32]
