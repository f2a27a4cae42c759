"""Decoder and embedding share a matrix."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="word_lm",
        seed=seed,
        variant=(
            Edit(
                "        self.decoder = nn.Linear(hidden, vocab_size)\n",
                "        self.decoder = nn.Linear(hidden, vocab_size)\n"
                "        nn.init.uniform_(self.encoder.weight, -0.2, 0.2)\n"
                "        self.decoder.weight = self.encoder.weight\n",
            ),
        ),
        at_least=0.65,
    )
