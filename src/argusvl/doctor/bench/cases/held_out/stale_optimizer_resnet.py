"""A block is replaced after the optimizer was made."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="resnet_bn",
        seed=seed,
        fault=(
            Edit(
                "    scheduler = torch.optim",
                "    model.layer2 = BasicBlock(8, 16, stride=2)\n    scheduler = torch.optim",
            ),
        ),
        truth=Truth(
            slug="stale-optimizer",
            alternatives=("not-in-optimizer",),
            lines=(
                "optimizer = torch.optim.SGD(",
                "model.layer2 = BasicBlock(8, 16, stride=2)",
            ),
            modules=("layer2",),
            harm="weights",
        ),
    )
