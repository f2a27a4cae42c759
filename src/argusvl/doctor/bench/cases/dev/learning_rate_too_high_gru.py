"""A rate of Adam a hundred times too high."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="gru_sequences",
        seed=seed,
        fault=(Edit("lr=5e-3", "lr=0.8"),),
        truth=Truth(
            slug="learning-rate-too-high",
            lines=("optim = torch.optim.AdamW(rnn.parameters(), lr=0.8)",),
        ),
    )
