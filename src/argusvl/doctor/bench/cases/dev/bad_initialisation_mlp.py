"""All weights begin at zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        fault=(
            Edit(
                "    model = MLP(10, 6)\n",
                "    model = MLP(10, 6)\n    for p in model.parameters():\n        nn.init.zeros_(p)\n",
            ),
        ),
        truth=Truth(
            slug="bad-initialisation",
            lines=(
                "for p in model.parameters():",
                "nn.init.zeros_(p)",
            ),
            modules=(
                "fc1",
                "fc2",
                "head",
            ),
        ),
    )
