"""A `transformers.Trainer` with a callback more: what is wrong with its model?

python examples/watch_transformers_trainer.py
"""

import tempfile

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainingArguments

from argus_doctor.integrations.transformers import WatchCallback


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, points: Tensor, labels: Tensor) -> dict[str, Tensor]:
        shares = self.body(points).softmax(-1)
        return {"loss": cross_entropy(shares, labels), "logits": shares}


torch.manual_seed(0)
centres = 2 * torch.randn(4, 8)
samples = [{"points": centres[k % 4] + torch.randn(8), "labels": k % 4} for k in range(2000)]

with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(
        Classifier(),
        TrainingArguments(
            folder,
            max_steps=60,
            per_device_train_batch_size=32,
            learning_rate=1e-2,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=samples,
        callbacks=[WatchCallback()],
    )
    trainer.train()
