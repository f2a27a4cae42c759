"""The same batch in every step."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="gru_sequences",
        seed=seed,
        fault=(
            Edit(
                "inputs, targets = tokens[perm[i : i + 32]], favourite[perm[i : i + 32]]",
                "inputs, targets = tokens[:32], favourite[:32]",
            ),
        ),
        truth=Truth(
            slug="same-batch",
            lines=("inputs, targets = tokens[:32], favourite[:32]",),
            modules=("batch",),
        ),
    )
