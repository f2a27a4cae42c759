"""ResNet with the last batch norm of each block at zero, and layer-wise decay of the rate."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)
        nn.init.zeros_(self.bn2.weight)

    def forward(self, x):
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Block(16),
        Block(16),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 4),
    )
    groups = [{"params": layer.parameters(), "lr": 0.1 * 0.8 ** (7 - k)} for k, layer in enumerate(model)]
    optimizer = torch.optim.SGD([g for g in groups if any(True for _ in model)], lr=0.1, momentum=0.9)
    watch = watch_factory(model, optimizer)
    for step in range(150):
        y = torch.randint(4, (32,), generator=rng)
        x = 0.5 * torch.randn(32, 3, 12, 12, generator=rng)
        for i, label in enumerate(y.tolist()):
            x[i, label % 3, :: label + 1] += 1.2
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.argmax(1) == y).float().mean().item()}
