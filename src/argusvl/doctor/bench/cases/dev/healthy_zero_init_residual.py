"""Residual branches begin at zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="finetune",
        seed=seed,
        variant=(
            Edit(
                "        self.norm = nn.LayerNorm(dim)\n",
                "        self.out1 = nn.Linear(dim, dim)\n"
                "        self.out2 = nn.Linear(dim, dim)\n"
                "        nn.init.zeros_(self.out1.weight)\n"
                "        nn.init.zeros_(self.out2.weight)\n"
                "        self.norm = nn.LayerNorm(dim)\n",
            ),
            Edit("x = x + torch.relu(self.layer1(x))", "x = x + self.out1(torch.relu(self.layer1(x)))"),
            Edit("x = x + torch.relu(self.layer2(x))", "x = x + self.out2(torch.relu(self.layer2(x)))"),
        ),
        at_least=0.9,
    )
