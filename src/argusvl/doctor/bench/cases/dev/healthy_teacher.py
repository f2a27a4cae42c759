"""A moving average of the weights, without gradient, helps."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="gru_sequences",
        seed=seed,
        variant=(
            Edit(
                "    running = []\n",
                "    running = []\n"
                "    teacher = CountingGRU(5, 32)\n"
                "    teacher.load_state_dict(rnn.state_dict())\n"
                "    teacher.requires_grad_(False)\n",
            ),
            Edit(
                "loss = criterion(scores, targets)",
                "loss = criterion(scores, targets)\n"
                "            with torch.no_grad():\n"
                "                soft = teacher(inputs).softmax(-1)\n"
                "            loss = loss + 0.1 * nn.functional.kl_div(scores.log_softmax(-1), soft, reducti"
                'on="batchmean")',
            ),
            Edit(
                "            optim.zero_grad()\n",
                "            optim.zero_grad()\n"
                "            with torch.no_grad():\n"
                "                for slow, fast in zip(teacher.parameters(), rnn.parameters()):\n"
                "                    slow.lerp_(fast, 0.05)\n",
            ),
        ),
        at_least=0.8,
    )
