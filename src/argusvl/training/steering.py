"""What the policies want, done: before a step, and between its backward passes and the optimizer."""

from __future__ import annotations

from argusvl.core.errors import TrainingError
from argusvl.core.logging import get_logger
from argusvl.training.bad_step import BadStepRecorder
from argusvl.training.policies import (
    Continue,
    Plan,
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
from argusvl.training.saving import finish_roll_back, restore, take_snapshot
from argusvl.training.state import TrainState
from argusvl.training.step import StepRecord
from argusvl.training.watching import RunWatch

logger = get_logger(__name__)


MOST_ROLL_BACKS = 10
"""To one and the same step: what has not helped so often will not help."""


class RolledBack(Exception):  # noqa: N818 - not an error: training goes on from an earlier step
    """Leaves the loop over the data, whose position has changed."""


def own_policies(state: TrainState, watch: RunWatch, samples_per_step: float) -> list[Policy]:
    """Those that the configuration asks for.

    Raises:
        ConfigError: A phase does not fit the task's groups.
    """
    training, groups = state.config.training, [group.spec for group in state.groups]
    agreed = state.parallel, BadStepRecorder(state)
    terms, decay = state.losses.terms, training.balance_decay
    recovery, remedies = training.recovery, training.remedies
    return [
        Phases(groups, state.losses.names, training.phases, training.rate_scaling, samples_per_step),
        *([] if decay is None else [Balancing(terms, decay, state.parallel.add)]),
        StopWhereNotFinite(*agreed) if recovery is None else Recover(*agreed, recovery),
        *([] if remedies is None else [Remedies(state, watch, remedies)]),
    ]


def before_step(state: TrainState) -> None:
    """Keeps a snapshot where one is due, and lets the plan of the next step hold."""
    every, epoch = state.policies.snapshot_every, state.progress.epoch or 0.0
    if every is not None and (state.good.snapshot is None or state.step % every == 0):
        state.good.candidate = take_snapshot(state).kept(), state.step
    plan = state.policies.plan(Progress(state.step, epoch, state.progress.max_steps))
    _check(state, plan)
    for group in state.groups:
        frozen = group.name in plan.frozen
        if frozen == (group.name in state.plan.frozen) or not group.trainable:
            continue
        for parameter in group.trainable_parameters():
            parameter.requires_grad_(not frozen)
            parameter.grad = None
        what = "is frozen" if frozen else "trains"
        logger.info("group %s %s from epoch %g on", group.name, what, epoch)
    state.plan = plan


def _check(state: TrainState, plan: Plan) -> None:
    """A name that nothing has would be a plan that silently does not hold."""
    groups = {group.name for group in state.groups}
    unknown = (plan.frozen - groups) | (plan.rates.keys() - groups - {"*"})
    unknown |= plan.weights.keys() - set(state.losses.names)
    if unknown:
        raise TrainingError(
            f"a policy plans for {sorted(unknown)}: neither a group nor a loss term",
            remedy=f"groups are {sorted(groups)}, terms {sorted(state.losses.names)}",
        )
    if all(group.name in plan.frozen for group in state.groups if group.trainable):
        raise TrainingError("the policies freeze every group: nothing would train")


def act(state: TrainState, record: StepRecord) -> bool:
    """Does what the policies want, the same on all ranks; whether the optimizer steps.

    Raises:
        TrainingError: A policy stops the run.
        RolledBack: Training goes on from an earlier step.
    """
    action = state.policies.after_backward(record)
    # All ranks do the same: a rank alone would wait for the others for ever.
    acts, state.ranks_stop, bad = state.parallel.any(
        not isinstance(action, Continue), state.interrupts.requested, not record.finite
    )
    if state.good.candidate is not None and not bad:
        state.good.keep(*state.good.candidate)
    if state.parallel.world_size > 1 and acts:
        common = strongest(state.parallel.gather(action))
        # Each rank may say itself why it stops or skips; what changes the weights is the same on all.
        if type(action) is not type(common) or isinstance(common, Scale | RollBack):
            action = common
    match action:
        case Stop():
            state.listeners.tell("on_step", record)  # the step that it is about
            raise TrainingError(action.why, where=action.where, remedy=action.advice)
        case RollBack():
            _roll_back(state, action)
        case Skip():
            logger.warning("step %d is skipped: %s", record.step, action.why)
            samples = [name for names in record.names for name in names]
            state.event("skipped", why=action.why, samples=samples)
            return False
        case Scale():
            _scale(state, action, stays=False)
            state.plan = state.plan.joined(action.plan)
    return True


def _scale(state: TrainState, action: Scale, *, stays: bool) -> None:
    changed = f"learning rates times {action.factor:g}"
    if action.clip != 1:
        changed += f", max_grad_norm times {action.clip:g}"
    logger.warning("%s for %d steps: %s", changed, action.steps, action.why)
    factors = {"factor": action.factor, "clip": action.clip}
    state.event("scaled", why=action.why, steps=action.steps, **factors)
    state.policies.scale(action, state.step + 1, stays=stays)


def _roll_back(state: TrainState, action: RollBack) -> None:
    good, to = state.good, state.good.step
    good.candidate = None
    good.times[to] += 1
    if good.snapshot is None or good.times[to] > MOST_ROLL_BACKS:
        raise TrainingError(
            f"{action.why}; "
            + (
                "there is no snapshot in memory to roll back to"
                if good.snapshot is None
                else f"training was rolled back to step {to} {MOST_ROLL_BACKS} times in vain"
            ),
            remedy="give the policy that rolls back a snapshot_every, or another change",
        )
    logger.warning("step %d is rolled back to step %d: %s", state.step + 1, to, action.why)
    state.event("rolled_back", why=action.why, to=to)
    known = state.policies.state_dict()
    state.wrapped.zero_grad()
    # A copy: the optimizer goes on in the very tensors that it is given.
    restore(state, good.snapshot.kept())
    state.policies.rolled_back(to, known)
    if action.change is not None:
        _scale(state, action.change, stays=True)
    finish_roll_back(state)
    raise RolledBack
