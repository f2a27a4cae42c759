"""Pictures as they are stored, 0 to 255."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="shapes_cnn",
        seed=seed,
        variant=(
            Edit(
                "optim.Adam(net.parameters(), lr=lr)", "optim.SGD(net.parameters(), lr=20 * lr, momentum=0.9)"
            ),
        ),
        fault=(Edit("return (images.float() / 255.0 - 0.3) / 0.25", "return images.float()"),),
        truth=Truth(
            slug="inputs-not-normalised",
            lines=("return images.float()",),
            modules=("batch",),
            drop=0.02,
        ),
    )
