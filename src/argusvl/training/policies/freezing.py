"""Freezing groups for the first epochs."""

from __future__ import annotations

from collections.abc import Sequence

from argusvl.training.policies import Inactive, Plan, Progress
from argusvl.training.protocol import ParameterGroup


class FreezeUntil(Inactive):
    """Keeps the groups that have ``frozen_epochs`` out of training until that epoch is reached.

    The optimizer holds them all the time (its groups must not change within a run, for resuming); without a gradient
    they get neither a step nor state. What is frozen follows from the epoch alone.

    Args:
        groups: The task's groups.
    """

    def __init__(self, groups: Sequence[ParameterGroup]) -> None:
        self._until = {group.name: group.frozen_epochs for group in groups if group.frozen_epochs > 0}

    def plan(self, progress: Progress) -> Plan:
        """Which groups do not train yet."""
        return Plan(frozen=frozenset(name for name, until in self._until.items() if progress.epoch < until))
