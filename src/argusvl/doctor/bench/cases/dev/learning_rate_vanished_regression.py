"""The schedule's step is taken at each batch."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        fault=(
            Edit(
                "            loss.backward()\n            optimizer.step()\n",
                "            loss.backward()\n            optimizer.step()\n            scheduler.step()\n",
            ),
            Edit("        scheduler.step()\n        net.eval()", "        net.eval()"),
        ),
        truth=Truth(
            slug="learning-rate-vanished",
            lines=("scheduler.step()",),
        ),
    )
