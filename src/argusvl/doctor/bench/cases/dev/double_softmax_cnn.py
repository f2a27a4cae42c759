"""The network ends in a softmax and feeds cross-entropy."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="shapes_cnn",
        seed=seed,
        fault=(
            Edit("        nn.Linear(48, 4),\n", "        nn.Linear(48, 4),\n        nn.Softmax(dim=-1),\n"),
        ),
        truth=Truth(
            slug="double-softmax",
            lines=("nn.Softmax(dim=-1),",),
            modules=("11",),
            drop=0.02,
        ),
    )
