"""A language model that writes samples during training: dozens of calls without gradients every few steps."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class LM(nn.Module):
    def __init__(self, vocab=30, dim=64):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.rnn = nn.LSTM(dim, dim, batch_first=True)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(dim, vocab)

    def forward(self, ids):
        return self.head(self.drop(self.rnn(self.embed(ids))[0]))

    @torch.no_grad()
    def generate(self, ids, new_tokens):
        self.eval()
        for _ in range(new_tokens):
            following = torch.multinomial(self(ids)[:, -1].softmax(-1), 1)
            ids = torch.cat([ids, following], 1)
        self.train()
        return ids


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    model = LM()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    watch = watch_factory(model, optimizer)
    for step in range(200):
        ids = (torch.randint(30, (32, 1), generator=rng) + 7 * torch.arange(17)) % 30
        logits = model(ids[:, :-1])
        loss = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=ids)
        if step % 20 == 19:
            model.generate(ids[:2, :1], 24)
    return {"quality": 1 - loss.item() / math.log(30)}
