"""The sum over a batch."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        variant=(
            Edit("nn.MSELoss()", 'nn.MSELoss(reduction="sum")'),
            Edit(
                "valid_loss = mse(net(X_valid), y_valid).item()",
                "valid_loss = mse(net(X_valid), y_valid).item() / len(X_valid)",
            ),
        ),
        at_least=0.85,
    )
