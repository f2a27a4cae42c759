"""What the outputs of a step are compared with: the targets, their classes, and which loss is at work."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from argus_doctor.evidence import SELDOM, Evidence, Objective
from argus_doctor.record.calls import CallRecord
from argus_doctor.record.host import HostReads
from argus_doctor.record.outputs import OutputSample
from argus_doctor.record.tables import TargetTable
from argus_doctor.record.tensors import is_finite, tensors_in
from argus_doctor.signature import (
    examine_objective,
    examine_vocabulary,
    over_samples,
    pulled_classes,
    trained_offset,
)

_MOST_LABELS = 2000
_LABELS_OF_A_BATCH, _FEW_LABELS = 4096, 256
_BATCHES_AT_ONCE = 16
_LABELS_EVERY = 10
"""Of so many steps one is asked for its classes, late in a training."""
_UNTAUGHT = 10
"""Steps at which nothing is learned yet: all columns of an output have as much to learn."""


class TargetSensor:
    """Takes down what targets are and what pulls the outputs to them.

    Args:
        evidence: Is filled in.
        calls: What the model was given and what it returned.
        host: Brings numbers from a GPU.
    """

    def __init__(self, evidence: Evidence, calls: CallRecord, host: HostReads) -> None:
        self._evidence, self._calls, self._host = evidence, calls, host
        self._table = TargetTable(evidence)
        self._labels: list[list[int]] = []

    def take_targets(self, step: int, targets: Any, batch: Any, inputs: Any, *, looked: bool) -> None:
        """Their classes, and what the inputs tell of them; where none were told, they are sought in the batch."""
        if not looked and step > SELDOM and step % _LABELS_EVERY:
            return
        # Of a batch, what the model was not given; what is said to be the targets may be given to it as well.
        given = self._given()
        own = {id(one) for one in (*given, *_all_in(inputs))} if targets is None else set()
        candidates = [
            one
            for one in _all_in(batch if targets is None else targets)
            if id(one) not in own and one.ndim > 0 and one.numel() and not one.is_complex()
        ]
        if not candidates:
            return
        target = candidates[-1]
        classes = not target.is_floating_point() and target.dtype != torch.bool and target.ndim == 1
        if classes and (target.device.type == "cpu" or looked):
            self._host.ask(target.detach()[:_LABELS_OF_A_BATCH], partial(self._take_labels, looked))
        if not self._table.done:
            self._table.take(next(iter(given), None), target)

    def _take_labels(self, looked: bool, labels: Tensor) -> None:
        self._labels.append(labels.tolist())
        if looked or len(labels) > _FEW_LABELS or len(self._labels) >= _BATCHES_AT_ONCE:
            self.count_labels()

    def count_labels(self) -> None:
        """Counts classes, of some batches at once: one by one each would cost as much as all."""
        for labels in self._labels:
            of_batch = Counter(labels)
            if len(self._evidence.labels) <= _MOST_LABELS:
                self._evidence.labels.update(of_batch)
            self._evidence.batch_labels.append((_entropy(list(of_batch.values())), len(labels)))
        self._labels.clear()

    def _given(self) -> list[Tensor]:
        """What the model was last called with, as far as it is still there."""
        return [tensor for _, reference in self._calls.inputs if (tensor := reference()) is not None]

    def take_objectives(self, step: int, targets: Any, outputs: Any) -> None:
        """Which loss is at work at each output, of the named ones if any are, by the gradient that came back."""
        given = [one for one in self._given() if one.ndim > 0]
        candidates = [one for one in _all_in(targets) if one.ndim > 0]
        # An autoencoder's targets are its inputs: asked last.
        own = {id(one) for one in given}
        candidates = [one for one in candidates if id(one) not in own] or candidates or given
        named = {id(one) for one in _all_in(outputs)}
        samples = {
            name: one
            for name, one in self._calls.outputs.items()
            if one.gradient is not None and (not named or one.identity in named)
        }
        shares = {name: one.norm for name, one in samples.items() if one.shape and one.norm is not None}
        columns = next((one.columns for one in samples.values()), None)
        taken = self._evidence.output_shares
        if len(shares) > 1:
            self._host.ask_all(
                list(shares.values()),
                lambda there: taken.append(dict(zip(shares, map(float, there), strict=True))),
            )
        elif columns is not None and step <= _UNTAUGHT:
            self._host.ask(
                columns, lambda there: taken.append({f"column {n}": x for n, x in enumerate(there.tolist())})
            )
        for name, sample in samples.items():
            self._take_objective(step, name, sample, candidates, given)

    def _take_objective(
        self,
        step: int,
        name: str,
        sample: OutputSample,
        candidates: Sequence[Tensor],
        given: Sequence[Tensor],
    ) -> None:
        assert sample.gradient is not None
        if not sample.shape:
            if name.rpartition(".")[2] == "loss":
                self._host.ask(sample.gradient, lambda there: self._take_own_loss(step, float(there)))
            return
        parts = [sample.part_of(one).detach() for one in candidates[:4]]
        own, contested = self._calls.tokens, self._calls.contested
        shapes = {one.shape for one in candidates if one.is_floating_point()}
        inputs = [sample.part_of(one).detach() for one in given[:4] if one.shape in shapes]

        def examine_it(there: list[Tensor]) -> None:
            values, gradient, *rest = there
            targets, rest = rest[: len(parts)], rest[len(parts) :]
            shown, sequences = rest[: len(inputs)], rest[len(inputs) :]
            if sample.wide:
                result = examine_vocabulary(step, gradient, targets)
                pulled = gradient[..., 0].long(), gradient[..., 2].abs() > 0
            else:
                if not (is_finite(values) and is_finite(gradient)):
                    return
                result = examine_objective(step, values, gradient, targets)
                pulled = pulled_classes(gradient) if gradient.ndim == 3 else (gradient, gradient)
            alike = (torch.equal(one, two) for one in shown for two in targets if one.dtype == two.dtype)
            if result is not None and any(alike):
                result.explained = ()  # an autoencoder: what changes its inputs changes its targets
                if result.best == "cross-entropy-of-tags":
                    result = None  # the likelihood of a bag of items, which draws them by one softmax
            offset = told = None
            if own and len(sample.shape) == 3:
                offset, told = _offsets(sample, sequences, targets, pulled)
            whole = all(one.step in (None, 1) for one in sample.index)
            if result is not None and result.classes and whole and over_samples(values):
                result.outputs_are = "over-samples"
            if result is not None or offset is not None:
                objective = Objective(step) if result is None else result
                objective.offset, objective.labels_offset, objective.output = offset, told, name
                objective.contested = contested
                self._correct_chance(objective)
                self._evidence.objectives.append(objective)

        self._host.ask_all([sample.values, sample.gradient, *parts, *inputs, *own], examine_it)

    def _take_own_loss(self, step: int, gradient: float) -> None:
        if gradient < 0:
            self._evidence.objectives.append(Objective(step, {"own-loss": -1.0}, "own-loss", exact=True))

    def _correct_chance(self, objective: Objective) -> None:
        """The classes of all batches tell more of what chance gives than those of a block."""
        labels = self._evidence.labels
        total = sum(labels.values())
        if objective.classes and total >= 5 * objective.classes and max(labels) < objective.classes:
            objective.chance = _entropy(list(labels.values()))


def _offsets(
    sample: OutputSample,
    sequences: Sequence[Tensor],
    targets: Sequence[Tensor],
    pulled: tuple[Tensor, Tensor],
) -> tuple[int | None, int | None]:
    """How far ahead of its token each output is trained to be, and how far ahead the batch's labels are."""
    offsets = [
        (tokens, offset)
        for tokens in sequences
        if (offset := trained_offset(tokens, *pulled, sample.index, sample.shape[-1])) is not None
    ]
    # An encoder may be given what the decoder is to write; the decoder's own tokens come last.
    offsets = [pair for pair in offsets if pair[1] == 1] or offsets
    tokens, found = offsets[-1] if offsets else (sequences[-1], None)
    brought = (one for one in targets if one.ndim == 2 and not one.is_floating_point())
    told = (
        trained_offset(tokens, one, one >= 0, sample.index, sample.shape[-1])
        for one in brought
        if one.shape == pulled[0].shape
    )
    return found, next((one for one in told if one is not None), None)


def _all_in(value: Any) -> list[Tensor]:
    return [one for _, one in tensors_in(value)]


def _entropy(counts: Sequence[int]) -> float:
    total = sum(counts)
    return -sum(count / total * math.log(count / total) for count in counts)
