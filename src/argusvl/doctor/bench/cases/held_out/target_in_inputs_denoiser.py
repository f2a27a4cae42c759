"""The clean picture goes in."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="denoiser",
        seed=seed,
        fault=(
            Edit(
                "return self.noisy[index], self.clean[index]", "return self.clean[index], self.clean[index]"
            ),
        ),
        truth=Truth(
            slug="target-in-inputs",
            lines=("return self.clean[index], self.clean[index]",),
            modules=("batch",),
            harm="inflated",
            drop=0.02,
        ),
    )
