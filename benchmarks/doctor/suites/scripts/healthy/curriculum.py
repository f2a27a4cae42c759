"""A curriculum: sums of more and more numbers, so that the loss goes up whenever the task gets harder."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Adder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 32, padding_idx=10)
        self.rnn = nn.GRU(32, 64, batch_first=True)
        self.out = nn.Linear(64, 1)

    def forward(self, x):
        return self.out(self.rnn(self.embed(x))[1][0])[:, 0]


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    model = Adder()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    watch = watch_factory(model, optimizer)
    for step in range(360):
        length = 1 + step // 60
        x = torch.full((64, 8), 10)
        x[:, 8 - length :] = torch.randint(10, (64, length), generator=rng)
        y = torch.where(x < 10, x, 0).sum(1).float() / 5
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": 1 - loss.item() / y.var().item()}
