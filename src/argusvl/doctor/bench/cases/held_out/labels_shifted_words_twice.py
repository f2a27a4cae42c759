"""Labels are shifted twice."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="word_lm",
        seed=seed,
        fault=(
            Edit("train_stream[s + 1 : s + bptt + 1] for s", "train_stream[s + 2 : s + bptt + 2] for s"),
            Edit("len(train_stream) - bptt - 1, (batch", "len(train_stream) - bptt - 2, (batch"),
        ),
        truth=Truth(
            slug="labels-shifted",
            lines=("target = torch.stack([train_stream[s + 2 : s + bptt + 2] for s in starts])",),
            modules=("batch",),
        ),
    )
