"""Log-probabilities and their likelihood."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="gru_sequences",
        seed=seed,
        variant=(
            Edit(
                "return self.classifier(hidden.mean(dim=1))",
                "return torch.log_softmax(self.classifier(hidden.mean(dim=1)), dim=-1)",
            ),
            Edit("nn.CrossEntropyLoss()", "nn.NLLLoss()"),
        ),
        at_least=0.8,
    )
