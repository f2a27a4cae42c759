"""The generator learns to be found out."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="gan_ring",
        seed=seed,
        fault=(Edit("loss_g = bce(netD(fake), ones)", "loss_g = -bce(netD(fake), ones)"),),
        truth=Truth(
            slug="wrong-sign",
            lines=("loss_g = -bce(netD(fake), ones)",),
        ),
    )
