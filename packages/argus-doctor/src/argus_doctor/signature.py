"""Which loss is at work, read from its gradient at the model's outputs.

A loss is a function of outputs and targets, and its gradient there is its signature: cross-entropy's is
``softmax(outputs) - one_hot``, whatever the reduction and the scale. So each hypothesis (the right losses, and the
known wrong ones: softmax twice, a sign turned, targets that broadcast) is differentiated at the very outputs that were
seen, and compared by its direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_doctor.evidence import Objective

MOST_ROWS = 1024
_ALL_TURNED = 0.97
_TO_THE_DIGIT = 1e-5
"""Of a cosine: less than this is rounding, sixteen bits' too."""
MOST_CLASSES = 4096
MATCH = 0.85
"""Least cosine at which a hypothesis explains a gradient: class weights and smoothing bend it."""
EXACT = 0.9985
"""Least cosine at which a gradient *is* that of a faulty form, and not of a relative of the right one."""

Loss = Callable[[Tensor, Tensor], Tensor]


def _tags(outputs: Tensor, targets: Tensor) -> Tensor:
    if outputs.ndim != 2 or outputs.shape[1] < 2 or bool((targets.sum(1) == 1).all()):
        raise ValueError("one class each")
    return F.cross_entropy(outputs, targets)


def _over_samples(outputs: Tensor, targets: Tensor) -> Tensor:
    if len(outputs) == outputs.shape[1]:  # each with each: the other direction of a contrast
        raise ValueError("a square")
    return F.nll_loss(F.log_softmax(outputs, 0), targets)


def _one_hot(targets: Tensor, classes: int) -> Tensor:
    return F.one_hot(targets, classes).to(torch.float64)


CLASSES: dict[str, Loss] = {
    "cross-entropy": F.cross_entropy,
    "smoothed-cross-entropy": lambda o, t: F.cross_entropy(o, t, label_smoothing=0.1),
    "focal": lambda o, t: (
        (1 - F.softmax(o, -1).gather(1, t[:, None])[:, 0]) ** 2 * F.cross_entropy(o, t, reduction="none")
    ).mean(),
    "softmax-twice": lambda o, t: F.cross_entropy(F.softmax(o, -1), t),
    "sigmoid-before-cross-entropy": lambda o, t: F.cross_entropy(torch.sigmoid(o), t),
    "nll-of-scores": F.nll_loss,
    "nll-of-softmax": lambda o, t: F.nll_loss(F.softmax(o, -1), t),
    "nll-of-probabilities": lambda o, t: F.nll_loss(o.clamp_min(1e-12).log(), t),
    "over-samples": _over_samples,
    "squared-softmax": lambda o, t: F.mse_loss(F.softmax(o, -1), _one_hot(t, o.shape[1])),
    "squared-one-hot": lambda o, t: F.mse_loss(o, _one_hot(t, o.shape[1])),
    "squared-number": lambda o, t: ((o - t[:, None]) ** 2).mean(),
    "absolute-number": lambda o, t: (o - t[:, None]).abs().mean(),
    "one-to-rest": lambda o, t: F.binary_cross_entropy_with_logits(o, _one_hot(t, o.shape[1])),
    "hinge": F.multi_margin_loss,
}
"""Outputs ``[R, C]``, targets ``[R]`` integer."""

BINARY: dict[str, Loss] = {
    "binary-cross-entropy": F.binary_cross_entropy_with_logits,
    "sigmoid-twice": lambda o, t: F.binary_cross_entropy_with_logits(torch.sigmoid(o), t),
    "binary-of-probabilities": lambda o, t: F.binary_cross_entropy(o.clamp(1e-7, 1 - 1e-7), t),
    "cross-entropy-of-tags": _tags,
    "squared-sigmoid": lambda o, t: F.mse_loss(torch.sigmoid(o), t),
}
"""Outputs and targets of one shape, targets 0 or 1."""

VALUES: dict[str, Loss] = {
    "squared": F.mse_loss,
    "absolute": F.l1_loss,
    "huber": F.smooth_l1_loss,
    "distance": lambda o, t: (o - t).reshape(-1, 2 if o.shape[-1] % 2 == 0 else 1).norm(dim=1).mean(),
    "log-cosh": lambda o, t: torch.log(torch.cosh((o - t).clamp(-30, 30))).mean(),
    "squared-softmax-values": lambda o, t: F.mse_loss(F.softmax(o, -1), t),
}
"""Outputs and targets of one shape, any values."""

BROADCAST: dict[str, Loss] = {
    "squared-broadcast": lambda o, t: ((o[:, None] - t[None, :]) ** 2).mean(),
    "absolute-broadcast": lambda o, t: (o[:, None] - t[None, :]).abs().mean(),
    "huber-broadcast": lambda o, t: F.smooth_l1_loss(
        o[:, None].expand(-1, len(t)), t[None, :].expand(len(o), -1)
    ),
}
"""Outputs ``[R]`` that came as ``[R, 1]``, targets ``[R]``."""

FAULTY = {
    "softmax-twice": "double-softmax",
    "sigmoid-before-cross-entropy": "double-softmax",
    "sigmoid-twice": "double-softmax",
    "nll-of-scores": "missing-softmax",
    "nll-of-softmax": "missing-softmax",
    "over-samples": "softmax-wrong-dimension",
    "squared-broadcast": "loss-broadcast",
    "absolute-broadcast": "loss-broadcast",
    "huber-broadcast": "loss-broadcast",
    "squared-one-hot": "wrong-loss",
    "squared-number": "wrong-loss",
    "absolute-number": "wrong-loss",
    "cross-entropy-of-tags": "wrong-loss",
}
"""Hypothesis → what it is called among the findings."""


_NEVER_TURNED = (
    "focal", "squared-softmax", "squared-softmax-values", "smoothed-cross-entropy", "hinge", "one-to-rest",
    "nll-of-probabilities",
)  # fmt: skip
"""Forms that other losses happen to point away from."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """Outputs, their gradient, and targets that fit them, in rows."""

    outputs: Tensor
    gradient: Tensor
    targets: Tensor
    kind: str
    integer: bool = False


def _pairs(outputs: Tensor, gradient: Tensor, targets: Tensor) -> Iterator[_Pair]:
    """The ways in which targets can belong to outputs."""
    integer = not targets.is_floating_point()
    shape, wanted = tuple(outputs.shape), tuple(targets.shape)
    if targets.ndim == outputs.ndim and wanted[-1:] == (1,) and shape[:-1] == wanted[:-1] and shape[-1] > 1:
        targets, wanted = targets[..., 0], wanted[:-1]
    whole = integer or bool((targets == targets.round()).all())
    if whole and outputs.ndim >= 2 and targets.ndim == outputs.ndim - 1 and targets.dtype != torch.bool:
        moved = None
        if wanted == shape[:-1] and shape[-1] > 1:
            moved = outputs, gradient
        elif wanted == (shape[0], *shape[2:]) and shape[1] > 1:
            moved = outputs.movedim(1, -1), gradient.movedim(1, -1)
        if moved is not None and moved[0].shape[-1] <= MOST_CLASSES:
            classes = moved[0].shape[-1]
            flat_o, flat_g = (one.reshape(-1, classes) for one in moved)
            flat_t = targets.reshape(-1).long()
            keep = (flat_t >= 0) & (flat_t < classes) & (flat_g.abs().amax(1) > 0)
            if bool((flat_t < classes).all()) and bool(keep.any()):
                index = keep.nonzero()[:MOST_ROWS, 0]
                yield _Pair(flat_o[index], flat_g[index], flat_t[index], "classes", integer)
    if shape == wanted or (shape == (*wanted, 1)) or ((*shape, 1) == wanted):
        if shape == wanted and targets.is_floating_point() and outputs.ndim == 2 and shape[-1] > 1:
            total = targets.double().sum(-1)
            if bool((targets >= 0).all()) and bool((total - 1).abs().max() < 1e-4):  # one-hot or soft classes
                yield _Pair(outputs, gradient, targets.argmax(-1), "classes")
        flat_o, flat_g = outputs.reshape(-1), gradient.reshape(-1)
        flat_t = targets.reshape(-1).double()
        binary = bool(((flat_t == 0) | (flat_t == 1)).all())
        if outputs.ndim == 2 and shape == wanted:
            rows = slice(0, MOST_ROWS)
            pair = outputs[rows], gradient[rows], targets[rows].double()
        else:
            pair = flat_o[: MOST_ROWS * 16], flat_g[: MOST_ROWS * 16], flat_t[: MOST_ROWS * 16]
        if binary:
            yield _Pair(*pair, "binary")
        yield _Pair(*pair, "values", integer)
        if not integer and len(flat_o) == shape[0] == wanted[0] and len(flat_o) <= MOST_ROWS:
            yield _Pair(flat_o, flat_g, flat_t, "broadcast")


_TABLES = {"classes": CLASSES, "binary": BINARY, "values": VALUES, "broadcast": BROADCAST}


def _cosine(first: Tensor, second: Tensor) -> float:
    norm = first.norm() * second.norm()
    return float((first * second).sum() / norm) if norm > 0 else 0.0


def examine_objective(
    step: int, outputs: Tensor, gradient: Tensor, candidates: list[Tensor]
) -> Objective | None:
    """What the gradient says, for the targets that fit best; ``None`` where none explains it."""
    best: tuple[float, str, _Pair, dict[str, float], float] | None = None
    for targets in candidates:
        if targets.numel() == 0 or targets.is_complex() or targets.shape[:1] != outputs.shape[:1]:
            continue
        for pair in _pairs(outputs.detach(), gradient.detach(), targets.detach().to(outputs.device)):
            cosines, whole = {}, {}
            rows = pair.outputs.double()
            seen = pair.gradient.double()
            for name, loss in _TABLES[pair.kind].items():
                leaf = rows.clone().requires_grad_()
                try:
                    with torch.enable_grad():
                        (expected,) = torch.autograd.grad(loss(leaf, pair.targets), leaf)
                except (RuntimeError, ValueError, IndexError):
                    continue
                if float(expected.std()) < 1e-3 * float(expected.abs().mean()):
                    continue  # the same everywhere: it says nothing of the targets
                cosine = whole[name] = _cosine(expected, seen)
                if name == "cross-entropy" and rows.shape[1] > 2:
                    # Weights of samples and of classes bend the whole, not a row.
                    by_row = float(F.cosine_similarity(expected, seen, dim=-1, eps=1e-30).mean())
                    cosine = by_row if abs(by_row) > abs(cosine) else cosine
                if math.isfinite(cosine):
                    cosines[name] = cosine
            for name, cosine in cosines.items():
                of_ids = pair.kind == "values" and pair.integer
                if cosine < 0 and (of_ids or name in _NEVER_TURNED or name in BROADCAST):
                    continue
                # Numbers of users or words beside values fit by chance, unless they fit exactly.
                by_chance = of_ids or (pair.kind == "values" and cosine < 0)
                least = EXACT if by_chance or name in FAULTY or name in _NEVER_TURNED else MATCH
                if abs(cosine) >= least and (best is None or abs(cosine) > abs(best[0]) + 1e-6):
                    best = cosine, name, pair, cosines, whole[name]
    if best is None:
        return None
    cosine, name, pair, cosines, as_whole = best
    found = _described(step, name, pair, cosines)
    if pair.kind == "classes" and cosines[name] < 0:
        # Advantages weigh the samples of a policy gradient, and may all be below zero: not a sign, but weights.
        against = (pair.gradient.gather(1, pair.targets[:, None]) > 0).double().mean()
        if float(against) < _ALL_TURNED or abs(cosine) > abs(as_whole) + _TO_THE_DIGIT:
            return None
    found.integer, found.exact = pair.integer, abs(as_whole) > 1 - _TO_THE_DIGIT
    return found


def _described(step: int, name: str, pair: _Pair, cosines: dict[str, float]) -> Objective:
    outputs, targets = pair.outputs.double(), pair.targets
    found = Objective(step, cosines, name)
    with torch.no_grad():
        rows = outputs if outputs.ndim > 1 else outputs[:, None]
        found.all_alike = len(rows) > 3 and bool((rows == rows[:1]).all())
        found.loss = float(_TABLES[pair.kind][name](outputs, targets))
        if pair.kind == "classes":
            found.classes = outputs.shape[1]
            found.chance = math.log(found.classes)
            if len(targets) >= 5 * found.classes:  # of fewer their frequencies are not known
                frequency = torch.bincount(targets, minlength=found.classes).double() / len(targets)
                found.chance = float(-(frequency * frequency.clamp_min(1e-12).log()).sum())
            found.output_spread = float(outputs.std(0).mean()) if len(outputs) > 1 else None
            found.outputs_are = _kind_of(outputs)
            found.confidence = float(confidence(outputs))
        else:
            wanted = targets.double() if targets.ndim == 2 else targets.double()[:, None]
            if len(rows) > 3:
                spread, target_spread = rows.std(0), wanted.std(0)
                found.output_spread = float(spread.mean())
                found.target_spread = float(target_spread.mean())
                if pair.kind == "values" and rows.shape[1] <= 64:
                    variance = wanted.var(0).clamp_min(1e-12)
                    found.explained = tuple((1 - ((rows - wanted) ** 2).mean(0) / variance).tolist())
                if pair.kind == "binary" and float(rows.min()) >= 0 and float(rows.max()) <= 1:
                    found.outputs_are = "shares"
                constant = wanted.mean(0, keepdim=True).expand_as(wanted)
                if pair.kind == "values":
                    found.chance = float(_TABLES["values"][name](constant, wanted))
                elif pair.kind == "binary":
                    mean = wanted.mean(0).clamp(1e-6, 1 - 1e-6)
                    found.chance = float(-(mean * mean.log() + (1 - mean) * (1 - mean).log()).mean())
                else:
                    found.chance = float(((wanted - wanted.mean()) ** 2).mean())
    return found


def _kind_of(outputs: Tensor) -> str:
    low, high = float(outputs.min()), float(outputs.max())
    if low >= 0 and float((outputs.sum(-1) - 1).abs().max()) < 1e-3:
        return "probabilities"
    if high <= 0 and float(outputs.logsumexp(-1).abs().max()) < 1e-3:
        return "log-probabilities"
    if low >= 0 and high <= 1:
        return "shares"
    return "cosines" if low >= -1.001 and high <= 1.001 else "any"


def over_samples(outputs: Tensor) -> bool:
    """Whether outputs ``[N, C]``, or their exponentials, add up to 1 over the samples and not over the classes."""
    if outputs.ndim != 2 or min(outputs.shape) < 3:
        return False
    shares = outputs.double().exp() if float(outputs.max()) <= 0 else outputs.double()
    if float(shares.min()) < 0:
        return False
    columns, rows = ((shares.sum(axis) - 1).abs() for axis in (0, 1))
    return float(columns.max()) < 1e-3 and float(rows.min()) > 1e-2


def confidence(outputs: Tensor) -> Tensor:
    """The mean greatest probability of scores ``[R, C]``."""
    return outputs.softmax(-1).amax(-1).mean()


def examine_vocabulary(step: int, ends: Tensor, candidates: list[Tensor]) -> Objective | None:
    """Whether cross-entropy over a vocabulary is at work, and with which sign, by the ends of its gradient's rows.

    Args:
        step: Of the look.
        ends: ``[..., 5]``, as :class:`~argus_doctor.record.outputs.OutputSample` keeps them.
        candidates: Targets, of the same rows.
    """
    rows = ends.reshape(-1, 5)
    low, high, least, greatest, total = rows.unbind(-1)
    size = torch.maximum(least.abs(), greatest.abs())
    there = (size > 0) & (total.abs() < 0.01 * size)  # softmax minus one-hot adds up to nothing
    for targets in candidates:
        wanted = targets.reshape(-1)
        if targets.is_floating_point() or len(wanted) != len(rows):
            continue
        counted = there & (wanted >= 0)
        if int(counted.sum()) < 4:
            continue
        right = float((low.long() == wanted)[counted].float().mean())
        turned = float((high.long() == wanted)[counted].float().mean())
        if max(right, turned) > 0.97:
            cosine = 1.0 if right > turned else -1.0
            return Objective(step, {"cross-entropy": cosine}, "cross-entropy", integer=True)
    return None


def pulled_classes(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row ``[..., V]`` of a gradient the class that is pulled against all others, and whether there is one."""
    few = (gradient < 0).sum(-1) <= gradient.shape[-1] // 2  # turned signs turn both
    return torch.where(few, gradient.argmin(-1), gradient.argmax(-1)), gradient.abs().amax(-1) > 0


def trained_offset(
    tokens: Tensor, pulled: Tensor, there: Tensor, index: tuple[slice, ...], vocabulary: int
) -> int | None:
    """In sequences, how far ahead of its input each output is trained to be: 1 for a language model.

    Args:
        tokens: ``[B, L]`` integer: what the model was given.
        pulled: ``[b, l]``: the classes that the gradient asks for, of some of the outputs.
        there: Where it asks for any.
        index: Which of the outputs these are.
        vocabulary: How many classes there are.

    Returns:
        The distance at which the tokens that the gradient asks for are found; ``None`` where it is not clear.
    """
    if tokens.ndim != 2 or pulled.ndim != 2 or vocabulary < 6:
        return None
    tokens = tokens[index[0]]
    if len(tokens) != len(pulled):
        return None
    places = torch.arange(pulled.shape[1]) * (index[1].step or 1)
    shares = {}
    for offset in range(-1, 4):
        asked = places + offset
        inside = (asked >= 0) & (asked < tokens.shape[1])
        counted = there[:, inside]
        if int(counted.sum()) < 16:
            continue
        same = pulled[:, inside] == tokens[:, asked[inside]]
        shares[offset] = float(same[counted].double().mean())
    if not shares:
        return None
    offset = max(shares, key=lambda one: shares[one])
    others = [share for other, share in shares.items() if other != offset]
    return offset if shares[offset] > 0.97 and max(others, default=0.0) < 0.9 else None
