"""Freezing groups for the first epochs: a policy that the engine calls before each step."""

from __future__ import annotations

from collections.abc import Sequence

from argusvl.core.logging import get_logger
from argusvl.training.parameter_groups import AssignedGroup

logger = get_logger(__name__)


class FreezeUntil:
    """Keeps the groups that have ``frozen_epochs`` out of training until that epoch is reached.

    The optimizer holds them all the time (its groups must not change within a run, for resuming); without a
    gradient they get neither a step nor state. What is frozen follows from the epoch alone, so a resumed run needs no
    state of its own.

    Args:
        groups: The run's groups.
    """

    def __init__(self, groups: Sequence[AssignedGroup]) -> None:
        self._groups = [group for group in groups if group.spec.frozen_epochs > 0 and group.trainable]
        self._frozen: dict[str, bool] = {}

    def before_step(self, epoch: float) -> None:
        """Freezes and unfreezes.

        Args:
            epoch: Epochs trained so far, with fraction.
        """
        for group in self._groups:
            frozen = epoch < group.spec.frozen_epochs
            if self._frozen.get(group.name) is frozen:
                continue
            self._frozen[group.name] = frozen
            for parameter in group.trainable_parameters():
                parameter.requires_grad_(not frozen)
                if frozen:
                    parameter.grad = None
            if frozen:
                logger.info("group %s is frozen until epoch %g", group.name, group.spec.frozen_epochs)
            else:
                logger.info("group %s trains from epoch %g on", group.name, epoch)
