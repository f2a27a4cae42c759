from __future__ import annotations

from dataclasses import replace

import pytest

from doctor_bench.case import Case, Edit, Truth
from doctor_bench.detectors.protocol import Found
from doctor_bench.execution import Executed
from doctor_bench.run import Outcome
from doctor_bench.scoring import FaultScore, is_place, score, wilson

TRUTH = Truth("wrong-sign", alternatives=("turned",), lines=("loss = -f(x)",), modules=("head",))
FAULTY = "def train():\n    x = 1\n    loss = -f(x)\n    loss.backward()\n"
TWIN = "def train():\n    loss = f(x)\n    loss.backward()\n"
CASE = Case("some", 1, truth=TRUTH, fault=(Edit("a", "b"),), name="case")
HEALTHY = Case("some", 2, name="well")


def run(*found: Found, quality: float = 0.9) -> Executed:
    return Executed(figures={"quality": quality}, findings=list(found), cpu_seconds=1.0)


def outcome(watched: Executed, twin: Executed, **more: object) -> Outcome:
    return replace(Outcome(CASE, watched, twin, None, None, (FAULTY, TWIN)), **more)


def one(watched: Executed, twin: Executed, **more: object) -> FaultScore:
    return score([outcome(watched, twin, **more)]).faults[0]


def test_a_finding_that_the_twin_has_too_is_no_detection() -> None:
    same = Found("loss-flat", "train.py:3", step=40)
    moved = Found("loss-flat", "train.py:4", step=30)  # the same statement, a line further down
    assert not one(run(moved), run(Found("loss-flat", "other/train.py:3"))).detected
    assert one(run(moved, Found("wrong-sign")), run(same)).detected
    assert one(run(same), run()).step == 40


def test_the_cause_is_right_when_the_first_finding_names_it() -> None:
    right = one(run(Found("turned", "train.py:3"), Found("loss-flat")), run())
    assert right.first_right and right.named and right.place_right
    second = one(run(Found("loss-flat"), Found("wrong-sign", "body")), run())
    assert not second.first_right and second.named and second.place_right is False
    assert one(run(Found("loss-flat")), run()).place_right is None
    assert not one(run(Found("wrong-sign")), run(Found("wrong-sign"))).first_right


def test_information_is_no_alarm() -> None:
    told = Found("zero-gradient", severity="info")
    assert not one(run(told), run()).detected
    assert score([Outcome(HEALTHY, run(told), None, None, None, ("", ""))]).healthy[0].alarms == ()


@pytest.mark.parametrize(
    ("where", "right"),
    [
        ("/tmp/a/train.py:3", True),
        ('File "train.py", line 3', True),
        ("train.py:9", False),
        ("head", True),
        ("head.weight", True),
        ("header", False),
        ("backbone.head", False),
        ("", False),
    ],
)
def test_places(where: str, right: bool) -> None:
    assert is_place(where, TRUTH, FAULTY) is right


def test_a_place_is_all_lines_between_its_marks_but_marks_far_apart_stand_alone() -> None:
    near = "a\n" + "x\n" * 6 + "b\n"
    assert is_place("t.py:4", Truth("s", lines=("a", "b")), near)
    far = "a\n" + "x\n" * 60 + "b\n"
    assert is_place("t.py:62", Truth("s", lines=("a", "b")), far)
    assert not is_place("t.py:30", Truth("s", lines=("a", "b")), far)


def test_a_repair_counts_when_quality_comes_back() -> None:
    found = run(Found("wrong-sign"))
    well, ill = run(quality=0.9), run(quality=0.2)
    assert one(found, run(), alone=well, repaired=well, repair_tried=True).repaired is True
    assert one(found, run(), alone=well, repaired=ill, repair_tried=True).repaired is False
    assert one(found, run(), alone=well, repaired=None, repair_tried=True).repaired is False
    assert one(found, run(), alone=well).repaired is None


def test_alarms_are_counted_by_healthy_run() -> None:
    alarmed = Outcome(HEALTHY, run(Found("a"), Found("b")), None, run(), None, ("", ""))
    quiet = Outcome(HEALTHY, run(), None, run(), None, ("", ""))
    result = score([alarmed, quiet]).summary()
    assert result["healthy_runs_with_alarm"][:2] == [1, 2] and result["alarms_per_healthy_run"] == 1
    assert result["overhead"] == 1


def test_the_interval_is_wilsons() -> None:
    low, high = wilson(0, 60)
    assert low == 0 and high == pytest.approx(0.0602, abs=1e-3)
    assert wilson(8, 12) == pytest.approx((0.391, 0.862), abs=1e-3)
    assert wilson(0, 0) == (0, 1)
