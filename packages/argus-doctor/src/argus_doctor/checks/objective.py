"""What the loss is, seen from its gradient at the outputs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

from argus_doctor.evidence import Evidence, Objective
from argus_doctor.signature import FAULTY
from argus_doctor.suspicion import Suspicion, median


def sign(evidence: Evidence) -> Iterator[Suspicion]:
    """A loss that training makes greater."""
    # Cosine of the angle between what the optimizer does and the gradient; below 0 where it descends.
    along = median(p.direction for p in evidence.parameters.values() if p.updates >= 5)
    upwards = evidence.maximises or along > _UPWARDS
    # Which weights step with a gradient is certain of one optimizer that holds all of them, and of nothing before them.
    alone = evidence.optimizers == 1 and not evidence.fed
    alone &= all(p.in_optimizer for p in evidence.parameters.values() if p.requires_grad)
    for looks in evidence.by_output().values():
        known = [one for one in looks if not one.contested]
        if len(known) < 3:
            continue
        cosines = [one.cosines[one.best or ""] for one in known]
        turned = sum(cosine < 0 for cosine in cosines)
        best = Counter(one.best for one in known).most_common(1)[0][0]
        # A relative of a loss may point away from it by chance: the very gradient does not.
        exact = alone and all(one.exact for one in known) and best in _PLAIN
        # Who turns what had been learned may mean to: unlearning, a perturbation that is to do harm.
        first = known[0]
        exact &= first.loss is None or first.chance is None or first.loss > _LEARNED * first.chance
        if turned >= 0.9 * len(known) and not upwards:
            sign = "the very gradient, turned" if exact else "gradient turned"
            what = f"the gradient at the outputs is that of {best} with the opposite sign: training makes it greater"
            yield Suspicion("wrong-sign", sign, what, "loss", {"looks": len(known)}, proven=exact)
        elif turned <= 0.1 * len(known) and upwards:
            what = f"the optimizer goes up the gradient of {best}: training makes it greater"
            # A strong weight decay may point that way by chance, and not exactly.
            certain = exact and (evidence.maximises or along > _VERY)
            yield Suspicion("wrong-sign", "goes up the gradient", what, "optimizer", proven=certain)


_UPWARDS = 0.2
_LEARNED = 0.9
"""A loss below so much of that of outputs that do not depend on the inputs tells of training before this one."""
_VERY = 0.999
_LEARNS_WELL = -0.8
"""What the negative mean probability of the true class falls to: then that is what is minimised, and it works."""
_SHARED = (
    "nll-of-scores",
    "nll-of-softmax",
    "squared-number",
    "absolute-number",
    "squared-one-hot",
    "cross-entropy-of-tags",
)
"""Faulty forms whose gradients sensible losses have as well: the probability itself as a loss, an angle to a prototype,
an ensemble of regressions."""
_PLAIN = ("cross-entropy", "binary-cross-entropy", "squared", "absolute", "huber", "own-loss")


def unbounded(evidence: Evidence) -> Iterator[Suspicion]:
    """A loss that falls below zero and goes on falling, of which nothing else is known."""
    losses = evidence.losses()
    if len(losses) < 60 or any(one.best for one in evidence.objectives):
        return
    part = len(losses) // 5
    levels = [median(losses[place * part : (place + 1) * part]) for place in range(5)]
    falls = [a - b for a, b in itertools.pairwise(levels)]
    if min(falls) > 0 and falls[-1] > 0.5 * falls[0] and levels[-1] < -5 * abs(losses[0]) - 2:
        turned = any(one.slug == "wrong-sign" for one in evidence.source)
        sign = "loss falls without end, turned in the source" if turned else "loss falls without end"
        what = f"the loss falls without end, from {losses[0]:.3g} to {levels[-1]:.3g}"
        yield Suspicion("wrong-sign", sign, what, "loss")


def form(evidence: Evidence) -> Iterator[Suspicion]:
    """A loss that is not what its targets and outputs call for."""
    written = next((one for one in evidence.source if one.slug == "softmax-wrong-dimension"), None)
    looks = [one for one in evidence.objectives if one.classes]
    if written is not None and len(looks) >= 4:
        what = f"the outputs are scores of {looks[-1].classes} classes, a row for each sample, and {written.what}"
        sign = "softmax over the samples of a loss, in the source"
        yield Suspicion(written.slug, sign, what, written.where)
    for known in evidence.by_output().values():
        if len(known) >= 4:
            yield from _form(evidence, known)


def _form(evidence: Evidence, known: list[Objective]) -> Iterator[Suspicion]:
    best, times = Counter(one.best for one in known).most_common(1)[0]
    outputs = {one.outputs_are for one in known}
    if outputs == {"over-samples"}:
        what = "the outputs of each class add up to 1 over the samples of a batch, those of a sample over the classes "
        what += "do not: the softmax is taken over the wrong dimension"
        sign = "adds up to 1 over the samples"
        yield Suspicion("softmax-wrong-dimension", sign, what, "outputs", proven=True)
        return
    scores = ("cross-entropy", "smoothed-cross-entropy", "focal", "binary-cross-entropy")
    if best in scores and times >= 0.6 * len(known):
        if outputs == {"probabilities"}:
            what = "the outputs are probabilities already, and the loss applies a softmax to them"
            yield Suspicion(
                "double-softmax", "probabilities into cross-entropy", what, "outputs", proven=True
            )
        elif outputs == {"shares"} and len(known) >= 12:
            what = "the outputs are between 0 and 1 already, and the loss applies its own softmax or sigmoid"
            yield Suspicion("double-softmax", "shares into cross-entropy", what, "outputs")
    angles = "cosines" in outputs and outputs <= {"cosines", "shares"}
    if best == "nll-of-scores" and (angles or outputs <= {"log-probabilities"}):
        return
    is_share = best == "nll-of-softmax" or (best == "nll-of-scores" and outputs == {"probabilities"})
    if is_share and median(one.loss or 0.0 for one in known[-4:]) < _LEARNS_WELL:
        return
    if best in FAULTY and times >= 0.6 * len(known) and _clearly(best, known):
        certain = best not in _SHARED
        yield Suspicion(FAULTY[best], f"form: {best}", _TOLD[best], "loss", {"form": best}, proven=certain)
    values = ("squared", "absolute", "huber", "log-cosh")
    if best in values and all(one.integer for one in known) and times >= 0.6 * len(known):
        classes = sorted(evidence.labels)
        counts = [evidence.labels[one] for one in classes]
        whole_range = classes == list(range(len(classes)))
        if 3 <= len(classes) <= 50 and whole_range and max(counts) < 2.5 * min(counts):
            what = f"{best} error between one output and the numbers of {len(classes)} classes: "
            what += "it takes class 2 for nearer to 1 than to 5"
            yield Suspicion("wrong-loss", "class numbers as values", what, "loss")


_TOLD = {
    "over-samples": "the loss takes its softmax over the samples of a batch, and not over the classes",
    "softmax-twice": "the gradient at the outputs is that of a softmax on top of a softmax",
    "sigmoid-before-cross-entropy": "the gradient at the outputs is that of a sigmoid below the softmax of the loss",
    "sigmoid-twice": "the gradient at the outputs is that of a sigmoid on top of a sigmoid",
    "nll-of-scores": "the negative log-likelihood is taken of scores that are no logarithms of probabilities",
    "nll-of-softmax": "the negative log-likelihood is taken of probabilities, not of their logarithms",
    "squared-broadcast": "outputs [N, 1] and targets [N] are compared all with all: the model learns the mean",
    "absolute-broadcast": "outputs [N, 1] and targets [N] are compared all with all: the model learns the median",
    "huber-broadcast": "outputs [N, 1] and targets [N] are compared all with all: the model learns the mean",
    "squared-number": "every score is pulled to the number of the class",
    "absolute-number": "every score is pulled to the number of the class",
    "cross-entropy-of-tags": "tags that do not exclude each other are compared by a softmax, as if one alone were true",
    "squared-one-hot": "scores of classes are pulled to 0 and 1 by a squared error",
}


def _clearly(best: str, known: list[Objective]) -> bool:
    """Whether the form fits exactly, and no right one nearly as well: at first, outputs near zero look alike."""
    misfit = median(1 - abs(one.cosines.get(best, 0.0)) for one in known)
    others = [
        median(1 - abs(one.cosines[name]) for one in known if name in one.cosines)
        for name in {name for one in known for name in one.cosines} - set(FAULTY)
    ]
    if best.endswith("broadcast"):  # apart from the pair's right form, which other shapes would have
        return misfit < 1e-4
    return misfit < 1e-3 and min(others, default=1.0) > 10 * misfit + 1e-6


def balance(evidence: Evidence) -> Iterator[Suspicion]:
    """One objective that leaves nothing for another."""
    shares = evidence.output_shares
    classes = any(one.classes for one in evidence.objectives)
    if len(shares) < 5 or (classes and any(name.startswith("column") for name in shares[0])):
        return
    # In their order, so that of several alike the first is named.
    names = [name for name in shares[0] if all(name in one for one in shares)]
    if len(names) < 2:
        return
    typical = {name: median(one[name] for one in shares) for name in names}
    least = min(typical, key=lambda name: typical[name])
    if 0 < typical[least] < 2e-3 * max(typical.values()):
        ratio = max(typical.values()) / typical[least]
        what = f"the loss pulls at output {least} {ratio:,.0f} times less than at another"
        yield Suspicion("objective-starved", "one output hardly pulled at", what, least, {"ratio": ratio})


def future(evidence: Evidence) -> Iterator[Suspicion]:
    """A model that is trained to give the next token and may look at it."""
    offsets = [one.offset for one in evidence.objectives if one.offset is not None]
    if len(offsets) < 3 or Counter(offsets).most_common(1)[0][0] != 1:
        return
    if evidence.later_tokens_matter:
        what = "the outputs are trained to give the next token, and change when the tokens after theirs are changed"
        yield Suspicion("future-visible", "later tokens are seen", what, "outputs", proven=True)
    elif evidence.unmasked is not None and evidence.later_tokens_matter is None:
        place, words = evidence.unmasked
        what = f"the outputs are trained to give the next token, and {words}"
        yield Suspicion("future-visible", "attention without a mask, trained for the next token", what, place)


def shift(evidence: Evidence) -> Iterator[Suspicion]:
    """Labels of a language model that are not those of the next token."""
    offsets = [one.offset for one in evidence.objectives if one.offset is not None]
    if len(offsets) < 3:
        return
    offset, times = Counter(offsets).most_common(1)[0]
    if offset == 1 or times < 0.8 * len(offsets):
        return
    if offset == 0 and evidence.reads_backwards:
        return  # no model of next tokens: an encoder, whose decoder gives back what was read
    what = {
        0: "its own input token: labels were not shifted",
        -1: "the token before: labels were shifted the wrong way",
    }.get(offset, f"the token {offset} places ahead: labels were shifted twice")
    # The labels of the batch are the next tokens, and the loss compares with others.
    told = [one.labels_offset for one in evidence.objectives if one.offset == offset]
    certain = offset in (0, 2) and all(one == 1 for one in told) and len(evidence.by_output()) <= 1
    sign = "another token than the next" if offset else "its own token"
    sign = "the batch's labels are the next tokens, the loss's are not" if certain else sign
    what = f"each output is trained to give {what}"
    yield Suspicion("labels-shifted", sign, what, "labels", {"offset": offset}, proven=certain)
