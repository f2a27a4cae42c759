"""CLIP: pictures and texts by a learnt temperature, symmetric cross-entropy over the batch."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class CLIP(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.visual = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, dim))
        self.token_embedding = nn.Embedding(50, 64)
        self.text_projection = nn.Linear(64, dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, image, text):
        image = F.normalize(self.visual(image), dim=-1)
        text = F.normalize(self.text_projection(self.token_embedding(text).mean(1)), dim=-1)
        logits = self.logit_scale.exp() * image @ text.T
        return logits, logits.T


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    meanings = torch.randn(50, 16, generator=rng)
    model = CLIP()
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1]
    rest = [p for n, p in model.named_parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": rest, "weight_decay": 0.0}, {"params": decayed, "weight_decay": 0.2}],
        lr=2e-3,
        betas=(0.9, 0.98),
    )
    watch = watch_factory(model, optimizer)
    labels = torch.arange(48)
    for step in range(300):
        text = torch.randint(50, (48, 4), generator=rng)
        image = meanings[text].mean(1) + 0.05 * torch.randn(48, 16, generator=rng)
        per_image, per_text = model(image, text)
        loss = (F.cross_entropy(per_image, labels) + F.cross_entropy(per_text, labels)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        watch.step(loss=loss, batch=(image, text))
    return {"quality": (per_image.argmax(1) == labels).float().mean().item()}
