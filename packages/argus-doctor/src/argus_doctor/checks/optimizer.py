"""What the optimizer holds, what reaches it, and whether that is what was meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from argus_doctor.evidence import Evidence, Parameter
from argus_doctor.suspicion import Suspicion, median, names

_ENOUGH = 8
"""Steps after which what has never happened is taken for what does not happen."""
_SHARE = 0.1
"""Of all trainable numbers: less may be an auxiliary part that rests on purpose."""


def old_gradients(evidence: Evidence) -> Iterator[Suspicion]:
    """``zero_grad`` is missing: every step trains with the sum of all gradients so far."""
    stale, looked = evidence.stale_gradients
    if looked >= 5 and stale >= 0.9 * looked:
        yield Suspicion(
            "missing-zero-grad",
            0.98,
            f"at {stale} of {looked} steps the gradient of the step before was still there and the new one was "
            "added to it",
            "optimizer.zero_grad",
            {"steps": looked, "stale": stale},
        )


def coverage(evidence: Evidence) -> Iterator[Suspicion]:
    """Parameters that nobody updates, and parameters that an optimizer updates in vain."""
    known = evidence.parameters.values()
    if evidence.step >= 2 and known and not any(one.requires_grad for one in known):
        yield Suspicion(
            "no-gradient", 0.97, "nothing can train: no parameter of the model requires a gradient", "model"
        )
        return
    if not any(one.in_optimizer for one in evidence.parameters.values()) and not evidence.foreign[0]:
        return
    held, reached = evidence.foreign
    missing = [
        p
        for p in evidence.parameters.values()
        if p.requires_grad and not p.in_optimizer and not p.declared_frozen and not p.moved_by_others
    ]
    if held and not reached and missing and evidence.step >= 2:
        yield Suspicion(
            "stale-optimizer",
            0.97,
            f"the optimizer holds {held} parameters that the model no longer has, and lacks {names(_modules(missing))}",
            names(_modules(missing)),
            {"held": held},
        )
        return
    if not missing or evidence.step < _ENOUGH:
        return
    total = sum(p.numel for p in evidence.parameters.values() if p.requires_grad)
    share = sum(p.numel for p in missing) / max(total, 1)
    # Weights as PyTorch draws them are not worth keeping as they are; trained ones may be.
    untrained = any(p.start in ("default", "identical-rows", "constant") for p in missing if len(p.shape) > 1)
    yield Suspicion(
        "not-in-optimizer",
        0.95 if untrained and share > 0.001 else 0.3,
        f"{len(missing)} parameters ({share:.0%} of those that are to train) are in no optimizer: "
        f"{names(_modules(missing))}",
        names(_modules(missing)),
        {"share": share},
    )


def reach(evidence: Evidence) -> Iterator[Suspicion]:
    """Parameters that train by name and get no gradient."""
    training = [p for p in evidence.parameters.values() if p.requires_grad and p.in_optimizer]
    total = sum(p.numel for p in training) or 1
    none = [p for p in training if p.steps >= _ENOUGH and p.without_gradient == p.steps]
    if none:
        share = sum(p.numel for p in none) / total
        uncalled = [p for p in none if p.module in evidence.uncalled]
        why = (
            "is never called"
            if len(uncalled) == len(none)
            else "gets no gradient: something cuts the graph behind it"
        )
        yield Suspicion(
            "no-gradient",
            0.92 if share >= _SHARE else 0.3,
            f"{names(_modules(none))} ({share:.0%} of what is to train) {why}, at {none[0].steps} steps",
            names(_modules(none)),
            {"share": share},
        )
    zero = [
        p
        for p in training
        if p.steps >= 20 and p.zero_gradient >= 0.95 * p.steps and len(p.shape) > 1 and p.start == "zero"
    ]
    matrices = [p for p in evidence.parameters.values() if len(p.shape) > 1]
    if zero and len(zero) < 0.5 * len(matrices):
        yield Suspicion(
            "zero-gradient",
            0.93,
            f"the gradient of {names([p.name for p in zero])} is zero at every step: factors that are both zero "
            "hold each other there",
            names(_modules(zero)),
        )


def intent(evidence: Evidence) -> Iterator[Suspicion]:
    """Frozen and not meant to be, or meant to be and not frozen."""
    if evidence.frozen_statistics:
        moved = sorted(evidence.frozen_statistics)
        yield Suspicion(
            "missing-freeze",
            0.97,
            f"declared frozen, but changed since the start: {names(moved)}",
            names(_modules_of(moved)),
            {"declared": list(evidence.declared_frozen)},
        )
    frozen = [
        p
        for p in evidence.parameters.values()
        if not p.requires_grad
        and p.in_optimizer
        and not p.declared_frozen
        and len(p.shape) > 1
        and p.start == "default"
    ]
    if frozen and evidence.step >= _ENOUGH:
        yield Suspicion(
            "accidental-freeze",
            0.9,
            f"{names(_modules(frozen))}: handed to the optimizer and frozen, with the random weights that they "
            "were made with",
            names(_modules(frozen)),
        )


def precision(evidence: Evidence) -> Iterator[Suspicion]:
    """Updates smaller than what the weights' type can hold."""
    half = [
        p
        for p in evidence.parameters.values()
        if p.dtype in ("bfloat16", "float16") and len(p.stuck) >= 5 and len(p.shape) > 1
    ]
    lost = [p for p in half if median(p.stuck) >= 0.45]
    if lost and len(lost) >= 0.5 * len(half):
        share = median(median(p.stuck) for p in lost)
        yield Suspicion(
            "update-lost",
            0.92,
            f"{share:.0%} of the weights do not change at a step: their updates are smaller than {lost[0].dtype} "
            "can add to them",
            names(_modules(lost)),
            {"share": share},
        )


def schedule(evidence: Evidence) -> Iterator[Suspicion]:
    """A learning rate that came to its end long before training did."""
    rates = [(one.number, max(one.rates)) for one in evidence.steps if one.rates]
    if len(rates) < 40:
        return
    peak = max(rate for _, rate in rates)
    if peak <= 0:
        yield Suspicion("learning-rate-too-low", 0.9, "the learning rate is 0 at every step", "lr")
        return
    top = max(place for place, (_, rate) in enumerate(rates) if rate == peak)
    gone = [number for number, rate in rates[top:] if rate < 1e-3 * peak]
    if len(gone) >= max(30, 0.35 * len(rates)) and rates[-1][1] < 1e-3 * peak:
        yield Suspicion(
            "learning-rate-vanished",
            0.92,
            f"the learning rate fell from {peak:.3g} below a thousandth of it by step {gone[0]} and stays there: "
            f"{len(gone)} of {len(rates)} steps are made with it",
            f"step {gone[0]}",
        )


def ranks(evidence: Evidence) -> Iterator[Suspicion]:
    """Processes that should hold the same weights."""
    if evidence.ranks_differ is not None:
        step, who = evidence.ranks_differ
        yield Suspicion("ranks-disagree", 0.97, f"{who}: their weights differ", f"step {step}")


def _modules(parameters: Sequence[Parameter]) -> list[str]:
    return _modules_of([p.name for p in parameters])


def _modules_of(parameters: Sequence[str]) -> list[str]:
    """The modules, the larger where all of its parts are concerned."""
    found: dict[str, None] = defaultdict()
    for name in parameters:
        found.setdefault(name.rpartition(".")[0] or name)
    return list(found)
