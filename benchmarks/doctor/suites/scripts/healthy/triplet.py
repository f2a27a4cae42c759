"""FaceNet's triplet loss over embeddings of length one; it ends at zero when all triplets are easy."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Embedder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 16))

    def forward(self, x):
        return F.normalize(self.net(x), dim=1)


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    faces = torch.randn(40, 24, generator=rng)
    model = Embedder()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    watch = watch_factory(model, optimizer)
    criterion = nn.TripletMarginLoss(margin=0.4)
    for step in range(250):
        who = torch.randint(40, (64,), generator=rng)
        other = (who + torch.randint(1, 40, (64,), generator=rng)) % 40
        anchor, positive = (faces[who] + 0.6 * torch.randn(64, 24, generator=rng) for _ in range(2))
        negative = faces[other] + 0.6 * torch.randn(64, 24, generator=rng)
        a, p, n = model(torch.cat([anchor, positive, negative])).chunk(3)
        loss = criterion(a, p, n)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(anchor, positive, negative))
    return {"quality": ((a - p).norm(dim=1) < (a - n).norm(dim=1)).float().mean().item()}
