"""VQ-VAE: straight-through quantisation and a codebook that moving averages update, no optimizer."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class VectorQuantizerEMA(nn.Module):
    def __init__(self, num=32, dim=8, decay=0.95, eps=1e-5):
        super().__init__()
        self.decay, self.eps = decay, eps
        embed = torch.randn(num, dim)
        self.register_buffer("embed", embed)
        self.register_buffer("cluster_size", torch.ones(num))
        self.register_buffer("embed_avg", embed.clone())

    def forward(self, z):
        index = torch.cdist(z, self.embed).argmin(1)
        onehot = F.one_hot(index, len(self.embed)).float()
        quantized = self.embed[index]
        if self.training:
            with torch.no_grad():
                self.cluster_size.mul_(self.decay).add_(onehot.sum(0), alpha=1 - self.decay)
                self.embed_avg.mul_(self.decay).add_(onehot.T @ z, alpha=1 - self.decay)
                self.embed.copy_(self.embed_avg / (self.cluster_size + self.eps).unsqueeze(1))
        commitment = F.mse_loss(z, quantized.detach())
        return z + (quantized - z).detach(), commitment


class VQVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 8))
        self.vq = VectorQuantizerEMA()
        self.decoder = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 16))

    def forward(self, x):
        z, commitment = self.vq(self.encoder(x))
        return self.decoder(z), commitment


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(20, 16, generator=rng)
    model = VQVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    watch = watch_factory(model, optimizer)
    for step in range(300):
        x = centres[torch.randint(20, (128,), generator=rng)] + 0.1 * torch.randn(128, 16, generator=rng)
        recon, commitment = model(x)
        recon_error = F.mse_loss(recon, x)
        loss = recon_error + 0.25 * commitment
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=x, terms={"recon": recon_error, "commitment": commitment})
    return {"quality": 1 - recon_error.item()}
