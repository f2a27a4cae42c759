"""SimSiam (Chen and He, 2020) on pictures of gratings, as in facebookresearch/simsiam."""

import math

import torch
import torch.nn as nn


def gratings(n, g):
    """Stripes of six directions, at any phase and contrast."""
    y = torch.randint(6, (n,), generator=g)
    angle = y * math.pi / 6
    v = torch.arange(16.0)
    ramp = angle.cos()[:, None, None] * v + angle.sin()[:, None, None] * v[:, None]
    phase = torch.rand(n, 1, 1, generator=g) * 6.28
    x = torch.sin(0.9 * ramp + phase) * (0.5 + torch.rand(n, 1, 1, generator=g))
    return (x + 0.3 * torch.randn(n, 16, 16, generator=g))[:, None], y


def augment(x, g):
    dx, dy = torch.randint(0, 5, (2,), generator=g).tolist()
    x = x[..., dy : dy + 12, dx : dx + 12]
    gain = 0.6 + 0.8 * torch.rand(len(x), 1, 1, 1, generator=g)
    return x * gain + 0.2 * torch.randn(x.shape, generator=g)


class SimSiam(nn.Module):
    """Build a SimSiam model."""

    def __init__(self, dim=64, pred_dim=16):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True),
            nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(32, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(inplace=True),  # first layer
            nn.Linear(64, dim), nn.BatchNorm1d(dim, affine=False),  # output layer
        )  # fmt: skip
        self.encoder[11].bias.requires_grad = False  # hack: not use bias as it is followed by BN
        self.predictor = nn.Sequential(
            nn.Linear(dim, pred_dim, bias=False), nn.BatchNorm1d(pred_dim), nn.ReLU(inplace=True),
            nn.Linear(pred_dim, dim),
        )  # fmt: skip

    def forward(self, x1, x2):
        z1, z2 = self.encoder(x1), self.encoder(x2)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        return p1, p2, z1.detach(), z2.detach()


def adjust_learning_rate(optimizer, init_lr, epoch, epochs):
    cur_lr = init_lr * 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))
    for param_group in optimizer.param_groups:
        param_group["lr"] = init_lr if param_group.get("fix_lr") else cur_lr


def knn_accuracy(bank, bank_labels, queries, labels, k=5):
    bank, queries = nn.functional.normalize(bank, dim=1), nn.functional.normalize(queries, dim=1)
    votes = bank_labels[(queries @ bank.T).topk(k).indices]
    return (votes.mode(1).values == labels).float().mean().item()


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    images, labels = gratings(1536, g)
    test_images, test_labels = gratings(300, g)
    model = SimSiam()
    criterion = nn.CosineSimilarity(dim=1)
    optim_params = [
        {"params": model.encoder.parameters(), "fix_lr": False},
        {"params": model.predictor.parameters(), "fix_lr": True},
    ]
    init_lr, epochs, batch_size = 0.1, 12, 64
    optimizer = torch.optim.SGD(optim_params, init_lr, momentum=0.9, weight_decay=1e-4)
    watch = watch_factory(model, optimizer, frozen=["encoder.11.bias"])
    for epoch in range(epochs):
        adjust_learning_rate(optimizer, init_lr, epoch, epochs)
        model.train()
        for idx in torch.randperm(len(images), generator=g).split(batch_size):
            x1, x2 = augment(images[idx], g), augment(images[idx], g)
            p1, p2, z1, z2 = model(x1=x1, x2=x2)
            loss = -(criterion(p1, z2).mean() + criterion(p2, z1).mean()) * 0.5
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(x1, x2))
    model.eval()
    with torch.no_grad():
        p1, _p2, _z1, z2 = model(augment(test_images, g), augment(test_images, g))
        backbone = model.encoder[:8]
        knn = knn_accuracy(backbone(images), labels, backbone(test_images), test_labels)
    # Views agree, and kinds stay apart: a collapse would spoil the second.
    return {"quality": min(criterion(p1, z2).mean().item(), knn)}
