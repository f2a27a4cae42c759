"""An objective that is starved is told from one that is done, and from one that merely weighs less."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from argus_doctor.checks import examine
from argus_doctor.evidence import Evidence, Pull
from argus_doctor.findings import Finding

Course = Callable[[int], float]


def found(share: Course, value: Course, looks: int = 10) -> list[Finding]:
    """What is found where two objectives pull, the second of them as told."""
    evidence = Evidence()
    for look in range(looks):
        evidence.pulls.append({"boxes": Pull(0.99, 1.0 / (look + 1)), "text": Pull(share(look), value(look))})
    return examine(evidence)


def test_an_objective_without_gradient_that_does_not_learn_is_a_hint() -> None:
    (one,) = found(lambda _: 1e-5, lambda _: 2.0)
    assert (one.id, one.where) == ("N-439", "text") and one.probability is not None and one.probability < 0.9


@pytest.mark.parametrize(
    ("share", "value"),
    [
        (lambda _: 0.01, lambda _: 2.0),
        (lambda _: 1e-5, lambda look: 2.0 / (look + 1)),
        (lambda look: 0.3 if look < 5 else 1e-5, lambda look: 2.0 if look < 3 else 1e-4),
    ],
    ids=["weighs less", "learns all the same", "is done"],
)
def test_what_learns_or_has_its_part_is_not_starved(share: Course, value: Course) -> None:
    assert found(share, value) == []


def test_a_few_looks_prove_nothing() -> None:
    assert found(lambda _: 1e-5, lambda _: 2.0, looks=5) == []


def test_of_several_outputs_that_are_hardly_pulled_at_the_first_is_named() -> None:
    evidence = Evidence()
    for _ in range(6):
        evidence.output_shares.append({f"output {n}": 1e-4 if n else 1.0 for n in range(9)})
    assert [one.where for one in examine(evidence)] == ["output 1"]
