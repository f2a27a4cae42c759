"""A text auto-encoder: every output is the token that went in at that place."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class AutoEncoder(nn.Module):
    def __init__(self, vocab=60, dim=48):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.encoder = nn.GRU(dim, dim, batch_first=True, bidirectional=True)
        self.bottleneck = nn.Linear(2 * dim, 12)
        self.decoder = nn.GRU(12, dim, batch_first=True)
        self.out = nn.Linear(dim, vocab)

    def forward(self, tokens):
        z = self.bottleneck(self.encoder(self.embed(tokens))[0])
        return self.out(self.decoder(z)[0])


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    model = AutoEncoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    watch = watch_factory(model, optimizer)
    for step in range(250):
        tokens = torch.randint(60, (32, 12), generator=rng)
        logits = model(tokens)
        loss = F.cross_entropy(logits.transpose(1, 2), tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=tokens)
    return {"quality": (logits.argmax(-1) == tokens).float().mean().item()}
