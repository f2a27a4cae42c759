"""The last layer is replaced after the optimizer was made."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="shapes_cnn",
        seed=seed,
        fault=(
            Edit(
                "    trainer = Trainer(build_net())\n",
                "    trainer = Trainer(build_net())\n    trainer.net[10] = nn.Linear(48, 4)\n",
            ),
        ),
        truth=Truth(
            slug="stale-optimizer",
            alternatives=("not-in-optimizer",),
            lines=(
                "trainer = Trainer(build_net())",
                "trainer.net[10] = nn.Linear(48, 4)",
            ),
            modules=("10",),
            harm="weights",
        ),
    )
