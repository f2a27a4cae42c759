"""What trains when, how fast and for what: phases, groups that wait, rates for the samples that a step holds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from argus_doctor.wording import did_you_mean
from argusvl.config.schema import PhaseSection, RateScalingSection
from argusvl.core.errors import ConfigError
from argusvl.core.logging import get_logger
from argusvl.training.policies import Plan, Policy, Progress
from argusvl.training.protocol import ParameterGroup

logger = get_logger(__name__)


class Phases(Policy):
    """Which groups train, and factors of rates and of loss terms' weights, by the share of training that is done.

    The optimizer holds all groups all the time (they must not change within a run, for resuming); one that is frozen
    has no gradient and gets neither a step nor state. What holds follows from step and epoch alone.

    Args:
        groups: The task's groups; those with ``frozen_epochs`` wait for that epoch in any phase.
        terms: Names of the loss terms.
        phases: In order; ``None``: a single one, in which everything trains.
        scaling: How rates follow the number of samples; ``None``: they do not.
        samples_per_step: On all ranks together, on average.

    Raises:
        ConfigError: A phase names a group or a term that is not there, or leaves nothing to train.
    """

    def __init__(
        self,
        groups: Sequence[ParameterGroup],
        terms: Sequence[str],
        phases: Sequence[PhaseSection] | None,
        scaling: RateScalingSection | None,
        samples_per_step: float,
    ) -> None:
        self._waiting = {group.name: group.frozen_epochs for group in groups if group.frozen_epochs > 0}
        self._phases = [(phase.until, _plan_of(phase, groups, terms)) for phase in phases or ()]
        self._scale = 1.0
        if scaling is not None:
            ratio = samples_per_step / scaling.reference_samples
            self._scale = ratio if scaling.rule == "linear" else math.sqrt(ratio)
            logger.info(
                "learning rates times %.3g: %.4g samples a step on average, reference_samples is %d (%s)",
                self._scale,
                samples_per_step,
                scaling.reference_samples,
                scaling.rule,
            )

    def plan(self, progress: Progress) -> Plan:
        """What holds now."""
        waiting = frozenset(name for name, until in self._waiting.items() if progress.epoch < until)
        plan = Plan(frozen=waiting, rates={"*": self._scale})
        phase = next((plan for until, plan in self._phases if progress.fraction < until), None)
        return plan if phase is None else plan.joined(phase)


def ever_freezes(groups: Sequence[ParameterGroup], phases: Sequence[PhaseSection] | None) -> bool:
    """Whether a group that trains is frozen for a while; distributed training must know before it begins."""
    names = [phase.train for phase in phases or () if phase.train is not None]
    return any(g.frozen_epochs > 0 or any(g.name not in train for train in names) for g in groups)


def _plan_of(phase: PhaseSection, groups: Sequence[ParameterGroup], terms: Sequence[str]) -> Plan:
    names = [group.name for group in groups]
    where = f"phases, the one until {phase.until:g}"
    for what, asked, known in (
        ("group", (*(phase.train or ()), *phase.rates), names),
        ("loss term", tuple(phase.weights), terms),
    ):
        for name in asked:
            if name not in known:
                raise ConfigError(
                    f"there is no {what} {name!r}{did_you_mean(name, known)}",
                    where=where,
                    remedy=f"{what}s are {', '.join(known)}",
                )
    trains = names if phase.train is None else phase.train
    if not any(g.learning_rate > 0 and g.name in trains and phase.rates.get(g.name, 1.0) > 0 for g in groups):
        raise ConfigError(
            "nothing would train in it: the rates of all its groups are 0",
            where=where,
            remedy="name a group whose learning rate is not 0",
        )
    return Plan(
        frozen=frozenset(names) - frozenset(trains), rates=dict(phase.rates), weights=dict(phase.weights)
    )
