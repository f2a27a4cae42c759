"""Random kitchen sinks: a random layer that is frozen on purpose, a linear head that learns."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class RandomFeatures(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Linear(8, 512)
        self.features.requires_grad_(False)
        self.head = nn.Linear(512, 3)

    def forward(self, x):
        return self.head(torch.cos(3 * self.features(x)))


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = 1.5 * torch.randn(3, 8, generator=rng)
    model = RandomFeatures()
    optimizer = torch.optim.Adam(model.head.parameters(), lr=5e-3)
    watch = watch_factory(model, optimizer)
    for step in range(250):
        y = torch.randint(3, (64,), generator=rng)
        x = centres[y] + torch.randn(64, 8, generator=rng)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.argmax(1) == y).float().mean().item()}
