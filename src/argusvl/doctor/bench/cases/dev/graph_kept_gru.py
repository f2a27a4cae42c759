"""Each loss is kept with its graph."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="gru_sequences",
        seed=seed,
        fault=(Edit("running.append(loss.item())", "running.append(loss)"),),
        truth=Truth(
            slug="graph-kept",
            lines=("running.append(loss)",),
            harm="memory",
        ),
    )
