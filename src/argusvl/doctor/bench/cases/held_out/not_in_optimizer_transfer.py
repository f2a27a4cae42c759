"""Only the encoder is given to the optimizer."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="transfer_cnn",
        seed=seed,
        fault=(
            Edit(
                "torch.optim.Adam(net.parameters(), lr=2e-3)",
                "torch.optim.Adam(net.encoder.parameters(), lr=2e-3)",
            ),
        ),
        truth=Truth(
            slug="not-in-optimizer",
            lines=("optimizer = torch.optim.Adam(net.encoder.parameters(), lr=2e-3)",),
            modules=("fc",),
            harm="weights",
        ),
    )
