"""The doctor in the engine: each step becomes evidence, and what the checks find is told as it comes.

It lives on what the engine computed anyway (losses, norms, rates, seconds) and on the doctor's own sensors, which do
nothing but at *looks*: dense at first, rare later. What the configuration declares (rates of 0, phases, groups that
wait) is known here, so that nothing is reported that was meant.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from argus_doctor.checks import examine
from argus_doctor.checks.measured import FAR_TOO_FAST
from argus_doctor.evidence import Evidence, NotFinite, Pull, Step
from argus_doctor.findings import Finding, finding
from argus_doctor.record.bounded import Ends
from argus_doctor.record.calls import CallRecord
from argus_doctor.record.memory import MemorySensor
from argus_doctor.record.parameters import ParameterRecord
from argus_doctor.record.tensors import statistics
from argus_doctor.suspicion import Suspicion, median
from argus_doctor.watch import is_look
from argusvl.config.schema import PhaseSection
from argusvl.core.figures import SPREAD, spec_of
from argusvl.core.logging import get_logger
from argusvl.core.wording import flat
from argusvl.training.listeners import Listener
from argusvl.training.parameter_groups import AssignedGroup
from argusvl.training.remedy_table import change_of
from argusvl.training.state import TrainState
from argusvl.training.step import StepRecord
from argusvl.training.throughput import Stalls

logger = get_logger(__name__)

_FIRST_EXAMINATION = 3
_MOST_COUNTS, _FEW_COUNTS = 1_000, 30
_INFLATED = 4.0
"""Times the usual number of vision tokens."""
_SETTLED = 20
"""Steps after which a loss that has not fallen means something."""
_CALLS_COUNTED = 30
_CONSTANT = 0.05
"""Of the truth's spread: predictions that differ by less need no second evaluation."""
PIXELS = ("pixel_values", "input_features", "input_values")
"""What transformers calls inputs that are numbers; of others the engine does not know what they should look like."""
_BRIGHT = 30.0
"""Greatest mean or deviation of a column of patches that normalised pixels may have."""


class RunWatch(Listener):
    """Watches a run of the engine; on several ranks the first one's.

    Attributes:
        evidence: Of the run since it began, was resumed or rolled back; ``None`` before that.
        present: What the last two examinations found.
        clean: Whether the last one found nothing at all.
        idle: What the plan of the whole run proves: groups that no step would train.
    """

    def __init__(self, state: TrainState) -> None:
        self._state = state
        self.evidence: Evidence | None = None
        self.present: list[Finding] = []
        self.clean = True
        self.idle: list[Finding] = []
        self._suspected: set[str] = set()
        self._told: set[tuple[str, str]] = set()
        self._sizes: dict[str, float] = {}

    # --- the course of a run

    def on_event(self, event: Mapping[str, Any]) -> None:
        """A run that begins, or goes on from an earlier step, is watched from there."""
        match event["event"]:
            case "started" | "resumed":
                self._begin()
                state = self._state
                phases = state.config.training.phases or ()
                self.idle = never_trains(state.groups, phases, state.progress.num_train_epochs)
                self._tell(self.idle)
            case "rolled_back":
                self._begin()
            case "stopped":
                self._close()

    def _begin(self) -> None:
        state = self._state
        assert state.optimizer is not None
        self._close()
        self._suspected, self.present, self.clean = set(), [], True
        self.evidence = Evidence()
        self._calls = CallRecord(state.network, self.evidence, time.perf_counter)
        self._calls.looking = False  # the engine knows its batches and its terms better
        optimizer = getattr(state.optimizer, "optimizer", state.optimizer)
        self._parameters = ParameterRecord(state.network, [optimizer], self.evidence)
        self._memory = MemorySensor()
        self._stalls = Stalls()
        self._vision_tokens: deque[tuple[int, int]] = deque(maxlen=_MOST_COUNTS)
        self._declare()
        self._steps = 0

    def _close(self) -> None:
        if self.evidence is not None:
            self._calls.close()
            self._parameters.close()
            self.evidence = None

    def _declare(self) -> None:
        """What is frozen by configuration at present is meant to be."""
        frozen = self._state.plan.frozen
        self._parameters.declare(
            {
                name
                for group in self._state.groups
                for name in group.parameters
                if group.name in frozen or name not in group.trainable
            }
        )

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What the body computes is no part of the run."""
        if self.evidence is None:
            yield
            return
        looking = self._parameters.looking
        self._calls.paused, self._parameters.looking = True, False
        try:
            yield
        finally:
            self._calls.paused, self._parameters.looking = False, looking

    # --- a step

    def on_step(self, record: StepRecord) -> None:
        """Takes the step down; at looks, examines."""
        evidence = self.evidence
        if evidence is None:
            return
        self._steps += 1
        looked = self._parameters.looking
        self._take(evidence, record, looked)
        if looked:
            self._look(evidence, record)
        last = record.step >= self._state.progress.max_steps
        if self._steps >= _FIRST_EXAMINATION and (looked or last or not record.finite):
            self._examine(evidence)
        self._parameters.looking = is_look(self._steps + 1)

    def on_evaluation(self, step: int, figures: Mapping[str, float]) -> None:
        """The figure that chooses the best checkpoint is followed."""
        name = self._state.config.training.metric_for_best_model.removeprefix("eval_")
        spec = spec_of(name, self._state.task.figures())
        if self.evidence is None:
            return
        if name in figures and spec is not None:
            value = float(figures[name])
            self.evidence.figure.append((step, value if spec.better == "higher" else -value))
        if SPREAD in figures:
            self.evidence.spread.append((step, float(figures[SPREAD])))
            self._examine(self.evidence)

    def _take(self, evidence: Evidence, record: StepRecord, looked: bool) -> None:
        """All of this is on the host already."""
        loss, norm = record.totals
        evidence.steps.append(
            Step(
                record.step,
                loss=loss,
                rates=tuple(record.rates.values()),
                gradient_norm=norm,
                wait=record.seconds.get("data", 0.0),
                seconds=sum(record.seconds.values()),
            )
        )
        if (stall := self._stalls.judge(record.step, record.seconds)) is not None:
            evidence.stalls.append(stall)
        if (pulls := record.gradient_shares) is not None and pulls.shares:
            evidence.pulls.append({n: Pull(pulls.greatest[n], value) for n, value in pulls.values.items()})
        for layer, entropy in record.attention_entropy.items():
            evidence.attention.setdefault(layer, Ends()).append(entropy)
        if tokens := sum(batch.sizes.vision_tokens for batch in record.batches):
            self._vision_tokens.append((record.step, tokens))
        if not record.finite and evidence.not_finite is None:
            term = record.first_non_finite_term()
            where = record.gradients.first_non_finite() if term is None else f"loss term {term[0]}"
            what = "backward" if term is None else "loss"
            # Where the loss was of a usual size until now, no rate has made it so.
            before = next((abs(x) for x in reversed(evidence.losses()[:-1]) if math.isfinite(x)), None)
            evidence.not_finite = NotFinite(record.step, what, where or "", before)
        if self._steps == _CALLS_COUNTED:
            self._calls.stop_counting_calls()
        self._calls.finish_step(record.step)
        if looked:
            evidence.steps[-1].terms = record.term_means(self._state.losses.counted_by)

    def _look(self, evidence: Evidence, record: StepRecord) -> None:
        self._parameters.finish_step()
        self._parameters.take_stock()
        self._declare()
        evidence.frozen_statistics |= self._parameters.declared_frozen_that_moved()
        if (memory := self._memory.sample(record.step)) is not None:
            evidence.memory.append(memory)
        looks = []
        for name in PIXELS:
            tensor = record.batches[0].inputs.get(name)
            seen = None if tensor is None else statistics(name, tensor)
            if seen is not None:
                # Pictures may be bright: of patches only what is far out says something.
                far = seen.worst_column if (seen.worst_column or 0.0) > _BRIGHT else 0.0
                looks.append(replace(seen, worst_column=far))
        evidence.inputs.append(looks)

    # --- findings

    def _examine(self, evidence: Evidence) -> None:
        if self._is_one_batch():
            evidence.batches_repeated = (0, 0)
        groups = {name: group.name for group in self._state.groups for name in group.parameters}
        known = self._parameters.summary()
        # Where a run was rolled back to, weights may have run away already: how large they began stays known.
        self._sizes = {name: p.first_weight for name, p in known.items() if p.first_weight > 0} | self._sizes
        evidence.parameters = {
            name: replace(p, group=groups.get(name, ""), first_weight=self._sizes.get(name, 0.0))
            for name, p in known.items()
        }
        every = examine(evidence, [self._inflated_tokens])
        seen = [one for one in every if not self._may_pass(evidence, one)]
        # What two examinations agree on: curves have their moments.
        before = self._suspected
        self._suspected, self.clean = {one.slug for one in seen}, not every
        self.present = [one for one in seen if one.slug in before or _is_certain(one)]
        self._tell(self.present)

    def _inflated_tokens(self, _: Evidence) -> Iterator[Suspicion]:
        """Batches whose pictures have far more tokens than usual, again and again."""
        counts = list(self._vision_tokens)
        if len(counts) < _FEW_COUNTS:
            return
        usual = median(count for _, count in counts)
        large = [(number, count) for number, count in counts[-50:] if count > _INFLATED * usual]
        if len(large) >= 3:
            yield Suspicion(
                "vision-token-inflation",
                "sizes far above usual",
                f"{len(large)} of the last {len(counts[-50:])} steps had more than {_INFLATED:g} times the usual "
                f"{usual:.0f} vision tokens, step {large[-1][0]} {large[-1][1]}",
                f"step {large[-1][0]}",
                proven=True,
            )

    def _may_pass(self, evidence: Evidence, one: Finding) -> bool:
        """Whether it may be the noise of the first steps: small batches and new weights look like too high a rate."""
        if one.slug != "learning-rate-too-high" or _is_certain(one):
            return False
        losses = [loss for loss in evidence.losses() if math.isfinite(loss)]
        falls = median(losses[-10:]) < 0.8 * median(losses[:5])
        return falls or len(evidence.steps) < _SETTLED

    def _is_one_batch(self) -> bool:
        """Whether an epoch is a single batch: then the same one again and again is what was asked for."""
        loader = self._state.callbacks.train_dataloader
        return loader is not None and len(loader) <= 1

    def _tell(self, findings: list[Finding]) -> None:
        state = self._state
        for one in findings:
            if (one.slug, one.where) in self._told:
                continue
            self._told.add((one.slug, one.where))
            change = change_of(one, dict(flat(state.config.model_dump(mode="json"))))
            told = replace(one, remedy=f"{one.remedy} ({change})" if change else one.remedy)
            place = f" in {told.where}" if told.where else ""
            logger.warning("%s %s%s: %s. What to do: %s", told.id, told.slug, place, told.what, told.remedy)
            state.event("found", finding=told.to_json())


def _is_certain(one: Finding) -> bool:
    """Whether there is no need to wait for a second look."""
    moves, differ = one.numbers.get("update_ratio", 0.0), one.numbers.get("spread", 1.0)
    return one.slug == "non-finite-loss" or moves >= FAR_TOO_FAST or differ < _CONSTANT


def never_trains(
    groups: Sequence[AssignedGroup], phases: Sequence[PhaseSection], epochs: float
) -> list[Finding]:
    """Groups with a learning rate that no step of a run will train: that cannot be meant."""
    found = []
    for group in groups:
        if not group.trainable:
            continue
        rate = f"group {group.name} has the learning rate {group.spec.learning_rate:g} and never trains: "
        if group.spec.frozen_epochs >= epochs:
            why = f"it waits for epoch {group.spec.frozen_epochs:g}, and the run has {epochs:.3g}"
        elif phases and all(p.train is not None and group.name not in p.train for p in phases):
            why = "no phase names it"
        else:
            continue
        one = finding("frozen-head", f"group {group.name}", rate + why)
        found.append(replace(one, numbers={"group": group.name}))
    return found
