"""The logarithm of what can be negative."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        fault=(
            Edit("loss = loss_fn(net(xb), yb)", "loss = loss_fn(torch.log(net(xb) + 1), torch.log1p(yb))"),
        ),
        truth=Truth(
            slug="non-finite-loss",
            lines=("loss = loss_fn(torch.log(net(xb) + 1), torch.log1p(yb))",),
        ),
    )
