"""SimSiam: two views, a predictor, the other branch behind a stop-gradient, negative cosine similarity."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class SimSiam(nn.Module):
    def __init__(self, dim=64, pred_dim=16):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(32, dim, bias=False),
            nn.BatchNorm1d(dim),
            nn.ReLU(inplace=True),
            nn.Linear(dim, dim, bias=False),
            nn.BatchNorm1d(dim, affine=False),
        )
        self.predictor = nn.Sequential(
            nn.Linear(dim, pred_dim, bias=False),
            nn.BatchNorm1d(pred_dim),
            nn.ReLU(inplace=True),
            nn.Linear(pred_dim, dim),
        )

    def forward(self, x1, x2):
        z1, z2 = self.encoder(x1), self.encoder(x2)
        return self.predictor(z1), self.predictor(z2), z1.detach(), z2.detach()


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(10, 32, generator=rng)

    def views(n=64):
        x = centres[torch.randint(10, (n,), generator=rng)] + 0.5 * torch.randn(n, 32, generator=rng)
        return x + 0.3 * torch.randn(n, 32, generator=rng), x + 0.3 * torch.randn(n, 32, generator=rng)

    model = SimSiam()
    optimizer = torch.optim.SGD(
        [{"params": model.encoder.parameters()}, {"params": model.predictor.parameters()}],
        lr=0.05,
        momentum=0.9,
        weight_decay=1e-4,
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 250)
    watch = watch_factory(model, optimizer)
    for step in range(250):
        x1, x2 = views()
        p1, p2, z1, z2 = model(x1, x2)
        loss = -(F.cosine_similarity(p1, z2).mean() + F.cosine_similarity(p2, z1).mean()) * 0.5
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        watch.step(loss=loss, batch=(x1, x2))
    return {"quality": -loss.item()}
