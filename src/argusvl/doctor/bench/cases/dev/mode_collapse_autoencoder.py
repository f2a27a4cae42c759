"""Weight decay so strong that every output is the same."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="autoencoder",
        seed=seed,
        fault=(
            Edit(
                "torch.optim.Adam(ae.parameters(), lr=4e-3)",
                "torch.optim.Adam(ae.parameters(), lr=4e-3, weight_decay=0.5)",
            ),
        ),
        truth=Truth(
            slug="mode-collapse",
            lines=("opt = torch.optim.Adam(ae.parameters(), lr=4e-3, weight_decay=0.5)",),
            modules=(
                "encoder",
                "decoder",
            ),
        ),
    )
