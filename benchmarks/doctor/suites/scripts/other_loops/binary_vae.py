"""A variational auto-encoder of small binary pictures."""

import torch
import torch.nn.functional as F
from torch import nn


class VAE(nn.Module):
    def __init__(self, pixels=64, latent=6):
        super().__init__()
        self.fc1 = nn.Linear(pixels, 96)
        self.fc21 = nn.Linear(96, latent)
        self.fc22 = nn.Linear(96, latent)
        self.fc3 = nn.Linear(latent, 96)
        self.fc4 = nn.Linear(96, pixels)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return self.fc4(h3)

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(recon, x, mu, logvar):
    rec = F.binary_cross_entropy_with_logits(recon, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (rec + kld) / len(x)


def bars(count, g):
    rows = torch.rand(count, 8, generator=g) < 0.25
    columns = torch.rand(count, 8, generator=g) < 0.1
    return (rows[:, :, None] | columns[:, None, :]).float().reshape(count, 64)


def train(watch_factory, seed):
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    data, held_out = bars(2000, g), bars(400, g)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    watch = watch_factory(model, optimizer)
    for epoch in range(6):
        model.train()
        for index in torch.randperm(len(data), generator=g).split(50):
            batch = data[index]
            recon_batch, mu, logvar = model(batch)
            loss = loss_function(recon_batch, batch, mu, logvar)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=batch)
        model.eval()
        with torch.no_grad():
            mu, _ = model.encode(held_out)
            restored = model.decode(mu).sigmoid()
    error = (restored - held_out).abs().mean() / (held_out - held_out.mean(0)).abs().mean()
    return {"quality": 1 - error.item()}
