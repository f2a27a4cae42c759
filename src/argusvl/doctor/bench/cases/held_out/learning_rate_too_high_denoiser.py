"""A rate at which Adam cannot settle."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="denoiser",
        seed=seed,
        fault=(Edit("lr=3e-3", "lr=0.3"),),
        truth=Truth(
            slug="learning-rate-too-high",
            lines=("optimizer = torch.optim.Adam(model.parameters(), lr=0.3)",),
        ),
    )
