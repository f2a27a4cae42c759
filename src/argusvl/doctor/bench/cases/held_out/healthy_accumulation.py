"""Gradients of four small batches."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="spirals_trainer",
        seed=seed,
        variant=(
            Edit("            self.optimizer.zero_grad()\n", ""),
            Edit(
                "            loss.backward()\n"
                "            self.optimizer.step()\n"
                "            self.watch.step(loss=loss, batch=(inputs, targets))\n",
                "            (loss / 4).backward()\n"
                "            self.micro += 1\n"
                "            if self.micro % 4 == 0:\n"
                "                self.optimizer.step()\n"
                "                self.optimizer.zero_grad()\n"
                "                self.watch.step(loss=loss, batch=(inputs, targets))\n",
            ),
            Edit(
                "        self.watch = watch_factory",
                "        self.micro = 0\n        self.watch = watch_factory",
            ),
            Edit('"batch_size": 30', '"batch_size": 8'),
        ),
        at_least=0.9,
    )
