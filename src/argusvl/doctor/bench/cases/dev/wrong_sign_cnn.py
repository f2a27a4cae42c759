"""The optimizer ascends."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="shapes_cnn",
        seed=seed,
        fault=(
            Edit("optim.Adam(net.parameters(), lr=lr)", "optim.Adam(net.parameters(), lr=lr, maximize=True)"),
        ),
        truth=Truth(
            slug="wrong-sign",
            lines=("self.opt = optim.Adam(net.parameters(), lr=lr, maximize=True)",),
        ),
    )
