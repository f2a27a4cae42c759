"""After the first validation dropout never comes back."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="shapes_cnn",
        seed=seed,
        fault=(Edit("            self.net.train()\n", ""),),
        truth=Truth(
            slug="training-in-evaluation-mode",
            lines=(
                "def fit(self, loader, val_loader, watch, epochs):",
                "history.append(self.evaluate(val_loader))",
            ),
            harm="stated",
        ),
    )
