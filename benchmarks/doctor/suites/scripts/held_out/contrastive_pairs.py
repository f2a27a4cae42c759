"""Bring pictures and captions together by a symmetric contrastive loss."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class PictureEncoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Conv2d(1, 12, 3, stride=2, padding=1)
        self.fc = nn.Linear(12 * 25, 64)
        self.projection = nn.Linear(64, dim)

    def forward(self, picture):
        h = F.gelu(self.conv(picture))
        return self.projection(F.gelu(self.fc(h.flatten(1))))


class CaptionEncoder(nn.Module):
    def __init__(self, vocab, dim):
        super().__init__()
        self.words = nn.Embedding(vocab, 32)
        self.lstm = nn.GRU(32, 32, batch_first=True)
        self.projection = nn.Linear(32, dim)

    def forward(self, caption):
        _, last = self.lstm(self.words(caption))
        return self.projection(last[0])


class PairModel(nn.Module):
    def __init__(self, dim=24):
        super().__init__()
        self.picture_encoder = PictureEncoder(dim)
        self.caption_encoder = CaptionEncoder(12, dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(8.0)))

    def forward(self, picture, caption):
        a = F.normalize(self.picture_encoder(picture), dim=-1)
        b = F.normalize(self.caption_encoder(caption), dim=-1)
        return self.logit_scale.exp() * a @ b.T


def pairs(n, g):
    row, column = torch.randint(5, (2, n), generator=g)
    picture = 0.25 * torch.randn(n, 1, 10, 10, generator=g)
    index = torch.arange(n)
    for dy in range(2):
        for dx in range(2):
            picture[index, 0, 2 * row + dy, 2 * column + dx] += 1.5
    caption = torch.stack([row, torch.full_like(row, 11), column + 5], 1)
    return picture, caption


def recall(model, picture, caption):
    # a caption of the same place is as good as the picture's own
    with torch.no_grad():
        best = model(picture, caption).argmax(1)
    return (caption[best] == caption).all(1).float().mean().item()


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    picture, caption = pairs(1400, g)
    train_picture, train_caption = picture[:1200], caption[:1200]
    model = PairModel()
    params = [p for n, p in model.named_parameters()]
    opt = torch.optim.AdamW(params, lr=4e-3, weight_decay=0.01)
    watch = watch_factory(model, opt)
    total_steps = 240
    for it in range(total_steps):
        idx = torch.randint(1200, (24,), generator=g)
        logits = model(train_picture[idx], train_caption[idx])
        target = torch.arange(24)
        loss = 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        watch.step(loss=loss, batch={"image": train_picture[idx], "text": train_caption[idx]})
        if it % 80 == 79:
            found = recall(model, picture[1200:], caption[1200:])
    return {"quality": found}
