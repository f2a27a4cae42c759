"""Accuracy on the training set is looked at too."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(
            Edit(
                "        val_acc = accuracy(model, x_val, y_val)\n",
                "        train_acc = accuracy(model, x_train, y_train)\n"
                "        val_acc = accuracy(model, x_val, y_val)\n",
            ),
            Edit('return {"quality": val_acc}', 'return {"quality": val_acc, "train_accuracy": train_acc}'),
        ),
        at_least=0.9,
    )
