"""The features are computed under no_grad."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="keypoints",
        seed=seed,
        fault=(
            Edit(
                "        return self.regressor(self.features(image))\n",
                "        with torch.no_grad():\n"
                "            feature_map = self.features(image)\n"
                "        return self.regressor(feature_map)\n",
            ),
        ),
        truth=Truth(
            slug="no-gradient",
            lines=(
                "with torch.no_grad():",
                "return self.regressor(feature_map)",
            ),
            modules=("features",),
            drop=0.03,
        ),
    )
