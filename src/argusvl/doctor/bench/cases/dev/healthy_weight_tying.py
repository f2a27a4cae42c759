"""The first and the last layer share a matrix."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="char_lm",
        seed=seed,
        variant=(
            Edit(
                "        self.lm_head = nn.Linear(dim, vocab, bias=False)\n",
                "        self.lm_head = nn.Linear(dim, vocab, bias=False)\n"
                "        nn.init.normal_(self.tok.weight, std=0.1)\n"
                "        self.lm_head.weight = self.tok.weight\n",
            ),
        ),
        at_least=0.6,
    )
