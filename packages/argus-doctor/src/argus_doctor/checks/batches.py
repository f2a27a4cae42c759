"""What the model is given."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from argus_doctor.evidence import Evidence, TensorStatistics
from argus_doctor.suspicion import Suspicion, median


def _by_name(looks: Sequence[Sequence[TensorStatistics]]) -> dict[str, list[TensorStatistics]]:
    found: dict[str, list[TensorStatistics]] = defaultdict(list)
    for look in looks:
        for one in look:
            found[one.name].append(one)
    return found


def inputs(evidence: Evidence) -> Iterator[Suspicion]:
    """Empty, never normalised, or normalised twice: as the first layer gets them."""
    for name, looks in _by_name(evidence.inputs).items():
        if len(looks) < 3 or not looks[0].is_float:
            continue
        shape = looks[0].shape
        if share := max(one.not_finite for one in looks):
            what = f"{share:.0%} of a batch's samples hold values that are not finite"
            yield Suspicion("non-finite-input", "input not finite", what, f"input {name}", proven=True)
            continue
        if len(shape) < 2:
            continue
        empty = sum(one.std == 0 and one.mean == 0 for one in looks) >= 0.8 * len(looks)
        alike = sum(one.rows_alike for one in looks) >= 0.8 * len(looks) and shape[0] > 1
        if empty or alike:
            sign = "input all zero" if empty else "samples all alike"
            what = f"input {name} {list(shape)} is {'zero' if empty else 'the same for all samples'}"
            yield Suspicion("inputs-constant", sign, what, f"input {name}", proven=empty)
        elif not looks[0].normalised_next:
            yield from _ranges(name, looks, raw=_takes_bytes_as_they_are(looks, evidence))


def _ranges(name: str, looks: Sequence[TensorStatistics], *, raw: bool) -> Iterator[Suspicion]:
    """By mean and deviation: a first layer as PyTorch draws it expects about 0 and 1."""
    mean, std = median(one.mean for one in looks), median(one.std for one in looks)
    low, high = min(one.low for one in looks), max(one.high for one in looks)
    shape, columns = looks[0].shape, looks[-1].columns
    figures = (
        f"input {name} {list(shape)}: mean {mean:.3g}, deviation {std:.3g}, from {low:.3g} to {high:.3g}"
    )
    numbers: dict[str, Any] = {"mean": mean, "std": std, "low": low, "high": high}
    numbers |= {} if columns is None else {"columns": [list(row) for row in columns]}
    picture = len(shape) == 4 and shape[1] in (1, 3, 4)
    span = _span_of_bytes(looks)
    column = median(one.worst_column for one in looks if one.worst_column is not None)
    kinds: tuple[tuple[str, str, bool, str], ...] = (
        ("inputs-not-normalised", "bytes into a fresh layer", raw and span is not None and high >= 128, ""),
        (
            "inputs-normalised-twice",
            "bytes divided by 255 twice, exactly",
            span is not None and abs(span * 255 - 1) < _TO_THE_DIGIT,
            ": neighbouring values of a byte lie 1/255/255 apart",
        ),
        (
            "inputs-normalised-twice",
            "bytes within less than one division leaves",
            # One division by 255, or by a deviation of pixels that were, leaves a span of 1 or more.
            span is not None and span < 0.25,
            f": all 256 values of a byte would lie within {span or 0:.3g}",
        ),
        ("inputs-not-normalised", "input far from unit size", picture and (std > 20 or abs(mean) > 30), ""),
        ("inputs-not-normalised", "column far from unit size", column > 30, ""),
        (
            "inputs-normalised-twice",
            "divided twice",
            picture and low >= 0 and 0 < high <= 0.02,
            ": divided by 255 twice",
        ),
        (
            "inputs-normalised-twice",
            "next to its mean nothing",
            picture and std > 0 and abs(mean) > 5 * std and not 0 <= low <= high <= 1,
            ": next to its mean nothing is left",
        ),
        (
            "inputs-normalised-twice",
            "shifted and scaled twice",
            picture and ((mean < -0.8 and std > 1.2) or (mean < -1.5 and low < -2.5)),
            ": shifted and scaled twice",
        ),
        (
            "inputs-normalised-twice",
            "shifted twice",
            std > 0 and abs(mean) > 2 * std and 1.5 < column <= 30,
            ": shifted twice",
        ),
    )
    for slug, sign, seen, words in kinds:
        if seen:
            yield Suspicion(
                slug, sign, figures + words, f"input {name}", numbers, proven=sign == _EXACTLY_TWICE
            )
            return


# Bytes themselves, or bytes of little contrast, may be what a healthy network is given: the arithmetic is certain.
_EXACTLY_TWICE = "bytes divided by 255 twice, exactly"
_TO_THE_DIGIT = 1e-3
"""Of a spacing: nothing but a division by 255 divides by so nearly 255."""


def _span_of_bytes(looks: Sequence[TensorStatistics]) -> float | None:
    """From the least to the greatest value that a byte could have; ``None`` where inputs are no pictures of bytes."""
    grids = [one.grid for one in looks]
    known = [grid for grid in grids if grid is not None and grid[1] >= 64]
    if len(known) < max(3, 0.8 * len(grids)):
        return None
    spacing = median(grid[0] for grid in known)
    return 255 * spacing if all(abs(grid[0] / spacing - 1) < 0.01 for grid in known) else None


def _takes_bytes_as_they_are(looks: Sequence[TensorStatistics], evidence: Evidence) -> bool:
    """Whether bytes go into weights that PyTorch has just drawn, of a model that normalises nowhere."""
    first = next((p for p in evidence.parameters.values() if len(p.shape) > 1), None)
    fresh = first is not None and first.start == "default" and "Conv" in first.kind
    normalises = any("Norm" in p.kind for p in evidence.parameters.values())
    return fresh and not normalises and all(one.whole and one.low >= 0 and one.high <= 255 for one in looks)


def ignored(evidence: Evidence) -> Iterator[Suspicion]:
    """Inputs that make no difference."""
    if evidence.ignored_inputs and len(evidence.ignored_inputs) < evidence.asked_inputs:
        for name in sorted(evidence.ignored_inputs):
            what = f"the outputs stay the same when samples swap input {name}"
            yield Suspicion("input-ignored", "outputs ignore an input", what, f"input {name}")
    elif evidence.ignored_inputs:
        what = "the outputs stay the same when samples swap their inputs"
        yield Suspicion("mode-collapse", "outputs ignore all inputs", what, "outputs")


_NO_BYTES = 20.0
"""Span of what was bytes and has been divided and normalised: no other contrast leaves so little of 255."""
_NUMBERS = 32
"""Of which an input must be to have a mean and a deviation of its own: an agent asks about one state at a time."""


def evaluation_inputs(evidence: Evidence) -> Iterator[Suspicion]:
    """Evaluation that prepares its inputs in another way than training."""
    training = _by_name(evidence.inputs)
    for name, looks in _by_name(evidence.evaluations.statistics).items():
        known = training.get(name, [])
        if len(known) < 3 or (len(looks) < 2 and looks[0].shape[0] < 50):
            continue
        if math.prod(looks[0].shape) < _NUMBERS:
            continue
        if not looks[0].is_float or not 2 <= len(looks[0].shape) == len(known[0].shape):
            continue
        mean, std = median(one.mean for one in known), median(one.std for one in known)
        mean_there, std_there = median(one.mean for one in looks), median(one.std for one in looks)
        if std <= 0 or std_there <= 0:
            continue
        shifted = abs(mean_there - mean) / std
        scaled = max(std_there / std, std / std_there)
        # A series goes on beyond the window that was trained on: that is no other way of preparing it.
        if shifted > 3.0 or scaled > 2.0:
            span, span_there = _span_of_bytes(known), _span_of_bytes(looks)
            # Both are bytes: no other data, but other arithmetic. Less than the whole division may be another contrast.
            spans = [] if span is None or span_there is None else sorted((span, span_there))
            raw = bool(spans) and abs(spans[1] / 255 - 1) < _TO_THE_DIGIT
            divided = bool(spans) and abs(spans[1] / spans[0] / 255 - 1) < _TO_THE_DIGIT
            certain = divided or (raw and spans[0] < _NO_BYTES)
            sign = "bytes scaled otherwise in evaluation" if certain else "evaluated on other ranges"
            what = f"input {name} has mean {mean:.3g} and deviation {std:.3g} in training, "
            what += f"{mean_there:.3g} and {std_there:.3g} in evaluation"
            numbers = {"training": [mean, std], "evaluation": [mean_there, std_there]}
            yield Suspicion("evaluation-inputs-differ", sign, what, f"input {name}", numbers, proven=certain)


def order(evidence: Evidence) -> Iterator[Suspicion]:
    """The same batch for ever, or batches of one class."""
    repeated, compared = evidence.batches_repeated
    if compared >= 10 and repeated >= 0.95 * compared and not (evidence.whole_set or evidence.by_closure):
        what = f"{repeated + 1} steps in a row trained on the very same batch"
        yield Suspicion("same-batch", "the very same batch", what, "data loader")
        return
    counts = list(evidence.labels.values())
    total = sum(counts)
    if len(counts) < 2 or total < 64 or len(evidence.batch_labels) < 8:
        return
    overall = -sum(count / total * math.log(count / total) for count in counts)
    size = median(size for _, size in evidence.batch_labels)
    expected = overall - (len(counts) - 1) / (2 * max(size, 1))  # of a fair draw (Miller's correction)
    seen = sum(entropy for entropy, _ in evidence.batch_labels) / len(evidence.batch_labels)
    if size >= 4 and expected > 0.25 and seen < 0.5 * expected:
        same, rounds, length = evidence.batches_in_order
        # The same batches in the same order, round after round: nobody draws them.
        certain = length >= 4 and rounds >= length and same == rounds
        sign = "batches of few classes in a fixed order" if certain else "batches of few classes"
        what = f"a batch has an entropy of {seen:.2f} nats over the classes, a fair draw would have {expected:.2f}"
        what += f"; after {length} batches the same come again in the same order" if certain else ""
        yield Suspicion("data-not-shuffled", sign, what, "data loader", proven=certain)


def leaks(evidence: Evidence) -> Iterator[Suspicion]:
    """Samples that are where they must not be: of training in evaluation, or the target among the inputs."""
    found = evidence.evaluations
    # Acting is asked about what is trained on later; of a graph all is asked at once.
    aside = evidence.whole_set or found.count > 0.5 * evidence.step
    if _rarely_alike(evidence) and found.known_share and not aside:
        told = [share for share, validated in found.known_share if validated]
        shares = [share for share, _ in found.known_share]
        # The share grows while training sees its samples for the first time; of the training set itself it ends at 1.
        settled = len(shares) >= 3 and abs(shares[-1] - shares[-2]) < 0.03 and shares[-1] < 0.98
        # To ask about all training samples is to measure training; about a fixed part of them is seldom meant.
        part = len(shares) >= 3 and found.same_samples >= len(shares) - 1
        part = part and found.samples < 0.5 * evidence.distinct[0] and min(shares[1:]) >= 0.98
        share = told[-1] if len(told) >= 2 else shares[-1] if settled or part else 0.0
        # Numbers that are drawn are not drawn twice; and all that there is would be the nodes of one graph.
        certain = (
            len(told) >= 3
            and min(told) == 1
            and found.single_input
            and found.samples < 0.9 * evidence.distinct[0]
            and _drawn(evidence)
            # Points of a plane or of space may be a grid's: what is fitted there is measured there.
            and all(math.prod(one.shape[1:]) > 3 for one in evidence.every_input())
        )
        if share >= 0.02 + _by_chance(evidence):
            sign = "evaluated on some training samples"
            if part:
                sign = "evaluated on a part of the training samples"
            if len(told) >= 2:
                sign = "validated on training samples alone" if certain else "validated on training samples"
            what = f"{share:.0%} of the samples of an evaluation were trained on"
            yield Suspicion("train-val-leak", sign, what, "evaluation data", {"share": share}, proven=certain)
    if evidence.target_correlation is not None:
        correlation, column = evidence.target_correlation
        columns = next((one.shape[-1] for one in evidence.every_input() if len(one.shape) == 2), 0)
        if correlation > 0.9999 and columns > 2:
            # To the last digit over hundreds of rows: the target itself, scaled and shifted.
            exact = 1 - correlation < 1e-10
            sign = "a column is the target, exactly" if exact else "a column is the target"
            where, numbers = f"input column {column}", {"column": column}
            what = f"{where} is the target (correlation {correlation:.6f})"
            yield Suspicion("target-in-inputs", sign, what, where, numbers, proven=exact)


def _drawn(evidence: Evidence) -> bool:
    """Whether inputs are numbers that are not drawn twice: tokens become such in an embedding, and are none."""
    return evidence.continuous and all(one.is_float and not one.whole for one in evidence.every_input())


def _by_chance(evidence: Evidence) -> float:
    """The share of an evaluation that may be like a training sample by chance, as often as two of a batch are alike.

    Where no two were seen to be, three in all pairs is the bound (the rule of three).
    """
    if _drawn(evidence):
        return 0.0
    alike, pairs = evidence.alike_in_batch
    if not pairs:
        return 1.0
    if alike:  # what is frequent in training is frequent in evaluation: nothing short of all of it tells
        return 0.93
    return 1 - math.exp(-3 / pairs * evidence.distinct[0])


def _rarely_alike(evidence: Evidence) -> bool:
    """Whether two samples are hardly ever the same by chance."""
    return any(
        (one.is_float and not one.whole)
        or math.prod(one.shape[1:]) * math.log(max(one.high - one.low + 1, 1)) > 20
        for one in evidence.every_input()
    )
