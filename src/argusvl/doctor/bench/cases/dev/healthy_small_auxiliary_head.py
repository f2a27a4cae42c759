"""A small head for later, which nothing uses yet."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="gru_sequences",
        seed=seed,
        variant=(
            Edit(
                "        self.classifier = nn.Linear(dim, symbols)\n",
                "        self.classifier = nn.Linear(dim, symbols)\n"
                "        self.length_head = nn.Linear(dim, 1)  # for the second stage\n",
            ),
        ),
        at_least=0.8,
    )
