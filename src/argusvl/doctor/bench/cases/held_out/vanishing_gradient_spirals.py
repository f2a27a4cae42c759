"""Sixteen sigmoids."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="spirals_trainer",
        seed=seed,
        fault=(
            Edit(
                "        self.hidden2 = nn.Linear(width, width)\n",
                "        self.hidden2 = nn.Sequential(*[m for _ in range(15) for m in (nn.Linear(width, wid"
                "th), nn.Sigmoid())])\n",
            ),
            Edit("self.act = nn.ReLU()", "self.act = nn.Sigmoid()"),
        ),
        truth=Truth(
            slug="vanishing-gradient",
            lines=("self.act = nn.Sigmoid()",),
            modules=(
                "input",
                "hidden1",
                "hidden2",
            ),
        ),
    )
