"""Who may change training: policies, which the engine asks before and after the backward passes of each step.

A policy says what it wants as data; the engine does it, on all ranks alike, and writes it down. They are asked in
declared order, and the strongest action wins: stop, roll back, skip, scale, continue.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Protocol

from argusvl.core.errors import ConfigError, TrainingError
from argusvl.training.step import StepRecord


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands before a step.

    Attributes:
        step: Optimizer steps made.
        epoch: Epochs trained, with fraction.
        max_steps: Steps planned in all.
    """

    step: int
    epoch: float
    max_steps: int

    @property
    def fraction(self) -> float:
        """Share of the plan that is done, 0 to 1."""
        return self.step / max(self.max_steps, 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What holds for the next step.

    Attributes:
        frozen: Groups that do not train.
        rates: Factor of a group's learning rate; 1 where it is not named. ``"*"`` stands for all groups.
        weights: Factor of a loss term's weight; 1 where it is not named.
        clip: Factor of ``max_grad_norm``.
        thawed: Groups that train whatever freezes them.
    """

    frozen: frozenset[str] = frozenset()
    rates: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    clip: float = 1.0
    thawed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name, factor in (*self.rates.items(), *self.weights.items(), ("max_grad_norm", self.clip)):
            _check_factor(factor, name)

    def rate(self, group: str) -> float:
        """Factor of a group's learning rate."""
        return self.rates.get("*", 1.0) * self.rates.get(group, 1.0)

    def joined(self, other: Plan) -> Plan:
        """Frozen where either says so and neither has it train all the same; factors multiplied."""
        thawed = self.thawed | other.thawed
        return Plan(
            (self.frozen | other.frozen) - thawed,
            _multiplied(self.rates, other.rates),
            _multiplied(self.weights, other.weights),
            self.clip * other.clip,
            thawed,
        )


def _check_factor(factor: float, what: str) -> None:
    if not (math.isfinite(factor) and factor >= 0):
        raise ValueError(f"the factor of {what} is {factor}, expected a number of at least 0")


def _multiplied(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    return {key: first.get(key, 1.0) * second.get(key, 1.0) for key in dict.fromkeys([*first, *second])}


@dataclass(frozen=True, slots=True)
class Continue:
    """The optimizer steps."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The optimizer steps, with all learning rates multiplied by ``factor``, and ``max_grad_norm`` by ``clip``, for
    ``steps`` steps, this one included.
    """

    why: str
    factor: float
    steps: int
    clip: float = 1.0

    def __post_init__(self) -> None:
        _check_factor(self.factor, "all rates")
        _check_factor(self.clip, "max_grad_norm")

    @property
    def plan(self) -> Plan:
        """What holds for those steps."""
        return Plan(rates={"*": self.factor}, clip=self.clip)


@dataclass(frozen=True, slots=True)
class Skip:
    """The optimizer does not step; these samples are passed over."""

    why: str


@dataclass(frozen=True, slots=True)
class RollBack:
    """Training goes on from the last snapshot in memory.

    Attributes:
        change: What holds from there on, so that the same does not happen again.
    """

    why: str
    change: Scale | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Training ends with an error.

    Attributes:
        where: File or folder that shows it.
    """

    why: str
    advice: str
    where: str | None = None


Action = Continue | Scale | Skip | RollBack | Stop
_STRENGTH: tuple[type, ...] = (Continue, Scale, Skip, RollBack, Stop)


class Policy(Protocol):
    """One reason for which training may change. A subclass overrides what it is for; the rest changes nothing.

    Attributes:
        snapshot_every: Steps between the snapshots in memory that it may roll back to; ``None``: it needs none.
    """

    snapshot_every: int | None = None

    def plan(self, progress: Progress) -> Plan:
        """What holds for the next step; a function of progress and of the policy's own state alone."""
        return Plan()

    def after_backward(self, record: StepRecord) -> Action:
        """Called with the gradients there and the optimizer's step still to come."""
        return Continue()

    def state_dict(self) -> dict[str, Any]:
        """Plain values that JSON can write, part of every snapshot."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what :meth:`state_dict` returned."""
        return

    def rolled_back(self, step: int, known: Mapping[str, Any]) -> None:
        """Training goes on from an earlier step, and :meth:`load_state_dict` has brought back what was then.

        Args:
            step: Optimizer steps made by then.
            known: What :meth:`state_dict` returned just before. What must not be forgotten (how often the policy has
                acted) is taken from it: the same would be done for ever otherwise.
        """
        return


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of the rates that holds from a first step to a last one; a row of the state.

    Attributes:
        stays: Whether it holds for them also after a roll-back to a step before them.
    """

    factor: float
    last: int
    clip: float
    first: int
    stays: bool


class Policies:
    """All of a run's policies, as one."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = tuple(policies)
        for policy in self._policies:
            if policy.snapshot_every is not None and policy.snapshot_every < 1:
                raise ConfigError(
                    f"its snapshot_every is {policy.snapshot_every}",
                    where=f"policy {type(policy).__name__}",
                    remedy="give a number of steps, or None",
                )
        self._changes: list[_Change] = []

    @property
    def snapshot_every(self) -> int | None:
        """Steps between snapshots in memory; ``None`` where no policy rolls back."""
        return min((p.snapshot_every for p in self._policies if p.snapshot_every is not None), default=None)

    def plan(self, progress: Progress) -> Plan:
        """What holds for the next step."""
        plan = Plan()
        for policy in self._policies:
            plan = plan.joined(policy.plan(progress))
        step = progress.step + 1
        self._changes = [change for change in self._changes if change.last >= step]
        for change in self._changes:
            if change.first <= step:
                plan = plan.joined(Plan(rates={"*": change.factor}, clip=change.clip))
        return plan

    def after_backward(self, record: StepRecord) -> Action:
        """This rank's strongest action; of equal ones the first policy's."""
        actions = []
        for policy in self._policies:
            action = policy.after_backward(record)
            if not isinstance(action, _STRENGTH):
                raise TrainingError(
                    f"after_backward returned {action!r}, which is no action",
                    where=f"policy {type(policy).__name__}",
                    remedy="return Continue(), Scale(…), Skip(…), RollBack(…) or Stop(…)",
                )
            actions.append(action)
        return strongest(actions)

    def scale(self, change: Scale, step: int, *, stays: bool) -> None:
        """Lets a change of the rates hold from a step on; ``stays``: also after a roll-back to a step before it."""
        self._changes.append(_Change(change.factor, step + change.steps - 1, change.clip, step, stays))

    def state_dict(self) -> dict[str, Any]:
        """Of all, in their order, and of the changes that still hold."""
        states = [[type(p).__name__, p.state_dict()] for p in self._policies]
        return {"policies": states, "scaled": [list(astuple(change)) for change in self._changes]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what :meth:`state_dict` returned; a policy that was not there then begins anew."""
        for policy, values in self._each_with(state):
            policy.load_state_dict(values)
        self._changes = [_Change(*row) for row in state["scaled"]]

    def rolled_back(self, step: int, known: Mapping[str, Any]) -> None:
        """Lets each take from what :meth:`state_dict` returned before the roll-back what it must not forget."""
        for policy, values in self._each_with(known):
            policy.rolled_back(step, values)
        changes = (_Change(*row) for row in known["scaled"])
        self._changes = [change for change in changes if change.stays or change.first <= step]

    def _each_with(self, state: Mapping[str, Any]) -> Iterator[tuple[Policy, Mapping[str, Any]]]:
        saved = [(str(name), values) for name, values in state["policies"]]
        for policy in self._policies:
            for position, (name, values) in enumerate(saved):
                if name == type(policy).__name__:
                    yield policy, values
                    del saved[position]
                    break


def strongest(actions: Sequence[Action]) -> Action:
    """The strongest action; the first of equals."""
    return max(actions, key=lambda action: _STRENGTH.index(type(action)), default=Continue())
