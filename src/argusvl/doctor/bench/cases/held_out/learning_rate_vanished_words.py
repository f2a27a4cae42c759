"""The schedule's step is taken at each batch."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="word_lm",
        seed=seed,
        fault=(
            Edit("            opt.step()\n", "            opt.step()\n            sched.step()\n"),
            Edit("        sched.step()\n        val_loss", "        val_loss"),
        ),
        truth=Truth(
            slug="learning-rate-vanished",
            lines=("sched.step()",),
        ),
    )
