"""BPR: a recommender that learns from pairs, one item that was bought and one that was not."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class MF(nn.Module):
    def __init__(self, users, items, dim=16):
        super().__init__()
        self.user, self.item = nn.Embedding(users, dim), nn.Embedding(items, dim)
        self.bias = nn.Embedding(items, 1)
        nn.init.normal_(self.user.weight, std=0.05)
        nn.init.normal_(self.item.weight, std=0.05)
        nn.init.zeros_(self.bias.weight)

    def forward(self, u, i):
        return (self.user(u) * self.item(i)).sum(-1) + self.bias(i).squeeze(-1)


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    taste = torch.randn(200, 4, generator=rng) @ torch.randn(4, 300, generator=rng)
    bought = taste > 2.0
    pairs = bought.nonzero()
    model = MF(200, 300)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-5)
    watch = watch_factory(model, optimizer)
    for step in range(300):
        index = torch.randint(len(pairs), (512,), generator=rng)
        user, positive = pairs[index].T
        negative = torch.randint(300, (512,), generator=rng)
        score_pos, score_neg = model(user, positive), model(user, negative)
        loss = -F.logsigmoid(score_pos - score_neg).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(user, positive, negative))
    return {"quality": (score_pos > score_neg).float().mean().item()}
