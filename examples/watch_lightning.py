"""A Lightning `Trainer` with a callback more: what is wrong with its module? Needs `argusvl[lightning]`.

python examples/watch_lightning.py
"""

import lightning
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from argus_doctor.integrations.lightning import WatchCallback


class Classifier(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ReLU())
        self.head = nn.Linear(32, 4)

    def forward(self, points: Tensor) -> Tensor:
        return self.head(self.body(points))

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        points, labels = batch
        return cross_entropy(self(points), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.head.parameters(), 1e-2)


torch.manual_seed(0)
centres = 2 * torch.randn(4, 8)
labels = torch.randint(4, (2000,))
loader = DataLoader(TensorDataset(centres[labels] + torch.randn(2000, 8), labels), 32, shuffle=True)

trainer = lightning.Trainer(
    max_steps=60,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    callbacks=[WatchCallback()],
)
trainer.fit(Classifier(), loader)
