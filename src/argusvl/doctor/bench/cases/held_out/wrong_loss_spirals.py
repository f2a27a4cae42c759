"""Distance to the number of the class."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="spirals_trainer",
        seed=seed,
        fault=(
            Edit(
                "loss = self.loss(self.model(inputs), targets)",
                "loss = nn.functional.l1_loss(self.model(inputs).mean(1), targets.float())",
            ),
        ),
        truth=Truth(
            slug="wrong-loss",
            lines=("loss = nn.functional.l1_loss(self.model(inputs).mean(1), targets.float())",),
        ),
    )
