"""A rate at which Adam cannot settle."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="spirals_trainer",
        seed=seed,
        fault=(Edit('"lr": 5e-3', '"lr": 0.5'),),
        truth=Truth(
            slug="learning-rate-too-high",
            lines=(
                'self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=config["lr"], weight_decay=1e-3)',
                'config = {"width": 64, "lr": 0.5, "batch_size": 30, "epochs": 7}',
            ),
        ),
    )
