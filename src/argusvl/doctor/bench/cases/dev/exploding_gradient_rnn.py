"""A recurrent matrix whose powers grow."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="gru_sequences",
        seed=seed,
        fault=(
            Edit(
                "self.gru = nn.GRU(dim, dim, batch_first=True)",
                'self.gru = nn.RNN(dim, dim, nonlinearity="relu", batch_first=True)\n'
                "        nn.init.orthogonal_(self.gru.weight_hh_l0, gain=6.0)",
            ),
            Edit("            nn.utils.clip_grad_norm_(rnn.parameters(), 5.0)\n", ""),
        ),
        truth=Truth(
            slug="exploding-gradient",
            alternatives=("bad-initialisation",),
            lines=(
                'self.gru = nn.RNN(dim, dim, nonlinearity="relu", batch_first=True)',
                "nn.init.orthogonal_(self.gru.weight_hh_l0, gain=6.0)",
            ),
            modules=("gru",),
        ),
    )
