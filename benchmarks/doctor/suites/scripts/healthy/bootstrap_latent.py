"""BYOL (Grill et al., 2020): the target network is a moving average that forward itself moves on."""

import copy

import torch
import torch.nn.functional as F
from torch import nn


def loss_fn(x, y):
    x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
    return 2 - 2 * (x * y).sum(dim=-1)


def mlp(dim, projection_size, hidden_size=64):
    return nn.Sequential(
        nn.Linear(dim, hidden_size),
        nn.BatchNorm1d(hidden_size),
        nn.ReLU(),
        nn.Linear(hidden_size, projection_size),
    )


class BYOL(nn.Module):
    def __init__(self, net, dim, projection_size=32, moving_average_decay=0.98):
        super().__init__()
        self.online_encoder = nn.Sequential(net, mlp(dim, projection_size))
        self.online_predictor = mlp(projection_size, projection_size)
        self.target_encoder = copy.deepcopy(self.online_encoder)
        for p in self.target_encoder.parameters():
            p.requires_grad = False
        self.beta = moving_average_decay

    @torch.no_grad()
    def update_moving_average(self):
        for current, ma in zip(
            self.online_encoder.parameters(), self.target_encoder.parameters(), strict=True
        ):
            ma.data.mul_(self.beta).add_(current.data, alpha=1 - self.beta)

    def forward(self, image_one, image_two, return_embedding=False):
        if return_embedding:
            return self.online_encoder[0](image_one)
        if self.training:
            self.update_moving_average()
        pred_one = self.online_predictor(self.online_encoder(image_one))
        pred_two = self.online_predictor(self.online_encoder(image_two))
        with torch.no_grad():
            target_one, target_two = self.target_encoder(image_one), self.target_encoder(image_two)
        return (loss_fn(pred_one, target_two.detach()) + loss_fn(pred_two, target_one.detach())).mean()


def spectra(n, g):
    """Spectra with one of eight patterns of lines, each line of its own strength."""
    lines = torch.randint(40, (8, 5), generator=torch.Generator().manual_seed(5))
    y = torch.randint(8, (n,), generator=g)
    x = torch.zeros(n, 40).scatter_(1, lines[y], 0.6 + torch.rand(n, 5, generator=g))
    return x, y


def augment(x, g):
    keep = (torch.rand(x.shape, generator=g) > 0.2).float()
    return x * keep + 0.15 * torch.randn(x.shape, generator=g)


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    x, y = spectra(2000, g)
    net = nn.Sequential(nn.Linear(40, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Linear(96, 64), nn.ReLU())
    learner = BYOL(net, dim=64)
    opt = torch.optim.Adam(learner.parameters(), lr=1e-3)
    watch = watch_factory(learner, opt)
    for _ in range(400):
        images = x[torch.randint(1600, (64,), generator=g)]
        one, two = augment(images, g), augment(images, g)
        loss = learner(one, two)
        opt.zero_grad()
        loss.backward()
        opt.step()
        watch.step(loss=loss, batch=(one, two))
    learner.eval()
    with torch.no_grad():
        loss = learner(augment(x[1600:], g), augment(x[1600:], g))
        feats = F.normalize(learner(x, None, return_embedding=True), dim=1)
    nearest = (feats[1600:] @ feats[:1600].T).argmax(1)
    # Views are told to agree, and kinds stay apart: a collapse would spoil the second.
    return {"quality": min(1 - loss.item() / 4, (y[nearest] == y[1600:]).float().mean().item())}
