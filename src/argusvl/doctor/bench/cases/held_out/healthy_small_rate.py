"""The encoder's rate is a hundredth of the head's."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="transfer_cnn",
        seed=seed,
        variant=(
            Edit(
                "torch.optim.Adam(net.parameters(), lr=2e-3)",
                'torch.optim.Adam([{"params": net.encoder.parameters(), "lr": 2e-5}, {"params": net.fc.para'
                'meters(), "lr": 1e-2}])',
            ),
        ),
        at_least=0.7,
    )
