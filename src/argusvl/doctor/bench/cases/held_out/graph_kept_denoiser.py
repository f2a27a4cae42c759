"""Losses are kept with their graphs."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="denoiser",
        seed=seed,
        fault=(Edit("losses.append(loss.item())", "losses.append(loss)"),),
        truth=Truth(
            slug="graph-kept",
            lines=("losses.append(loss)",),
            harm="memory",
        ),
    )
