"""Whether the model learns, and if not, what in weights, rates and gradients keeps it from learning."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from argus_doctor.evidence import Evidence, Objective, Parameter
from argus_doctor.suspicion import Suspicion, median
from argus_doctor.wording import listed

_LAYERS = ("Linear", "Conv", "RNN", "LSTM", "GRU", "Attention")
_ASKS = re.compile(r"(?:^|[._])(?:q|k|query|key)(?:_proj|_lin)?\.weight$")
_NEVER = 12
"""Looks at which a layer has not moved, after which it is no chance."""
_STAYS = 5
"""Looks after which what has been exactly so at each of them is no state that is passed through."""
_TOO_SMALL = 5e-5
"""Of its size, by a step: what a layer changes by when the rate is too low for anything to be learned."""
_RISK = 0.97
"""Of the loss of a constant answer: what is above has learned nothing."""
_TIME_TO_LEARN = 150
"""Steps before which it says little that nothing was learned: a fresh transformer has a plateau of a hundred."""
_ABOVE = 1.03
"""Of the same: what falls from above that is still on its way to it."""


def _matrices(evidence: Evidence) -> list[Parameter]:
    return [p for p in evidence.training() if len(p.shape) > 1 and "Embedding" not in p.kind]


def _layers(evidence: Evidence) -> list[Parameter]:
    """Those that multiply what a layer is given."""
    return [p for p in _matrices(evidence) if any(one in p.kind for one in _LAYERS)]


def progress(evidence: Evidence) -> float | None:
    """The present loss over that of a constant answer; ``None`` where the objective is not known."""
    late = [one for one in _first_output(evidence) if one.loss is not None and one.chance][-8:]
    ratios = [one.loss / one.chance for one in late if one.loss is not None and one.chance]
    return median(ratios) if len(ratios) >= 4 else None


def _first_output(evidence: Evidence) -> list[Objective]:
    """The looks at it that tell of progress: not where its loss is climbed, or something else is asked of it, too."""
    looks = next(iter(evidence.by_output().values()), [])
    return [one for one in looks if not one.contested and one.cosines[one.best or ""] > 0]


def _stands_still(evidence: Evidence) -> bool:
    """Whether the loss has not come down since the start, beyond its noise."""
    losses = [one for one in evidence.losses() if math.isfinite(one)]
    if len(losses) < 40:
        return False
    part = max(10, len(losses) // 8)
    first, last = losses[:part], losses[-part:]
    noise = median(abs(one - median(last)) for one in last) * 1.4826 / math.sqrt(part)
    return median(first) - median(last) < max(0.02 * abs(median(first)), 2 * noise)


def initialisation(evidence: Evidence) -> Iterator[Suspicion]:
    """Weights that make all units the same, or that are far too large."""
    layers = _layers(evidence)
    alike = [
        p
        for p in layers
        if p.start in ("constant", "identical-rows") and p.identical_rows >= 5 and p.shape[0] > 1
    ]
    if alike:
        what = f"all units of {listed([p.name for p in alike])} began the same and stay the same: "
        what += "they can only learn one thing"
        where = listed([p.module for p in alike])
        yield Suspicion("bad-initialisation", "units all the same", what, where, proven=True)
    zeros = [p for p in layers if p.start == "zero"]
    if (
        len(zeros) >= 2
        and len(zeros) >= 0.5 * sum(len(p.shape) > 1 for p in evidence.parameters.values())
        and all(p.zero_gradient > 0.9 * p.looks for p in zeros[:-1])
    ):
        what = f"{listed([p.name for p in zeros])} began at zero and stay there"
        where = listed([p.module for p in zeros])
        yield Suspicion("bad-initialisation", "weights zero and stay so", what, where, proven=True)
    large = [p for p in layers if p.start == "other" and _gain(p) > 6]
    first = next((one for one in evidence.objectives if one.loss is not None and one.chance), None)
    if large and first is not None and first.step <= 3 and (first.loss or 0) > 4 * (first.chance or 1):
        what = f"the first loss is {first.loss:.3g}, of a constant answer it would be {first.chance:.3g}; "
        what += f"{listed([p.name for p in large])} multiply their input by {max(map(_gain, large)):.0f}, "
        what += "a usual initialisation by about 1"
        where = listed([p.module for p in large])
        yield Suspicion("bad-initialisation", "weights too large at first", what, where)


def _gain(layer: Parameter) -> float:
    """What it multiplies inputs of deviation 1 by, at the start."""
    return layer.first_weight * math.sqrt(math.prod(layer.shape[1:]))


def rates(evidence: Evidence) -> Iterator[Suspicion]:
    """A learning rate out of range, by what a step does to the weights and the loss."""
    layers = [p for p in _matrices(evidence) if p.start != "zero" and p.updates >= 3]
    losses = evidence.losses()
    if not layers:
        yield from _never_moved(evidence)
    if not layers or len(losses) < 8:
        return
    biggest = max((rate for one in evidence.steps for rate in one.rates), default=0.0)
    early = median(p.early_ratio for p in layers)
    typical = median(p.ratio for p in layers)
    peak = median(p.peak_ratio for p in layers)
    finite = [one for one in losses if math.isfinite(one)]
    first = median(finite[:3])
    last = median(finite[-10:])
    far = progress(evidence)
    shrunk = _shrunk(layers, 0.05)
    if len(shrunk) > 0.5 * len(layers):
        certain = _answers_alike(evidence)
        sign = "weights shrunk, all answers the same" if certain else "weights shrink to nothing"
        what = f"the weights shrink to nothing ({listed([p.name for p in shrunk])}): "
        what += "weight decay is stronger than what is learned"
        yield Suspicion("mode-collapse", sign, what, "weight decay", proven=certain, remedy=_LESS_DECAY)
        return
    if evidence.decay >= _DECAY and len(_shrunk(layers, 0.7)) > 0.5 * len(layers):
        sign, numbers = "decay takes the weights within a hundred steps", {"decay": evidence.decay}
        what = f"weight decay takes up to {evidence.decay:.1%} of every weight at a step: after "
        what += f"{_steps(evidence.decay)} such steps half of what was learned is gone, and the weights have shrunk"
        yield Suspicion("mode-collapse", sign, what, "weight decay", numbers, remedy=_LESS_DECAY)
    found = evidence.not_finite
    if found is not None and found.what in ("loss", "backward") and (found.largest or math.inf) < 1e4:
        return  # outputs of a usual size: it is the loss that cannot take them
    before = finite[-3:] if len(finite) < len(losses) else []
    broken = last > 3 * abs(first) + 0.5
    broken |= bool(before) and (max(before) > 2 * abs(first) + 0.5 or peak > 1)
    learned = far is not None and far < 0.6
    jump = max(finite[1:40], default=0.0)
    jumps = early > 0.08 and jump > (4.0 * abs(finite[0]) if learned else 1.4 * abs(first)) + 0.1
    worse = far is not None and far > 0.98
    noise = _noise(finite)
    first_looks = median(p.first_ratio for p in layers)
    numbers = {"update_ratio": typical, "first_update_ratio": first_looks, "learning_rate": biggest}
    if (
        jumps
        or (broken and peak > 0.03)
        or (worse and max(early, typical) > 0.05)
        or (typical > 0.1 and noise > 0.5 and worse)
    ):
        sign, does = "large updates, nothing learned", "does not fall below that of a constant answer"
        if broken:
            sign, does = "diverges with large updates", "diverges"
        elif jumps:
            sign, does = "jumps with large updates", "jumps up"
        sign = "not finite after large updates" if len(finite) < len(losses) else sign
        what = f"a step changes the weights by {max(early, typical):.2g} of their size (usual is 0.001), "
        what += f"and the loss {does}"
        yield Suspicion("learning-rate-too-high", sign, what, "learning rate", numbers)
        return
    fresh = sum(p.start == "default" for p in layers) >= 0.5 * len(layers)  # what is fine-tuned moves little
    slow = fresh and len(losses) >= 60 and typical < _TOO_SMALL and not _warms_up(evidence) and not learned
    if slow and _barely_moves(finite):
        # All steps together cannot have taken the weights further than this from where chance put them.
        furthest = typical * evidence.step
        sign = "updates next to nothing" if typical < 1e-5 else "updates small"
        what = f"a step changes the weights by {typical:.1g} of their size (usual is 0.001): after {len(losses)} "
        what += f"steps the loss went from {first:.4g} to {last:.4g}"
        if furthest < 0.01:
            what += f", and the weights are within {furthest:.2%} of where chance put them"
        yield Suspicion("learning-rate-too-low", sign, what, "learning rate", numbers)


def _never_moved(evidence: Evidence) -> Iterator[Suspicion]:
    """Layers that no step has changed, whatever biases do that began at zero: there every update counts."""
    layers = [p for p in _matrices(evidence) if p.looks >= _NEVER]
    losses = [one for one in evidence.losses() if math.isfinite(one)]
    still = bool(layers) and all(p.updates < 3 and p.unmoved >= _NEVER for p in layers)
    fresh = all(p.start == "default" and p.dtype == "float32" for p in layers)
    at_work = all(rate > 0 for one in evidence.steps for rate in one.rates) and not _warms_up(evidence)
    if still and fresh and at_work and len(losses) >= 60 and _barely_moves(losses):
        what = f"at {min(p.unmoved for p in layers)} of {layers[0].looks} looks no weight of "
        what += f"{listed([p.module for p in layers])} changed by a bit, though gradients were there: updates are "
        what += "smaller than the last digit of the weights, by a rate or clipped gradients that are far too small; "
        what += f"the loss went from {losses[0]:.4g} to {losses[-1]:.4g}"
        yield Suspicion("learning-rate-too-low", "updates next to nothing", what, "learning rate")


def _warms_up(evidence: Evidence) -> bool:
    rising = [max(one.rates) for one in evidence.steps if one.rates]
    return len(rising) > 10 and rising[-1] > 1.5 * rising[len(rising) // 2]


def _update_ratio(evidence: Evidence) -> float | None:
    """What a step changes the typical layer by, of its size; ``None`` where that was not measured."""
    layers = [p for p in _matrices(evidence) if p.start != "zero" and p.updates + p.unmoved >= 3]
    return median(p.ratio for p in layers) if layers else None


_DECAY = 0.01
"""Share of a weight at a step: what was learned a hundred steps ago is hardly there any more."""

_LESS_DECAY = "lower weight_decay: 0.01 to 0.1 is usual for AdamW, 0.0001 for SGD"


def _steps(decay: float) -> int:
    """Half of a weight's life under decay alone."""
    return max(1, round(math.log(0.5) / math.log1p(-min(decay, 0.999))))


def _shrunk(layers: list[Parameter], below: float) -> list[Parameter]:
    """Those that are below a share of their first size."""
    return [p for p in layers if 0 < p.weight < below * p.first_weight]


def _answers_alike(evidence: Evidence) -> bool:
    """Whether unlike samples are answered the same to the bit, and have been for the last looks."""
    late = _first_output(evidence)[-_STAYS:]
    given = list(evidence.inputs)[-_STAYS:]
    unlike = bool(given) and not any(one.rows_alike for look in given for one in look)
    return len(late) == _STAYS and all(one.all_alike for one in late) and unlike


def _never_reached(evidence: Evidence, first: str, last: str) -> bool:
    """Whether no step has changed the first layer by a bit, by the rate that moves the last one."""
    start, end = evidence.parameters[first], evidence.parameters[last]
    one_rate = all(len(set(one.rates)) == 1 for one in evidence.steps)
    return (
        one_rate and start.updates == 0 < end.updates and start.unmoved >= _NEVER and start.start == "default"
    )


def _noise(losses: list[float]) -> float:
    """Deviation of the loss from one step to the next, over its size."""
    if len(losses) < 10:
        return 0.0
    jumps = [abs(b - a) for a, b in zip(losses[-60:], losses[-59:], strict=False)]
    return median(jumps) / max(abs(median(losses[-60:])), 1e-12)


def _still_falls(evidence: Evidence) -> bool:
    """Whether the loss of the last quarter is below that of the one before, beyond its noise."""
    losses = [one for one in evidence.losses() if math.isfinite(one)]
    part = max(len(losses) // 4, 1)
    before, last = losses[-2 * part : -part], losses[-part:]
    noise = median(abs(one - median(last)) for one in last) * 1.4826 / math.sqrt(part)
    return median(before) - median(last) > 2 * noise


def _barely_moves(losses: list[float]) -> bool:
    part = max(8, len(losses) // 8)
    first, last = median(losses[:part]), median(losses[-part:])
    return abs(first - last) < 0.12 * max(abs(first), 1e-12)


def _ordered(evidence: Evidence) -> list[tuple[str, float]]:
    """Relative gradient of each layer, in the order of the layers."""
    found = []
    for p in _layers(evidence):
        size = p.first_weight * math.sqrt(p.numel)
        if size > 0 and p.early_gradient > 0:
            found.append((p.name, p.early_gradient / size))
    return found


def depth(evidence: Evidence) -> Iterator[Suspicion]:
    """Gradients that vanish or explode on their way through the layers."""
    layers = _ordered(evidence)
    if len(layers) >= 4 and evidence.step >= 20:
        # Queries and keys of a fresh attention get nearly nothing, where all else does.
        first, early = next((one for one in layers if not _ASKS.search(one[0])), layers[0])
        last, late = layers[-1]
        far = progress(evidence)
        stays = far > 0.9 if far is not None else _stands_still(evidence)
        if early / late < 1e-4 and stays:
            certain = _never_reached(evidence, first, last)
            sign = "the first layer never moved by a bit" if certain else "gradient lost in depth"
            what = (
                f"relative to its weights, the gradient at {first} is {early / late:.1g} of that at {last}, "
            )
            what += "and the loss does not fall"
            yield Suspicion("vanishing-gradient", sign, what, first, proven=certain)
    norms = [value for _, value in evidence.series("gradient_norm")]
    finite = [one for one in norms if math.isfinite(one)]
    losses = evidence.losses()
    if len(finite) < 8:
        return
    start = [p for p in _matrices(evidence) if p.first_gradient is not None]
    # Where the loss itself is of the usual size, a gradient a thousand times the weights comes from the depth.
    relative = median(
        (p.first_gradient or 0.0) / max(p.first_weight * math.sqrt(p.numel), 1e-12) for p in start
    )
    grown = median(finite[-5:]) / max(median(finite[:5]), 1e-12)
    bad_end = len(finite) < len(norms) or (losses and not math.isfinite(losses[-1]))
    far = progress(evidence)
    unlearned = _stands_still(evidence) or (far is not None and far > 0.9)
    if (relative > 100 and (bad_end or unlearned)) or (grown > 1e4 and bad_end):
        what = f"the gradient's norm is {finite[0]:.3g} at the first step, {relative:.3g} times that of the weights "
        what += f"in the typical layer, and {max(finite):.3g} at most"
        where = start[0].name if start else ""
        yield Suspicion("exploding-gradient", "gradient grows out of bounds", what, where)


def dead(evidence: Evidence) -> Iterator[Suspicion]:
    """Units whose gradient is always zero."""
    found = [
        p
        for p in _layers(evidence)
        if p.dead_looks >= 6
        # What is never called has no units to speak of: an expert that nobody asks.
        if p.module not in evidence.uncalled and p.without_gradient < 0.5 * p.looks
        if p.dead >= 0.85 and p.dead_least >= 0.7 and p.start != "zero"
    ]
    # Nothing reaches any weight: that is no matter of units. And where the bias learns, it is the inputs that are zero.
    cut = all(p.zero_gradient == p.looks for p in evidence.training())
    biases = {p.module: p for p in evidence.parameters.values() if p.name.endswith("bias")}

    def bias_learns(p: Parameter) -> bool:
        return p.module in biases and biases[p.module].zero_gradient < 0.5 * max(p.looks, 1)

    places = {p.name: place for place, p in enumerate(evidence.parameters.values())}

    def starved(dead: Parameter) -> bool:
        """Whether a layer behind has a gradient at its bias and none at its weights: it is given nothing but zeros."""
        return any(
            places[p.name] > places[dead.name] and p.looks >= 12 and p.zero_gradient == p.looks
            for p in _matrices(evidence)
            if p.module in biases and biases[p.module].zero_gradient == 0 == biases[p.module].without_gradient
        )

    hidden = [
        p
        for p in found
        if not (p.dead_least == 1 and bias_learns(p))
        # Where nothing ever reaches a layer, nothing may be asked of what is behind it: a loss whose factor is 0.
        and (p.zero_gradient < p.looks or starved(p))
    ]
    if hidden and not cut:
        worst = max(hidden, key=lambda p: p.dead)
        since = "from the start" if worst.dead_first >= 0.85 else "after some steps"
        certain = (
            worst.dead == worst.dead_first == 1 and worst.zero_gradient == worst.looks and starved(worst)
        )
        sign = "all units dead, zeros behind them" if certain else "units without gradient"
        what = f"{worst.dead:.0%} of the units of {worst.module or worst.name} get no gradient from any sample, {since}"
        where, numbers = listed([p.module or p.name for p in hidden]), {"early": worst.dead_first}
        yield Suspicion("dead-units", sign, what, where, numbers, proven=certain)


def outcome(evidence: Evidence) -> Iterator[Suspicion]:
    """Nothing is learned: the answers are constant, the labels tell nothing, or part of them does not."""
    if evidence.step < _TIME_TO_LEARN:
        return
    late = [one for one in _first_output(evidence) if one.loss is not None][-8:]
    far = progress(evidence)
    # No loss that is compared with targets is below zero: whatever fits the outputs is not what is minimised.
    if far is None or len(late) < 4 or min(evidence.losses(), default=0.0) < -1e-6:
        return
    spreads = [
        one.output_spread / one.target_spread
        for one in late
        if one.output_spread is not None and one.target_spread
    ]
    flat = bool(spreads) and median(spreads) < 0.02
    silent = not spreads and median(one.output_spread or 0.0 for one in late) < 1e-3
    alike = _answers_alike(evidence)
    if alike:
        what = "the outputs are the same to the bit for every sample of a batch, whose inputs differ"
        yield Suspicion("mode-collapse", "all answers the same to the bit", what, "outputs", proven=True)
    elif far > 0.9 and (flat or silent):
        what = "the outputs hardly differ between samples"
        what += f": {median(spreads):.2g} of the spread of the targets" if spreads else ""
        yield Suspicion("mode-collapse", "outputs hardly differ", what, "outputs")
    unlearned = far > _RISK
    # Weights that hardly move learn nothing of the best of targets.
    moves = _update_ratio(evidence)
    unlearned &= moves is None or moves >= _TOO_SMALL
    # Outputs that are too large at first are worse than a constant answer, and learn.
    unlearned &= far < _ABOVE or not _still_falls(evidence)
    if unlearned and not flat and not silent:
        though = f", though a step changes the weights by {moves:.1g} of their size" if moves else ""
        what = f"after {evidence.step} steps the loss is {far:.0%} of that of a constant answer{though}: "
        what += "the targets tell nothing of the inputs"
        yield Suspicion("labels-unrelated", "nothing learned", what, "targets")
    elif unlearned:
        what = f"the loss is {far:.0%} of that of a constant answer"
        yield Suspicion("labels-unrelated", "nothing learned, outputs flat", what, "targets")


def dimensions(evidence: Evidence) -> Iterator[Suspicion]:
    """Part of the targets that is not explained at all, beside another that is."""
    if evidence.step < 120:
        return
    for known in evidence.by_output().values():
        explained = [one.explained for one in known[-8:] if len(one.explained) >= 2]
        if len(explained) < 4:
            continue
        columns = [median(of_column) for of_column in zip(*explained, strict=False)]
        best, worst = max(columns), min(columns)
        if best > 0.5 and worst < 0.12:
            where = f"target dimension {columns.index(worst)}"
            what = f"of {where} nothing is explained ({worst:.0%}), of the best one {best:.0%}: "
            what += "what changes the inputs does not change it with them"
            yield Suspicion("augmentation-inconsistent", "one dimension not explained", what, where)
