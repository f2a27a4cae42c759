"""bfloat16 weights round the updates away."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="spirals_trainer",
        seed=seed,
        variant=(
            Edit('"lr": 5e-3', '"lr": 2e-4'),
            Edit("torch.optim.AdamW(", "torch.optim.Adam("),
            Edit(", weight_decay=1e-3)", ")"),
        ),
        fault=(
            Edit(
                '        self.model = SpiralNet(config["width"])\n',
                '        self.model = SpiralNet(config["width"]).bfloat16()\n'
                "        self.train_x, self.valid_x = self.train_x.bfloat16(), self.valid_x.bfloat16()\n",
            ),
        ),
        truth=Truth(
            slug="update-lost",
            lines=('self.model = SpiralNet(config["width"]).bfloat16()',),
            modules=(
                "input",
                "hidden1",
                "hidden2",
                "output",
            ),
        ),
    )
