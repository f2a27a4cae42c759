"""Labels are not shifted."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="word_lm",
        seed=seed,
        fault=(Edit("train_stream[s + 1 : s + bptt + 1] for s", "train_stream[s : s + bptt] for s"),),
        truth=Truth(
            slug="labels-shifted",
            alternatives=("target-in-inputs",),
            lines=("target = torch.stack([train_stream[s : s + bptt] for s in starts])",),
            modules=("batch",),
        ),
    )
