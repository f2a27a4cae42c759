"""What watching costs: the same training with and without ``Watch``, step by step in turns.

    python benchmarks/doctor_overhead.py
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/doctor_overhead.py    # as on a plain machine

Three copies of each model train on the same batches: one watched, two not. At each step they take turns in random
order, and their processor time is counted. The second unwatched copy is the control: what it differs by is what this
measurement cannot see. A ratio is that of all the time of its steps, so that a look, one step in a hundred, counts with
its whole price; its 95 % interval is drawn from pieces of a hundred steps (bootstrap). The first hundred steps, where
looks are dense, are given apart. Two networks get as many rows in a batch as it takes for steps of 10 and 50 ms on the
machine at hand; the third is a language model with a vocabulary of 150,000.

Adds what this machine shows to ``benchmarks/results/<date>-doctor-overhead.json``.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from argus_doctor import Watch

PIECE = 100
"""Steps from look to look."""
_LATE = 1000
"""From here on there is a look in a hundred steps."""
_DRAWS = 2000


class LanguageModel(nn.Module):
    """A transformer over a vocabulary.

    Args:
        vocabulary: How many tokens there are.
        width: Of its states.
        layers: How many.
    """

    def __init__(self, vocabulary: int, width: int, layers: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, width // 32, 4 * width, batch_first=True, norm_first=True)
        self.embed = nn.Embedding(vocabulary, width)
        self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens ``[B, L]`` → scores ``[B, L, vocabulary]``."""
        return self.head(self.body(self.embed(tokens)))


def convolutional() -> nn.Module:
    """A small network for pictures of 32 pixels."""
    parts: list[nn.Module] = []
    channels = 3
    for width in (16, 32, 32, 64, 64, 128):
        parts += [
            nn.Conv2d(channels, width, 3, stride=2 if width > channels > 3 else 1, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 100))


@dataclass(frozen=True)
class Work:
    """What is trained: a model, and batches for it of so many rows."""

    model: nn.Module
    vocabulary: int

    def batch(self, rows: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets; pictures and classes where there is no vocabulary."""
        if self.vocabulary:
            text = torch.randint(0, self.vocabulary, (rows, 33), generator=generator)
            return text[:, :-1], text[:, 1:]
        pictures = torch.randn(rows, 3, 32, 32, generator=generator)
        return pictures, torch.randint(0, 100, (rows,), generator=generator)


class Arm:
    """One copy of a model with its optimizer."""

    def __init__(self, model: nn.Module, watched: bool) -> None:
        self.model = copy.deepcopy(model)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)
        self.watch = Watch(self.model, self.optimizer, source=False) if watched else None

    def step(self, inputs: torch.Tensor, targets: torch.Tensor) -> float:
        """Trains; the processor time in seconds."""
        began = time.process_time()
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(inputs).flatten(0, -2), targets.flatten())
        loss.backward()
        self.optimizer.step()
        if self.watch is not None:
            self.watch.step(loss=loss, batch=(inputs, targets))
        else:
            loss.item()  # everybody logs it
        return time.process_time() - began


def rows_for(work: Work, seconds: float) -> int:
    """So many rows of a batch that an unwatched step takes about that long; at least two."""
    arm, generator, rows = Arm(work.model, False), torch.Generator().manual_seed(0), 2
    while True:
        spent = [arm.step(*work.batch(rows, generator)) for _ in range(16)]
        # The quickest: what else the machine does makes a step no longer.
        if (took := min(spent[2:])) >= 0.93 * seconds:
            return rows
        rows = max(rows + 1, round(rows * min(seconds / took, 1.5)))


def measure(name: str, work: Work, seconds: float, pieces: int) -> dict[str, Any]:
    """Ratios of one model."""
    generator, order = torch.Generator().manual_seed(1), random.Random(2)
    rows = rows_for(work, seconds)
    arms = {
        "plain": Arm(work.model, False),
        "control": Arm(work.model, False),
        "watched": Arm(work.model, True),
    }
    watch = arms["watched"].watch
    assert watch is not None
    spent: dict[str, list[float]] = {one: [] for one in arms}
    for number in range(PIECE * (pieces + 1)):
        if number == PIECE:  # on to where looks are as rare as they stay
            watch._step = _LATE
        batch = work.batch(rows, generator)
        for one in order.sample(list(arms), len(arms)):
            spent[one].append(arms[one].step(*batch))
    by_piece = {one: np.reshape(times, (-1, PIECE)).sum(1) for one, times in spent.items()}
    found: dict[str, Any] = {
        "model": name,
        "parameters": sum(p.numel() for p in work.model.parameters()),
        "rows": rows,
        "step_ms": round(1000 * float(np.mean(spent["plain"][PIECE:])), 2),
        "steps": PIECE * pieces,
        f"first {PIECE} steps": round(float(by_piece["watched"][0] / by_piece["plain"][0]), 4),
    }
    draws = np.random.default_rng(0).integers(0, pieces, (_DRAWS, pieces))
    for one in ("watched", "control"):
        mine, plain = by_piece[one][1:], by_piece["plain"][1:]
        interval = np.quantile(mine[draws].sum(1) / plain[draws].sum(1), (0.025, 0.975))
        found |= {one: round(float(mine.sum() / plain.sum()), 4), f"{one}_95": interval.round(4).tolist()}
    return found


def main() -> None:
    """All models, and their result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--pieces", type=int, default=12, help="of a hundred steps (the large vocabulary: a third)"
    )
    parser.add_argument("--only", choices=["10 ms", "50 ms", "150,000"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    todo: dict[str, tuple[str, Work, float, int]] = {
        "10 ms": ("convolutional", Work(convolutional(), 0), 0.010, 2 * asked.pieces),
        "50 ms": ("transformer", Work(LanguageModel(4000, 192, 4), 4000), 0.050, asked.pieces),
        "150,000": (
            "vocabulary of 150,000",
            Work(LanguageModel(150_000, 64, 2), 150_000),
            0.050,
            max(asked.pieces // 3, 2),
        ),
    }
    models = [measure(*work) for name, work in todo.items() if asked.only in (None, name)]
    today = datetime.date.today().isoformat()
    path = Path("benchmarks/results", f"{today}-doctor-overhead.json")
    machine = f"{os.cpu_count()} cores, no GPU; {torch.backends.cpu.get_cpu_capability()}"
    result = (
        json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"date": today, "machines": {}}
    )
    if asked.only is None:
        result["machines"][machine] = models
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(models, indent=2))


if __name__ == "__main__":
    main()
