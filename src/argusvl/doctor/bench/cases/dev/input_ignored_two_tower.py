"""The fused vector has only the text in it."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="two_tower",
        seed=seed,
        fault=(Edit("torch.cat([v, t, v * t], dim=1)", "torch.cat([t, t, t * t], dim=1)"),),
        truth=Truth(
            slug="input-ignored",
            alternatives=("no-gradient",),
            lines=(
                "v = self.vision(pixels)",
                "return self.fuse(torch.cat([t, t, t * t], dim=1))",
            ),
            modules=(
                "vision",
                "pixel_values",
                "pixels",
            ),
        ),
    )
