"""A rate at which nothing is learned in the time."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="shapes_cnn",
        seed=seed,
        fault=(Edit("lr=2e-3", "lr=1e-6"),),
        truth=Truth(
            slug="learning-rate-too-low",
            lines=(
                "def __init__(self, net, lr=1e-6):",
                "self.opt = optim.Adam(net.parameters(), lr=lr)",
            ),
        ),
    )
