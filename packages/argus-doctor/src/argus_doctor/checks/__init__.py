"""Checks: pure functions from evidence to suspicions; all suspicions together give the findings.

A check is a function ``Evidence → Iterable[Suspicion]`` and a line in :data:`CHECKS`; what it is called is an entry of
the catalogue. A check that lacks what it needs says nothing, and one that raises is itself a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from argus_doctor.checks import (
    batches,
    curves,
    learning,
    measured,
    memory,
    modes,
    objective,
    optimizer,
)
from argus_doctor.checks.causes import join
from argus_doctor.evidence import Evidence
from argus_doctor.findings import Finding
from argus_doctor.suspicion import Suspicion

Check = Callable[[Evidence], Iterable[Suspicion]]

CHECKS: tuple[Check, ...] = (
    optimizer.old_gradients,
    optimizer.coverage,
    optimizer.reach,
    optimizer.intent,
    optimizer.precision,
    optimizer.schedule,
    optimizer.ranks,
    objective.sign,
    objective.form,
    objective.unbounded,
    objective.balance,
    objective.shift,
    objective.future,
    batches.inputs,
    batches.ignored,
    batches.evaluation_inputs,
    batches.order,
    batches.leaks,
    modes.evaluation,
    modes.training,
    learning.initialisation,
    learning.rates,
    learning.depth,
    learning.dead,
    learning.outcome,
    learning.dimensions,
    curves.numbers,
    curves.validation,
    curves.figure,
    curves.memory,
    curves.resources,
    memory.memory_climbs,
    measured.group_rates,
    measured.spread,
    measured.objectives,
    measured.attention,
    measured.stalls,
)


def examine(evidence: Evidence, more: Iterable[Check] = ()) -> list[Finding]:
    """What is wrong: what is proven, then hints, the most probable cause first.

    Args:
        evidence: Of the training.
        more: Checks of the caller's own.
    """
    suspicions: list[Suspicion] = []
    for check in (*CHECKS, *more):
        try:
            suspicions.extend(check(evidence))
        except Exception as error:  # noqa: BLE001 - a watcher never stops a training: it becomes a finding
            name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
            evidence.failed(name, error)
    return join(suspicions, evidence)
