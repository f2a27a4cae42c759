"""The gradient is climbed."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        fault=(Edit("            loss.backward()\n", "            (-loss).backward()\n"),),
        truth=Truth(
            slug="wrong-sign",
            lines=("(-loss).backward()",),
        ),
    )
