"""Weight decay so strong that every output is the same."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="denoiser",
        seed=seed,
        fault=(Edit("lr=3e-3)", "lr=3e-3, weight_decay=1.0)"),),
        truth=Truth(
            slug="mode-collapse",
            lines=("optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1.0)",),
            modules=("dec2",),
        ),
    )
