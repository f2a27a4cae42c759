"""VQ-VAE (van den Oord et al., 2017) with a codebook by moving averages and a straight-through estimator."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class VectorQuantizerEMA(nn.Module):
    def __init__(self, num_embeddings, embedding_dim, commitment_cost=0.25, decay=0.95, epsilon=1e-5):
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.commitment_cost, self.decay, self.epsilon = commitment_cost, decay, epsilon
        self.embedding = nn.Embedding(num_embeddings, embedding_dim)
        self.embedding.weight.data.normal_()
        self.embedding.weight.requires_grad = False
        self.register_buffer("ema_cluster_size", torch.zeros(num_embeddings))
        self.register_buffer("ema_w", self.embedding.weight.data.clone())

    def forward(self, inputs):
        inputs = inputs.permute(0, 2, 3, 1).contiguous()  # BCHW -> BHWC
        flat_input = inputs.view(-1, self.embedding_dim)
        encoding_indices = torch.cdist(flat_input, self.embedding.weight).argmin(1)
        encodings = F.one_hot(encoding_indices, self.num_embeddings).float()
        quantized = (encodings @ self.embedding.weight).view_as(inputs)
        if self.training:
            with torch.no_grad():
                self.ema_cluster_size.mul_(self.decay).add_(encodings.sum(0), alpha=1 - self.decay)
                n = self.ema_cluster_size.sum()
                smoothed = (
                    (self.ema_cluster_size + self.epsilon) / (n + self.num_embeddings * self.epsilon) * n
                )
                self.ema_w.mul_(self.decay).add_(encodings.T @ flat_input, alpha=1 - self.decay)
                self.embedding.weight.data.copy_(self.ema_w / smoothed.unsqueeze(1))
        loss = self.commitment_cost * F.mse_loss(quantized.detach(), inputs)
        quantized = inputs + (quantized - inputs).detach()
        avg_probs = encodings.mean(0)
        perplexity = torch.exp(-torch.sum(avg_probs * torch.log(avg_probs + 1e-10)))
        return loss, quantized.permute(0, 3, 1, 2).contiguous(), perplexity


class Model(nn.Module):
    def __init__(self, hidden=24, num_embeddings=32, embedding_dim=8):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, hidden, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(hidden, hidden, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(hidden, embedding_dim, 1),
        )  # fmt: skip
        self.vq_vae = VectorQuantizerEMA(num_embeddings, embedding_dim)
        self.decoder = nn.Sequential(
            nn.Conv2d(embedding_dim, hidden, 3, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(hidden, hidden, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(hidden, 1, 4, stride=2, padding=1),
        )  # fmt: skip

    def forward(self, x):
        loss, quantized, perplexity = self.vq_vae(self.encoder(x))
        return loss, self.decoder(quantized), perplexity


def rings(n, g):
    v = torch.linspace(-1, 1, 16)
    centre = torch.rand(n, 2, 1, 1, generator=g) - 0.5
    radius = 0.2 + 0.4 * torch.rand(n, 1, 1, generator=g)
    r = ((v - centre[:, 0]) ** 2 + (v[:, None] - centre[:, 1]) ** 2).sqrt()
    return (torch.exp(-((r - radius) ** 2) / 0.02) - 0.5)[:, None]


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    training_data, validation_data = rings(2000, g), rings(200, g)
    data_variance = training_data.var()
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, amsgrad=False)
    watch = watch_factory(model, optimizer)
    model.train()
    for _ in range(350):
        data = training_data[torch.randint(len(training_data), (32,), generator=g)]
        optimizer.zero_grad()
        vq_loss, data_recon, _perplexity = model(data)
        recon_error = F.mse_loss(data_recon, data) / data_variance
        loss = recon_error + vq_loss
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=data)
    model.eval()
    with torch.no_grad():
        _, valid_reconstructions, _ = model(validation_data)
    return {"quality": 1 - (F.mse_loss(valid_reconstructions, validation_data) / data_variance).item()}
