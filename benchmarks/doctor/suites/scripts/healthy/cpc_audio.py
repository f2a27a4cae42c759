"""Contrastive predictive coding (van den Oord et al., 2018): which sound of the batch comes k steps later."""

import torch
import torch.nn as nn


class CDCK2(nn.Module):
    def __init__(self, timestep, hidden=32, context=24):
        super().__init__()
        self.timestep, self.context = timestep, context
        self.encoder = nn.Sequential(  # downsampling factor = 8
            nn.Conv1d(1, hidden, kernel_size=8, stride=4, padding=2, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv1d(hidden, hidden, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
        )
        self.gru = nn.GRU(hidden, context, num_layers=1, bidirectional=False, batch_first=True)
        self.Wk = nn.ModuleList([nn.Linear(context, hidden) for _ in range(timestep)])
        self.lsoftmax = nn.LogSoftmax(dim=-1)

    def forward(self, x):
        batch = x.size(0)
        z = self.encoder(x).transpose(1, 2)  # N*L*C
        t_samples = torch.randint(4, z.size(1) - self.timestep, size=(1,)).item()  # randomly pick time stamps
        encode_samples = z[:, t_samples + 1 : t_samples + self.timestep + 1].transpose(0, 1)
        output, _hidden = self.gru(z[:, : t_samples + 1, :])
        c_t = output[:, t_samples, :]
        nce, correct = 0, 0
        for i, linear in enumerate(self.Wk):
            total = torch.mm(encode_samples[i], linear(c_t).t())  # e.g. size 8*8
            correct += (total.softmax(0).argmax(0) == torch.arange(batch)).sum().item()
            nce += torch.sum(torch.diag(self.lsoftmax(total)))  # nce is a tensor
        nce /= -1.0 * batch * self.timestep
        return correct / (batch * self.timestep), nce


def glides(n, g):
    """Sounds whose pitch moves steadily, each from a start and by a slope of its own."""
    t = torch.arange(256.0)
    start = 0.1 + 0.4 * torch.rand(n, 1, generator=g)
    slope = (torch.rand(n, 1, generator=g) - 0.5) * 1e-3
    x = torch.sin(start * t + slope * t**2 + 6.28 * torch.rand(n, 1, generator=g))
    return (x + 0.1 * torch.randn(n, 256, generator=g))[:, None]


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    sounds, held_back = glides(1600, g), glides(160, g)
    model = CDCK2(timestep=4)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=2e-3, betas=(0.9, 0.98), eps=1e-09, weight_decay=1e-4, amsgrad=True
    )
    watch = watch_factory(model, optimizer)
    for _epoch in range(3):
        model.train()
        for data in sounds[torch.randperm(len(sounds), generator=g)].split(16):
            optimizer.zero_grad()
            acc, loss = model(data)
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=data)
    model.eval()
    with torch.no_grad():
        acc = sum(model(data)[0] for data in held_back.split(16)) / 10  # by chance 1 of 16
    return {"quality": acc}
