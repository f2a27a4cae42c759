"""BYOL: a target network that follows the online one by momentum, updated inside ``forward``."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F


class BYOL(nn.Module):
    def __init__(self, net, dim=64, momentum=0.99):
        super().__init__()
        self.online = net
        self.target = copy.deepcopy(net)
        for p in self.target.parameters():
            p.requires_grad = False
        self.predictor = nn.Sequential(nn.Linear(dim, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, dim))
        self.m = momentum

    @torch.no_grad()
    def _update_target(self):
        for online, target in zip(self.online.parameters(), self.target.parameters(), strict=True):
            target.data = target.data * self.m + online.data * (1.0 - self.m)

    def forward(self, x1, x2):
        with torch.no_grad():
            self._update_target()
            t1, t2 = self.target(x1), self.target(x2)
        q1, q2 = self.predictor(self.online(x1)), self.predictor(self.online(x2))
        return (2 - 2 * F.cosine_similarity(q1, t2) + 2 - 2 * F.cosine_similarity(q2, t1)).mean()


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(8, 24, generator=rng)
    net = nn.Sequential(nn.Linear(24, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64))
    model = BYOL(net)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    watch = watch_factory(model, optimizer)
    first = None
    for step in range(300):
        x = centres[torch.randint(8, (64,), generator=rng)] + 0.4 * torch.randn(64, 24, generator=rng)
        x1, x2 = (x + 0.3 * torch.randn(64, 24, generator=rng) for _ in range(2))
        loss = model(x1, x2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(x1, x2))
        first = loss.item() if first is None else first
    return {"quality": 1 - loss.item() / first}
