"""A moving average of the weights is kept for the evaluation."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211,)


def build(seed: int) -> Case:
    return Case(
        script="sequence_transformer",
        seed=seed,
        variant=(
            Edit(
                "    step = 0\n    while True:\n",
                "    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_util"
                "s.get_ema_multi_avg_fn(0.95))\n"
                "    step = 0\n"
                "    while True:\n",
            ),
            Edit(
                "        optimizer.step()\n",
                "        optimizer.step()\n        average.update_parameters(model)\n",
            ),
        ),
        at_least=0.9,
    )
