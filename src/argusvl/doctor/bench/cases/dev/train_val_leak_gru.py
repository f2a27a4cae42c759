"""Validation sequences are training sequences."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="gru_sequences",
        seed=seed,
        fault=(
            Edit(
                "dev_tokens, dev_favourite = tokens[1200:], favourite[1200:]",
                "dev_tokens, dev_favourite = tokens[:300], favourite[:300]",
            ),
        ),
        truth=Truth(
            slug="train-val-leak",
            lines=("dev_tokens, dev_favourite = tokens[:300], favourite[:300]",),
            harm="stated",
        ),
    )
