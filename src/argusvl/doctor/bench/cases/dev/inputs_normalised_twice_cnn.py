"""Pictures are normalised by the loader and again by the trainer."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="shapes_cnn",
        seed=seed,
        fault=(
            Edit(
                "inputs = self.normalize(images)\n                outputs",
                "inputs = self.normalize(self.normalize(images))\n                outputs",
            ),
            Edit(
                "inputs = self.normalize(images)\n            correct",
                "inputs = self.normalize(self.normalize(images))\n            correct",
            ),
        ),
        truth=Truth(
            slug="inputs-normalised-twice",
            lines=(
                "return (images.float() / 255.0 - 0.3) / 0.25",
                "inputs = self.normalize(self.normalize(images))",
            ),
            modules=("batch",),
        ),
    )
