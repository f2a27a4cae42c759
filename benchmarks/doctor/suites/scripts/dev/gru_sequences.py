"""Which symbol comes most often in a sequence? A GRU counts."""

import torch
from torch import nn


class CountingGRU(nn.Module):
    def __init__(self, symbols, dim):
        super().__init__()
        self.embed = nn.Embedding(symbols, dim)
        self.gru = nn.GRU(dim, dim, batch_first=True)
        self.classifier = nn.Linear(dim, symbols)

    def forward(self, tokens):
        hidden, _ = self.gru(self.embed(tokens))
        return self.classifier(hidden.mean(dim=1))


def sequences(count, symbols, rng):
    favourite = torch.randint(symbols, (count,), generator=rng)
    tokens = torch.randint(symbols, (count, 16), generator=rng)
    replace = torch.rand(count, 16, generator=rng) < 0.35
    tokens = torch.where(replace, favourite[:, None], tokens)
    return tokens, favourite


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    tokens, favourite = sequences(1500, 5, rng)
    dev_tokens, dev_favourite = tokens[1200:], favourite[1200:]
    tokens, favourite = tokens[:1200], favourite[:1200]

    rnn = CountingGRU(5, 32)
    criterion = nn.CrossEntropyLoss()
    optim = torch.optim.AdamW(rnn.parameters(), lr=5e-3)
    watch = watch_factory(rnn, optim)
    running = []
    best = 0.0
    for epoch in range(7):
        rnn.train()
        perm = torch.randperm(1200, generator=rng)
        for i in range(0, 1200, 32):
            inputs, targets = tokens[perm[i : i + 32]], favourite[perm[i : i + 32]]
            scores = rnn(inputs)
            loss = criterion(scores, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(rnn.parameters(), 5.0)
            optim.step()
            optim.zero_grad()
            running.append(loss.item())
            watch.step(loss=loss, batch=[inputs, targets], lr=optim.param_groups[0]["lr"])
        rnn.eval()
        with torch.no_grad():
            best = max(best, (rnn(dev_tokens).argmax(1) == dev_favourite).float().mean().item())
    return {"quality": best, "loss": sum(running[-20:]) / 20}
