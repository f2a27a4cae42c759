"""A likelihood whose negative logarithm falls below zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        variant=(
            Edit("        self.out = nn.Linear(32, 1)\n", "        self.out = nn.Linear(32, 2)\n"),
            Edit(
                "        return self.out(self.body(columns)).squeeze(-1)\n",
                "        return self.out(self.body(columns)).unbind(-1)\n",
            ),
            Edit(
                "loss_fn = nn.MSELoss()",
                "gaussian = nn.GaussianNLLLoss()\n"
                "\n"
                "    def loss_fn(prediction, observed):\n"
                "        mean, log_var = prediction\n"
                "        return gaussian(mean, observed, log_var.exp())\n",
            ),
            Edit("residual = (net(test_x) - test_y)", "residual = (net(test_x)[0] - test_y)"),
        ),
        at_least=0.9,
    )
