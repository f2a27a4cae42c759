"""Gradients of four batches, divided by four."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(
            Edit("            optimizer.zero_grad()\n", ""),
            Edit(
                "            loss.backward()\n"
                "            optimizer.step()\n"
                "            watch.step(loss=loss, batch=(x, y))\n",
                "            (loss / 4).backward()\n"
                "            if (start // 8 + 1) % 4 == 0 or start + 8 >= len(order):\n"
                "                optimizer.step()\n"
                "                optimizer.zero_grad()\n"
                "                watch.step(loss=loss, batch=(x, y))\n",
            ),
            Edit("len(order), 32)", "len(order), 8)"),
            Edit("start + 32]", "start + 8]"),
        ),
        at_least=0.9,
    )
