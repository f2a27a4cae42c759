"""Training as timm does it: label smoothing, warm-up and cosine, evaluation of an average of the weights."""

import math
from copy import deepcopy

import torch
import torch.nn as nn
import torch.nn.functional as F


class ModelEmaV2(nn.Module):
    """Keep a moving average of everything in the model state_dict (parameters and buffers)."""

    def __init__(self, model, decay=0.98):
        super().__init__()
        self.module = deepcopy(model)
        self.module.eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model):
        for ema_v, model_v in zip(
            self.module.state_dict().values(), model.state_dict().values(), strict=True
        ):
            ema_v.copy_(self.decay * ema_v + (1.0 - self.decay) * model_v)


class LabelSmoothingCrossEntropy(nn.Module):
    def __init__(self, smoothing=0.1):
        super().__init__()
        self.smoothing, self.confidence = smoothing, 1.0 - smoothing

    def forward(self, x, target):
        logprobs = F.log_softmax(x, dim=-1)
        nll_loss = -logprobs.gather(dim=-1, index=target.unsqueeze(1)).squeeze(1)
        return (self.confidence * nll_loss - self.smoothing * logprobs.mean(dim=-1)).mean()


class ConvNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(32, num_classes))

    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean((2, 3)))


def digits(n, g):
    """Seven-segment digits at any place, in noise."""
    segments = ["1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010", "1111111",
                "1111011"]  # fmt: skip
    at = [(0, slice(0, 5)), (slice(0, 4), 0), (slice(0, 4), 4), (3, slice(0, 5)), (slice(3, 7), 0), (slice(3, 7), 4),
          (6, slice(0, 5))]  # fmt: skip
    glyphs = torch.zeros(10, 7, 5)
    for digit, lit in enumerate(segments):
        for place, on in zip(at, lit, strict=True):
            if on == "1":
                glyphs[digit][place] = 1.0
    y = torch.randint(10, (n,), generator=g)
    x = 0.25 * torch.randn(n, 1, 12, 12, generator=g)
    rows, cols = (torch.randint(k, (n,), generator=g).tolist() for k in (6, 8))
    for i in range(n):
        x[i, 0, rows[i] : rows[i] + 7, cols[i] : cols[i] + 5] += glyphs[y[i]]
    return x, y


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    x, y = digits(3000, g)
    x_val, y_val = digits(500, g)
    model = ConvNet()
    model_ema = ModelEmaV2(model)
    decay = [p for p in model.parameters() if p.ndim > 1]
    no_decay = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": no_decay, "weight_decay": 0.0}, {"params": decay, "weight_decay": 0.05}], lr=1e-6
    )
    train_loss_fn, warmup, updates, lr = LabelSmoothingCrossEntropy(), 25, 350, 1e-2
    watch = watch_factory(model, optimizer)
    for num_updates in range(updates):
        cosine = 0.5 * (1 + math.cos(math.pi * num_updates / updates))
        for group in optimizer.param_groups:
            group["lr"] = 1e-6 + (lr - 1e-6) * (num_updates / warmup if num_updates < warmup else cosine)
        idx = torch.randint(len(x), (48,), generator=g)
        images, target = x[idx], y[idx]
        output = model(images)
        loss = train_loss_fn(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model_ema.update(model)
        watch.step(loss=loss, batch=(images, target))
    with torch.no_grad():
        return {"quality": (model_ema.module(x_val).argmax(1) == y_val).float().mean().item()}
