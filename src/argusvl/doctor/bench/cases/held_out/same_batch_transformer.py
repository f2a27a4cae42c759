"""The batch is drawn once."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="sequence_transformer",
        seed=seed,
        fault=(
            Edit("        pick = torch.randint(len(tokens), (cfg.batch,), generator=rng)\n", ""),
            Edit(
                "    step = 0\n    while True:\n",
                "    step = 0\n"
                "    pick = torch.randint(len(tokens), (cfg.batch,), generator=rng)\n"
                "    while True:\n",
            ),
        ),
        truth=Truth(
            slug="same-batch",
            lines=(
                "pick = torch.randint(len(tokens), (cfg.batch,), generator=rng)",
                "x, y = tokens[pick], label[pick]",
            ),
            modules=("batch",),
        ),
    )
