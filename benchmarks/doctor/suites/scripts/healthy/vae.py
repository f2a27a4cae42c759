"""A VAE with the KL term warmed up from nothing: the loss rises while the model gets better."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(36, 64), nn.Linear(64, 4), nn.Linear(64, 4)
        self.fc3, self.fc4 = nn.Linear(4, 64), nn.Linear(64, 36)

    def forward(self, x):
        h = F.relu(self.fc1(x))
        mu, logvar = self.fc21(h), self.fc22(h)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    watch = watch_factory(model, optimizer)
    first = None
    for step in range(350):
        x = torch.zeros(64, 6, 6)
        rows = torch.randint(6, (64,), generator=rng)
        x[torch.arange(64), rows] = 1.0
        x[:, :, 2] = torch.maximum(x[:, :, 2], (rows > 2).float()[:, None])
        x = x.flatten(1)
        recon, mu, logvar = model(x)
        bce = F.binary_cross_entropy(recon, x, reduction="sum") / 64
        kld = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum() / 64
        loss = bce + min(1.0, step / 200) * kld
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=x, terms={"bce": bce, "kld": kld})
        first = bce.item() if first is None else first
    return {"quality": 1 - bce.item() / first}
