"""A recurrent matrix whose powers grow, and no clipping."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="word_lm",
        seed=seed,
        fault=(
            Edit(
                "self.rnn = nn.LSTM(embed_dim, hidden, batch_first=True)",
                'self.rnn = nn.RNN(embed_dim, hidden, nonlinearity="relu", batch_first=True)\n'
                "        nn.init.orthogonal_(self.rnn.weight_hh_l0, gain=5.0)",
            ),
            Edit("            nn.utils.clip_grad_norm_(lm.parameters(), 0.5)\n", ""),
        ),
        truth=Truth(
            slug="exploding-gradient",
            alternatives=("bad-initialisation",),
            lines=(
                'self.rnn = nn.RNN(embed_dim, hidden, nonlinearity="relu", batch_first=True)',
                "nn.init.orthogonal_(self.rnn.weight_hh_l0, gain=5.0)",
            ),
            modules=("rnn",),
        ),
    )
