"""Contrastive learning of two views of a sample (InfoNCE over a batch)."""

import torch
import torch.nn.functional as F
from torch import nn


class ContrastiveModel(nn.Module):
    def __init__(self, temperature=0.1):
        super().__init__()
        self.left = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 16))
        self.right = nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 16))
        self.temperature = temperature

    def forward(self, first, second):
        a = F.normalize(self.left(first), dim=-1)
        b = F.normalize(self.right(second), dim=-1)
        similarity = a @ b.t() / self.temperature
        return similarity


def train(watch_factory, seed):
    torch.manual_seed(seed)
    one, two = torch.randn(6, 20), torch.randn(6, 24)

    def sample(count):
        factors = torch.randn(count, 6)
        return (
            factors @ one + 0.5 * torch.randn(count, 20),
            factors @ two + 0.5 * torch.randn(count, 24),
        )

    model = ContrastiveModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    watch = watch_factory(model, optimizer)
    targets = torch.arange(64)
    for _ in range(200):
        first, second = sample(64)
        logits = model(first, second)
        loss = F.cross_entropy(logits, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(first, second, targets))
    model.eval()
    with torch.no_grad():
        found = model(*sample(500)).argmax(dim=1)
    return {"quality": (found == torch.arange(500)).float().mean().item()}
