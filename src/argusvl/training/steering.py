"""What the policies want, done: before a step, and between its backward passes and the optimizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from argusvl.core.errors import TrainingError
from argusvl.core.logging import get_logger
from argusvl.training.bad_step import Examination
from argusvl.training.policies import (
    Continue,
    Plan,
    Policies,
    Policy,
    Progress,
    RollBack,
    Scale,
    Skip,
    Stop,
    strongest,
)
from argusvl.training.policies.balancing import Balancing
from argusvl.training.policies.non_finite import Recover, StopWhereNotFinite
from argusvl.training.policies.phases import Phases
from argusvl.training.policies.remedies import Remedies
from argusvl.training.snapshot import Snapshot
from argusvl.training.step import StepRecord

if TYPE_CHECKING:
    from argusvl.training.trainer import ArgusTrainer

logger = get_logger(__name__)


MOST_ROLL_BACKS = 10
"""To one and the same step: what has not helped so often will not help."""


class RolledBack(Exception):  # noqa: N818 - not an error: training goes on from an earlier step
    """Leaves the loop over the data, whose position has changed."""


def own_policies(trainer: ArgusTrainer, samples_per_step: float) -> list[Policy]:
    """Those that the configuration asks for.

    Raises:
        ConfigError: A phase does not fit the task's groups.
    """
    training, groups = trainer.config.training, [group.spec for group in trainer.groups]
    agreed = trainer.parallel, Examination(trainer)
    terms, decay = trainer.losses.terms, training.balance_decay
    recovery, remedies = training.recovery, training.remedies
    return [
        Phases(groups, trainer.losses.names, training.phases, training.rate_scaling, samples_per_step),
        *([] if decay is None else [Balancing(terms, decay, trainer.parallel.add)]),
        StopWhereNotFinite(*agreed) if recovery is None else Recover(*agreed, recovery),
        *([] if remedies is None else [Remedies(trainer, remedies)]),
    ]


class Steering:
    """Asks the policies and does what they say.

    Args:
        trainer: The engine.
        policies: All of them, in the order in which they are asked.

    Attributes:
        plan: What holds for the present step.
    """

    def __init__(self, trainer: ArgusTrainer, policies: Sequence[Policy]) -> None:
        self.policies = Policies(policies)
        self.plan = Plan()
        self._trainer = trainer
        self._kept: Snapshot | None = None
        self._kept_at = 0
        # The weights of a snapshot are known to be good once a step with them was.
        self._candidate: tuple[Snapshot, int] | None = None
        self._times_back: Counter[int] = Counter()

    def before_step(self) -> None:
        """Keeps a snapshot where one is due, and lets the plan of the next step hold."""
        trainer, state = self._trainer, self._trainer.state
        every = self.policies.snapshot_every
        if every is not None and (self._kept is None or state.global_step % every == 0):
            self._candidate = trainer.saving.snapshot().kept(), state.global_step
        plan = self.policies.plan(Progress(state.global_step, state.epoch or 0.0, state.max_steps))
        self._check(plan)
        for group in trainer.groups:
            frozen = group.name in plan.frozen
            if frozen == (group.name in self.plan.frozen) or not group.trainable:
                continue
            for parameter in group.trainable_parameters():
                parameter.requires_grad_(not frozen)
                parameter.grad = None
            what = "is frozen" if frozen else "trains"
            logger.info("group %s %s from epoch %g on", group.name, what, state.epoch or 0.0)
        self.plan = plan

    def keep(self, snapshot: Snapshot, step: int) -> None:
        """Lets a policy that keeps snapshots of its own say where the next roll-back goes."""
        self._kept, self._kept_at, self._candidate = snapshot, step, None

    def _check(self, plan: Plan) -> None:
        """A name that nothing has would be a plan that silently does not hold."""
        groups = {group.name for group in self._trainer.groups}
        unknown = (plan.frozen - groups) | (plan.rates.keys() - groups - {"*"})
        unknown |= plan.weights.keys() - set(self._trainer.losses.names)
        if unknown:
            raise TrainingError(
                f"a policy plans for {sorted(unknown)}: neither a group nor a loss term",
                remedy=f"groups are {sorted(groups)}, terms {sorted(self._trainer.losses.names)}",
            )
        if all(group.name in plan.frozen for group in self._trainer.groups if group.trainable):
            raise TrainingError("the policies freeze every group: nothing would train")

    def act(self, record: StepRecord) -> bool:
        """Does what the policies want, the same on all ranks; whether the optimizer steps.

        Raises:
            TrainingError: A policy stops the run.
            RolledBack: Training goes on from an earlier step.
        """
        trainer = self._trainer
        action = self.policies.after_backward(record)
        # All ranks do the same: a rank alone would wait for the others for ever.
        acts, trainer.ranks_stop, bad = trainer.parallel.any(
            not isinstance(action, Continue), trainer.interrupts.requested, not record.finite
        )
        if self._candidate is not None and not bad:
            (self._kept, self._kept_at), self._candidate = self._candidate, None
        if trainer.parallel.world_size > 1 and acts:
            common = strongest(trainer.parallel.gather(action))
            # Each rank may say itself why it stops or skips; what changes the weights is the same on all.
            if type(action) is not type(common) or isinstance(common, Scale | RollBack):
                action = common
        match action:
            case Stop():
                trainer.listeners.on_step(record)  # the step that it is about
                raise TrainingError(action.why, where=action.where, remedy=action.advice)
            case RollBack():
                self._roll_back(action)
            case Skip():
                logger.warning("step %d is skipped: %s", record.step, action.why)
                samples = [name for names in record.names for name in names]
                trainer.event("skipped", why=action.why, samples=samples)
                return False
            case Scale():
                self._scale(action, stays=False)
                self.plan = self.plan.joined(action.plan)
        return True

    def _scale(self, action: Scale, *, stays: bool) -> None:
        changed = f"learning rates times {action.factor:g}"
        if action.clip != 1:
            changed += f", max_grad_norm times {action.clip:g}"
        logger.warning("%s for %d steps: %s", changed, action.steps, action.why)
        factors = {"factor": action.factor, "clip": action.clip}
        self._trainer.event("scaled", why=action.why, steps=action.steps, **factors)
        self.policies.scale(action, self._trainer.state.global_step + 1, stays=stays)

    def _roll_back(self, action: RollBack) -> None:
        trainer, to = self._trainer, self._kept_at
        self._candidate = None
        self._times_back[to] += 1
        if self._kept is None or self._times_back[to] > MOST_ROLL_BACKS:
            raise TrainingError(
                f"{action.why}; "
                + (
                    "there is no snapshot in memory to roll back to"
                    if self._kept is None
                    else f"training was rolled back to step {to} {MOST_ROLL_BACKS} times in vain"
                ),
                remedy="give the policy that rolls back a snapshot_every, or another change",
            )
        logger.warning("step %d is rolled back to step %d: %s", trainer.state.global_step + 1, to, action.why)
        trainer.event("rolled_back", why=action.why, to=to)
        known = self.policies.state_dict()
        trainer.model_wrapped.zero_grad()
        # A copy: the optimizer goes on in the very tensors that it is given.
        trainer.saving.restore(self._kept.kept())
        self.policies.rolled_back(to, known)
        if action.change is not None:
            self._scale(action.change, stays=True)
        trainer.saving.leave_branch()
        raise RolledBack
