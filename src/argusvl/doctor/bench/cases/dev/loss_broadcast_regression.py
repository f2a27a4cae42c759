"""[N, 1] against [N]."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        fault=(
            Edit("return self.out(self.body(columns)).squeeze(-1)", "return self.out(self.body(columns))"),
        ),
        truth=Truth(
            slug="loss-broadcast",
            lines=(
                "return self.out(self.body(columns))",
                "loss = loss_fn(net(xb), yb)",
            ),
        ),
    )
