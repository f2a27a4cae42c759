"""A small head of a later stage is not used."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="box_regressor",
        seed=seed,
        variant=(
            Edit(
                "        self.box_head = nn.Linear(64, 4)\n",
                "        self.box_head = nn.Linear(64, 4)\n"
                "        self.score_head = nn.Linear(64, 1)  # second stage\n",
            ),
        ),
        at_least=0.7,
    )
