"""Speech by CTC: log-probabilities over time, blanks at first and then letters."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Acoustic(nn.Module):
    def __init__(self, letters=6):
        super().__init__()
        self.rnn = nn.GRU(8, 64, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(128, letters + 1)

    def forward(self, x):
        return F.log_softmax(self.fc(self.rnn(x)[0]), dim=-1)


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    sounds = 2 * torch.randn(7, 8, generator=rng)
    model = Acoustic()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    watch = watch_factory(model, optimizer)
    criterion = nn.CTCLoss(blank=0, zero_infinity=True)
    first = None
    for step in range(200):
        targets = torch.randint(1, 7, (16, 5), generator=rng)
        frames = sounds[targets.repeat_interleave(4, dim=1)] + 0.5 * torch.randn(16, 20, 8, generator=rng)
        log_probs = model(frames)
        loss = criterion(log_probs.transpose(0, 1), targets, torch.full((16,), 20), torch.full((16,), 5))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        watch.step(loss=loss, batch=(frames, targets))
        first = loss.item() if first is None else first
    return {"quality": 1 - loss.item() / first}
