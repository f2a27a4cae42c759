"""Fine-tuning with batch normalisation frozen by ``eval()`` at each epoch, as detection recipes do it."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.fc = nn.Linear(32, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.relu(self.bn2(self.conv2(x)))
        return self.fc(x.mean((2, 3)))


def freeze_bn(model):
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.eval()
            m.weight.requires_grad_(False)
            m.bias.requires_grad_(False)


def batch(rng, n=32):
    y = torch.randint(4, (n,), generator=rng)
    x = 0.5 * torch.randn(n, 3, 12, 12, generator=rng)
    for i, label in enumerate(y.tolist()):
        r, c = divmod(label, 2)
        x[i, :, 6 * r : 6 * r + 6, 6 * c : 6 * c + 6] += (
            torch.tensor([1.0, -1.0, 0.5])[:, None, None] * (label + 1) / 2
        )
    return x, y


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    model = Net()
    pre = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):  # "pre-trained"
        x, y = batch(rng)
        pre.zero_grad()
        F.cross_entropy(model(x), y).backward()
        pre.step()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.02, momentum=0.9)
    watch = watch_factory(model, optimizer)
    for epoch in range(5):
        model.train()
        freeze_bn(model)
        for _ in range(30):
            x, y = batch(rng)
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.argmax(1) == y).float().mean().item()}
