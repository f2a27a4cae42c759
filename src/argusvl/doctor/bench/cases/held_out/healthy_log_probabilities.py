"""log_softmax and NLL."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="resnet_bn",
        seed=seed,
        variant=(
            Edit(
                "return self.fc(x.mean(dim=(2, 3)))",
                "return F.log_softmax(self.fc(x.mean(dim=(2, 3))), dim=1)",
            ),
            Edit("            loss = F.cross_entropy(out, yb)\n", "            loss = F.nll_loss(out, yb)\n"),
            Edit("loss = F.cross_entropy(logits, labels).item()", "loss = F.nll_loss(logits, labels).item()"),
        ),
        at_least=0.85,
    )
