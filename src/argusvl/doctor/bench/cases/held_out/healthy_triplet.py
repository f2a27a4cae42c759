"""A triplet loss, which reaches zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="contrastive_pairs",
        seed=seed,
        variant=(
            Edit(
                "        loss = 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))"
                "\n",
                "        cosine = logits / model.logit_scale.exp()\n"
                "        same = (train_caption[idx][:, None] == train_caption[idx][None]).all(-1)\n"
                "        hardest = cosine.masked_fill(same, -2).max(1).values\n"
                "        loss = F.relu(hardest - cosine[target, target] + 0.4).mean()\n",
            ),
            Edit(
                "        self.logit_scale = nn.Parameter(torch.tensor(math.log(8.0)))\n",
                '        self.register_buffer("logit_scale", torch.tensor(math.log(8.0)))\n',
            ),
        ),
        at_least=0.8,
    )
