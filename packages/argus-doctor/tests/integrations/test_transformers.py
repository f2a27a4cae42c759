from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from argus_doctor.integrations.transformers import WatchCallback


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(8, 32), nn.Linear(32, 4)

    def forward(self, points: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.body(points).relu())
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


def trained(
    folder: Path, callback: WatchCallback, model: nn.Module | None = None, **arguments: Any
) -> Trainer:
    rng = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(4, 8, generator=rng)
    samples = [
        {"points": centres[k % 4] + torch.randn(8, generator=rng), "labels": k % 4} for k in range(1532)
    ]
    fixed = {
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "max_steps": 40,
    }
    settings = TrainingArguments(
        str(folder), per_device_train_batch_size=16, learning_rate=1e-2, **(fixed | arguments)
    )
    trainer = Trainer(
        model or Classifier(),
        settings,
        train_dataset=samples[32:],
        eval_dataset=samples[:32],
        callbacks=[callback],
    )
    trainer.train()
    return trainer


def hooks(model: nn.Module) -> int:
    return sum(len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.modules())


def test_a_healthy_training_is_seen_whole_and_left_without_hooks(tmp_path: Path) -> None:
    callback = WatchCallback(show=False)
    assert callback.report() == []
    trainer = trained(tmp_path, callback, eval_strategy="steps", eval_steps=10, gradient_accumulation_steps=2)
    assert callback.report() == [] and callback.watch is not None
    seen = callback.watch.evidence
    assert len(seen.losses()) == 40 and {one.best for one in seen.objectives} == {"cross-entropy"}
    assert set(seen.labels) == {0, 1, 2, 3} and seen.validations
    assert hooks(trainer.model) == 0


def test_what_was_found_is_shown_and_intent_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for frozen in ((), ("body",)):
        model = Classifier()
        callback = WatchCallback(frozen=frozen)
        trained(tmp_path, callback, model)
        assert [one.slug for one in callback.report()] == (["missing-freeze"] if frozen else [])
    assert "N-407" in "".join(capsys.readouterr())
