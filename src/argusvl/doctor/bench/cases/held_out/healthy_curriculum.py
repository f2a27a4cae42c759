"""From few noise to all of it."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="denoiser",
        seed=seed,
        variant=(
            Edit(
                "            optimizer.zero_grad()\n",
                "            strength = min(1.0, 0.3 + 0.2 * epoch)\n"
                "            noisy = clean + strength * (noisy - clean)\n"
                "            optimizer.zero_grad()\n",
            ),
        ),
        at_least=0.8,
    )
