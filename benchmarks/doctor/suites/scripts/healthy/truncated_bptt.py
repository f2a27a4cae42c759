"""An LSTM language model by truncated BPTT: the hidden state goes on, detached, from chunk to chunk."""

import math

import torch
import torch.nn as nn


class RNNModel(nn.Module):
    def __init__(self, ntoken, nhid=64):
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.encoder, self.rnn = nn.Embedding(ntoken, nhid), nn.LSTM(nhid, nhid, batch_first=True)
        self.decoder = nn.Linear(nhid, ntoken)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, x, hidden):
        out, hidden = self.rnn(self.drop(self.encoder(x)), hidden)
        return self.decoder(self.drop(out)), hidden


def repackage_hidden(h):
    return tuple(v.detach() for v in h)


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    ntoken = 20
    chain = torch.softmax(4 * torch.randn(ntoken, ntoken, generator=rng), 1)
    streams = torch.zeros(20, 1201, dtype=torch.long)
    for t in range(1, 1201):
        streams[:, t] = torch.multinomial(chain[streams[:, t - 1]], 1, generator=rng).squeeze(1)
    model = RNNModel(ntoken)
    optimizer = torch.optim.SGD(model.parameters(), lr=4.0)
    watch = watch_factory(model, optimizer)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(3):
        hidden = (torch.zeros(1, 20, 64), torch.zeros(1, 20, 64))
        for i in range(0, 1200, 20):
            data, targets = streams[:, i : i + 20], streams[:, i + 1 : i + 21]
            model.zero_grad()
            hidden = repackage_hidden(hidden)
            output, hidden = model(data, hidden)
            loss = criterion(output.reshape(-1, ntoken), targets.reshape(-1))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()
            watch.step(loss=loss, batch=(data, targets))
    return {"quality": 1 - loss.item() / math.log(ntoken)}
