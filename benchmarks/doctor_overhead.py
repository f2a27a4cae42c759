"""What watching costs: the same training with and without ``Watch``, in blocks that take turns.

    python benchmarks/doctor_overhead.py                 # a transformer and a convolutional network
    python benchmarks/doctor_overhead.py --blocks 60

Three copies of each model train on the same batches: one watched, two not; blocks of steps take turns in random order,
and a block's processor time is compared with that of the unwatched copy beside it. The second unwatched copy is the
control: what it differs by is what this measurement cannot see. The first block, where looks are dense, is given apart.
Writes ``benchmarks/results/<date>-doctor-overhead.json``.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from argus_doctor import Watch

STEPS = 20
"""In a block."""
_LATE = 1000
"""From here on there is a look in a hundred steps."""


class Transformer(nn.Module):
    """A small language model."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(192, 6, 768, batch_first=True, norm_first=True)
        self.embed = nn.Embedding(4000, 192)
        self.body = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(192, 4000)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens ``[B, L]`` → scores ``[B, L, 4000]``."""
        return self.head(self.body(self.embed(tokens)))


def convolutional() -> nn.Module:
    """A small network for pictures of 64 pixels."""
    parts: list[nn.Module] = []
    channels = 3
    for width in (32, 64, 64, 128, 128, 256):
        parts += [
            nn.Conv2d(channels, width, 3, stride=2 if width > channels and channels > 3 else 1, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 100))


def tokens(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of the language model."""
    text = torch.randint(0, 4000, (8, 65), generator=generator)
    return text[:, :-1], text[:, 1:]


def pictures(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of pictures and classes."""
    return torch.randn(16, 3, 64, 64, generator=generator), torch.randint(0, 100, (16,), generator=generator)


WORK: dict[str, Any] = {"transformer": (Transformer, tokens), "convolutional": (convolutional, pictures)}


class Arm:
    """One copy of a model with its optimizer."""

    def __init__(self, model: nn.Module, watched: bool) -> None:
        self.model = copy.deepcopy(model)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.watch = Watch(self.model, self.optimizer, source=False) if watched else None

    def block(self, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
        """Trains; the processor time."""
        began = time.process_time()
        for inputs, targets in batches:
            self.optimizer.zero_grad()
            outputs = self.model(inputs)
            loss = F.cross_entropy(outputs.flatten(0, -2), targets.flatten())
            loss.backward()
            self.optimizer.step()
            if self.watch is not None:
                self.watch.step(loss=loss, batch=(inputs, targets))
            else:
                loss.item()  # everybody logs it
        return time.process_time() - began


def measure(name: str, blocks: int) -> dict[str, Any]:
    """Ratios of one model."""
    make, draw = WORK[name]
    torch.manual_seed(0)
    model = make()
    arms = {"plain": Arm(model, False), "control": Arm(model, False), "watched": Arm(model, True)}
    watch = arms["watched"].watch
    assert watch is not None
    generator, order = torch.Generator().manual_seed(1), random.Random(2)
    ratios: dict[str, list[float]] = {"control": [], "watched": []}
    step = 0.0
    for number in range(2 * blocks):
        if number == blocks:  # on to where looks are as rare as they stay
            watch._step = _LATE
        batches = [draw(generator) for _ in range(STEPS)]
        names = list(arms)
        order.shuffle(names)
        spent = {one: arms[one].block(batches) for one in names}
        for one, found in ratios.items():
            found.append(spent[one] / spent["plain"])
        step = spent["plain"] / STEPS
    return {
        "model": name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "step_ms": round(1000 * step, 2),
        f"steps 1 to {STEPS}": ratios["watched"][0],
        f"steps {STEPS} to {STEPS * blocks}": _summary(ratios, slice(1, blocks)),
        f"from step {_LATE}": _summary(ratios, slice(blocks, None)),
    }


def _summary(ratios: dict[str, list[float]], blocks: slice) -> dict[str, Any]:
    """Median ratios, with the middle half."""
    found: dict[str, Any] = {}
    for one, values in ratios.items():
        low, middle, high = statistics.quantiles(values[blocks], n=4)
        found |= {one: round(middle, 4), f"{one}_quartiles": [round(low, 4), round(high, 4)]}
    return found


def main() -> None:
    """All models, and their result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=30)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    today = datetime.date.today().isoformat()
    result = {
        "date": today,
        "machine": f"{os.cpu_count()} cores, no GPU; {torch.backends.cpu.get_cpu_capability()}",
        "models": [measure(name, asked.blocks) for name in WORK],
    }
    text = json.dumps(result, indent=2)
    Path("benchmarks/results", f"{today}-doctor-overhead.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
