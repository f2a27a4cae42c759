"""What the optimizer holds, what reaches it, and whether that is what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from argus_doctor.evidence import Evidence, Parameter
from argus_doctor.suspicion import Suspicion, median
from argus_doctor.wording import listed

_ENOUGH = 8
"""Looks after which what has never happened is taken for what does not happen."""
_SHARE = 0.1
"""Of all trainable numbers: less may be an auxiliary part that rests on purpose."""
_NEVER = 20
"""Looks at which no weight has moved by a bit: all of the first hundred steps' looks."""
_RANDOM = ("default", "identical-rows", "constant")


def old_gradients(evidence: Evidence) -> Iterator[Suspicion]:
    """``zero_grad`` is missing: every step trains with the sum of all gradients so far."""
    stale, looked = evidence.stale_gradients
    if looked >= 5 and stale >= 0.9 * looked:
        what = f"at {stale} of {looked} steps that were looked at, the gradient of the step before was still there "
        what += "and the new one was added to it"
        sign, numbers = "gradient added to an old one", {"steps": looked, "stale": stale}
        yield Suspicion("missing-zero-grad", sign, what, "optimizer.zero_grad", numbers, proven=True)


def coverage(evidence: Evidence) -> Iterator[Suspicion]:
    """Parameters that nobody updates, and parameters that an optimizer updates in vain."""
    known = evidence.parameters.values()
    if evidence.step >= 2 and known and not any(one.requires_grad for one in known):
        what = "nothing can train: no parameter of the model requires a gradient"
        yield Suspicion("no-gradient", "nothing requires a gradient", what, "model", proven=True)
        return
    if evidence.skipped == evidence.step >= 20:
        if evidence.moved_unstepped:  # by an optimizer that was made later, or by hand: they do train
            return
        what = f"in {evidence.step} steps the optimizer that Watch was given has never stepped, and no weight has "
        what += "changed: step() is not called, a scaler leaves all steps out, or another optimizer was made since"
        remedy = "call step() after backward(), on the optimizer that holds the model's parameters, and give Watch "
        remedy += "that one; where a scaler leaves all out, look for gradients that are not finite"
        sign = "the optimizer never steps"
        yield Suspicion("no-gradient", sign, what, "optimizer", proven=True, remedy=remedy)
        return
    if not any(one.in_optimizer for one in known) and not evidence.foreign[0]:
        return
    held, reached = evidence.foreign
    missing = [
        p
        for p in known
        if p.requires_grad and not p.in_optimizer and not p.declared_frozen and not p.moved_by_others
    ]
    where = _modules(missing)
    if held and not reached and missing and evidence.step >= 2:
        what = f"the optimizer holds {held} parameters that the model no longer has, and lacks {where}"
        sign = "optimizer holds what the model lost"
        yield Suspicion("stale-optimizer", sign, what, where, {"held": held}, proven=True)
        return
    if not missing or evidence.step < _ENOUGH:
        return
    total = sum(p.numel for p in known if p.requires_grad)
    share = sum(p.numel for p in missing) / max(total, 1)
    # Weights as PyTorch draws them are not worth keeping as they are, and a gradient is computed for them in vain.
    drawn = [p for p in missing if p.start in _RANDOM and len(p.shape) > 1 and p.got_gradient]
    certain = bool(drawn) and share > 0.001
    sign = "random weights in no optimizer" if certain else "weights in no optimizer"
    what = f"{len(missing)} parameters ({share:.0%} of those that are to train) are in no optimizer"
    what += f"{', though they get gradients' if certain else ''}: {where}"
    yield Suspicion("not-in-optimizer", sign, what, where, {"share": share}, proven=certain)


def reach(evidence: Evidence) -> Iterator[Suspicion]:
    """Parameters that train by name and get no gradient."""
    training = evidence.training()
    total = sum(p.numel for p in training) or 1
    none = [p for p in training if p.looks >= _ENOUGH and p.without_gradient == p.looks]
    # What is never called may rest on purpose: an expert that nobody asks, a head of another task.
    called = [p for p in none if p.module not in evidence.uncalled]
    none = [p for p in none if p in called or not _is_one_of_several(p, evidence)]
    # A target network is given what its learner is given, and only the loss compares them.
    aside = [p for p in called if p.module in evidence.ungraded]
    given = set().union(*(evidence.ungraded[p.module] for p in aside))
    if evidence.begins_within or not given <= evidence.graded_inputs:
        aside = []
    if aside:
        share, where = sum(p.numel for p in aside) / total, _modules(aside)
        what = f"{where} ({share:.0%} of what is to train, {aside[0].looks} looks) is only called without gradients, "
        what += "beside what trains: a target that is meant to rest, or a no_grad() too many"
        yield Suspicion("no-gradient", "only called beside what trains", what, where, {"share": share})
        called = [p for p in called if p not in aside]
    for cut, parts in ((True, called), (False, [p for p in none if p not in called and p not in aside])):
        share = sum(p.numel for p in parts) / total
        if not parts:
            continue
        if not cut and (tables := _unused_tables(parts, evidence)):
            where = _modules(tables)
            what = f"{where}, as wide as the embedding of the tokens and handed to the optimizer, is never called, at "
            what += f"{parts[0].looks} looks: positions or kinds of tokens are missing"
            yield Suspicion("no-gradient", "a table beside the tokens' never called", what, where)
            continue
        # What was trained before may be called without gradients on purpose, and be handed over with the rest.
        fresh = any(p.start in _RANDOM and len(p.shape) > 1 for p in parts)
        certain = cut and fresh and share >= _SHARE
        why, sign, remedy = "is never called", "never called", ""
        if cut:
            why, remedy = _why_no_gradient(evidence, nothing_trains=len(parts) == len(training))
            sign = "called without gradient" if certain else "trained weights called without gradient"
        sign = sign if share >= _SHARE else "small part without gradient"
        where, numbers = _modules(parts), {"share": share}
        what = f"{where} ({share:.0%} of what is to train, {parts[0].looks} looks) {why}"
        yield Suspicion("no-gradient", sign, what, where, numbers, proven=certain, remedy=remedy)
    long = [p for p in training if p.looks >= 12]
    zero = [p for p in long if p.zero_gradient >= 0.95 * p.looks and len(p.shape) > 1 and p.start == "zero"]
    matrices = [p for p in evidence.parameters.values() if len(p.shape) > 1]
    if zero and len(zero) < 0.5 * len(matrices):
        what = f"the gradient of {listed([p.name for p in zero])} is zero at every step: "
        what += "factors that are both zero hold each other there"
        yield Suspicion("zero-gradient", "zero weights with zero gradient", what, _modules(zero), proven=True)
    alive = [p for p in long if p.zero_gradient < 0.5 * p.looks]
    silent = [p for p in long if p.zero_gradient == p.looks - p.without_gradient > 0 and p.start != "zero"]
    share = sum(p.numel for p in silent) / total
    if alive and not zero and share >= _SHARE:
        where = _modules(silent)
        what = f"the gradient of {where} ({share:.0%} of what is to train) is zero at every look: "
        what += "what it computes is multiplied by nothing, or is cut off"
        yield Suspicion("no-gradient", "gradient always zero", what, where, {"share": share})


def _why_no_gradient(evidence: Evidence, *, nothing_trains: bool) -> tuple[str, str]:
    """How far gradients come, and what to do; of a part alone it is known that the graph is cut behind it."""
    if nothing_trains and evidence.stale_gradients[1] >= _ENOUGH:
        return (
            "gets a gradient at backward(), and none is there when the optimizer steps",
            "call zero_grad() before backward() or after step(), and not between them",
        )
    if nothing_trains and not evidence.graded_steps and evidence.evaluations.count:
        return (
            "is called only without gradients (evaluation, no_grad): is another copy trained?",
            "give Watch and the optimizer the model that the loop trains, and train it outside of no_grad()",
        )
    if nothing_trains and evidence.graded_steps and not evidence.backward_steps:
        return (
            "is called, and no backward() has come back to what the model returned",
            "call backward() on a loss that is made of what the model returns, before step()",
        )
    return "is called, and no gradient comes back: something cuts the graph behind it", ""


def _unused_tables(parts: Sequence[Parameter], evidence: Evidence) -> list[Parameter]:
    """Embeddings that nobody calls, of the width of one that trains beside them."""
    widths = {
        p.shape[-1]
        for p in evidence.parameters.values()
        if p.kind == "Embedding" and p.module not in evidence.uncalled and p.updates
    }
    return [p for p in parts if p.kind == "Embedding" and p.shape[-1] in widths]


def intent(evidence: Evidence) -> Iterator[Suspicion]:
    """Frozen and not meant to be, or meant to be and not frozen."""
    if evidence.frozen_statistics:
        moved = sorted(evidence.frozen_statistics)
        what = f"declared frozen, but changed since the start: {listed(moved)}"
        where, numbers = _modules_of(moved), {"declared": list(evidence.declared_frozen)}
        yield Suspicion("missing-freeze", "declared frozen and changed", what, where, numbers, proven=True)
    elif evidence.misspelt:
        attribute = next(iter(evidence.misspelt.values()))
        concerned = sorted(evidence.misspelt)
        sign, where = "frozen by an attribute that nobody reads", _modules_of(concerned)
        what = f"{attribute} was set to False on {listed(concerned)}, which PyTorch does not read there: "
        what += "what was to be frozen trains"
        yield Suspicion("missing-freeze", sign, what, where, {"attribute": attribute}, proven=True)
    frozen = [
        p
        for p in evidence.parameters.values()
        if not p.requires_grad
        and p.in_optimizer
        and not p.declared_frozen
        and not p.moved_by_others  # by a moving average, say
        and len(p.shape) > 1
        and p.start == "default"
    ]
    # What is returned beside that which learns, and cannot learn, is learned from: a random network that is distilled.
    if frozen and evidence.step >= _ENOUGH and not evidence.makes_targets:
        where = _modules(frozen)
        what = (
            f"{where}: handed to the optimizer and frozen, with the random weights that they were made with"
        )
        yield Suspicion("accidental-freeze", "random weights frozen in an optimizer", what, where)


def _is_one_of_several(parameter: Parameter, evidence: Evidence) -> bool:
    """Whether it belongs to a numbered part of a list whose other parts are called: an expert that nobody asks."""
    parts = parameter.module.split(".")
    called = {p.module for p in evidence.parameters.values()} - evidence.uncalled
    return any(
        ".".join([*parts[:place], str(other), *parts[place + 1 :]]) in called
        for place, part in enumerate(parts)
        if part.isdigit() and place > 0
        for other in range(64)
    )


def precision(evidence: Evidence) -> Iterator[Suspicion]:
    """Updates smaller than what the weights' type can hold."""
    if not any(rate > 0 for one in evidence.steps for rate in one.rates):
        return
    half = [
        p
        for p in evidence.parameters.values()
        if p.dtype in ("bfloat16", "float16") and p.stuck_looks >= 5 and len(p.shape) > 1
    ]
    lost = [p for p in half if p.stuck >= 0.45]
    if lost and len(lost) >= 0.5 * len(half):
        share = median(p.stuck for p in lost)
        # What was trained before may be meant to move little; what PyTorch has just drawn has everything to learn.
        fresh = sum(p.start == "default" for p in lost) > 0.5 * len(lost)
        late = [max(one.rates) for one in evidence.steps if one.rates]
        # A sum that is kept beside the weights (Kahan's) moves each of them now and then: here none has ever moved.
        looks, _, before = evidence.still
        certain = fresh and share == 1 and looks >= _NEVER and not before and late[-1] >= 0.5 * max(late)
        sign = "weights of 16 bits never moved" if certain else "weights of 16 bits stand still"
        what = f"{share:.0%} of the weights do not change at a step{f', of {looks} looks at none' if certain else ''}: "
        what += f"their updates are smaller than {lost[0].dtype} can add to them"
        yield Suspicion("update-lost", sign, what, _modules(lost), {"share": share}, proven=certain)


def schedule(evidence: Evidence) -> Iterator[Suspicion]:
    """A learning rate that came to its end long before training did."""
    rates = [(one.number, max(one.rates)) for one in evidence.steps if one.rates]
    if len(rates) < 40:
        return
    peak = max(rate for _, rate in rates)
    if peak <= 0:
        what = "the learning rate is 0 at every step"
        yield Suspicion("learning-rate-too-low", "rate is zero", what, "lr", proven=True)
        return
    looks, first, moved_before = evidence.still
    drawn = any(p.start == "default" for p in evidence.training())
    # Sixteen bits have a finding of their own; and a rate that is still rising has not begun.
    whole = all(p.dtype == "float32" for p in evidence.parameters.values())
    if looks >= _NEVER and not moved_before and drawn and whole and rates[-1][1] >= 0.5 * peak:
        what = f"at none of {looks} looks has a weight changed by a bit, though gradients were there: the updates at "
        what += f"a learning rate of {peak:.3g} are smaller than the last digit of the weights"
        sign = "no weight ever moved by a bit"
        yield Suspicion("learning-rate-too-low", sign, what, "learning rate", proven=True)
        return
    top = max(place for place, (_, rate) in enumerate(rates) if rate == peak)
    gone = [number for number, rate in rates[top:] if rate < 1e-3 * peak]
    since = evidence.step - gone[0] + 1 if gone else 0
    if since >= max(30, 0.35 * evidence.step) and rates[-1][1] < 1e-3 * peak:
        stands = looks >= 5 and moved_before and evidence.step - first >= 0.2 * evidence.step
        sign = "rate gone, weights stand still" if stands else "rate gone early"
        what = f"the learning rate fell from {peak:.3g} below a thousandth of it by step {gone[0]} and stays there: "
        what += f"{since} of {evidence.step} steps are made with it"
        what += f"; since step {first} no weight has changed by a bit" if stands else ""
        yield Suspicion("learning-rate-vanished", sign, what, f"step {gone[0]}", proven=stands)


def ranks(evidence: Evidence) -> Iterator[Suspicion]:
    """Processes that should hold the same weights."""
    if evidence.rank_scaled is not None:
        step, who, factor = evidence.rank_scaled
        sign, numbers = "one gradient, scaled on one rank", {"factor": factor}
        what = f"{who}: their gradients are the same but for a factor of {factor:.3g}: "
        what += "clipped or scaled on one of them after they were averaged"
        yield Suspicion("ranks-disagree", sign, what, f"step {step}", numbers, proven=True)
    if evidence.ranks_differ is not None:
        step, who, promised = evidence.ranks_differ
        sign = "replicas differ" if promised else "ranks differ that were alike"
        what = f"{who}: their weights differ"
        yield Suspicion("ranks-disagree", sign, what, f"step {step}", proven=promised)


def _modules(parameters: Sequence[Parameter]) -> str:
    return _modules_of([p.name for p in parameters])


def _modules_of(parameters: Sequence[str]) -> str:
    """The modules of these parameters, each once, in words."""
    return listed(list(dict.fromkeys(name.rpartition(".")[0] or name for name in parameters)))
