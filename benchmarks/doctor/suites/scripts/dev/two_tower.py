"""Answer a question about a small picture: which colour has the named quarter?"""

import torch
import torch.nn.functional as F
from torch import nn


class ImageTower(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.proj = nn.Linear(16 * 4 * 4, dim)

    def forward(self, pixels):
        h = F.relu(self.conv1(pixels))
        h = F.relu(self.conv2(h))
        return self.proj(h.flatten(1))


class TextTower(nn.Module):
    def __init__(self, vocab, dim):
        super().__init__()
        self.embedding = nn.Embedding(vocab, dim)
        self.mix = nn.Linear(dim, dim)

    def forward(self, ids):
        return self.mix(self.embedding(ids).mean(1))


class Answerer(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.vision = ImageTower(dim)
        self.text = TextTower(10, dim)
        self.fuse = nn.Sequential(nn.Linear(3 * dim, 64), nn.ReLU(), nn.Linear(64, 3))

    def forward(self, pixels, ids):
        v = self.vision(pixels)
        t = self.text(ids)
        return self.fuse(torch.cat([v, t, v * t], dim=1))


def make_data(n, rng):
    colours = torch.randint(3, (n, 2, 2), generator=rng)
    pixels = F.one_hot(colours, 3).permute(0, 3, 1, 2).float()
    pixels = pixels.repeat_interleave(4, 2).repeat_interleave(4, 3)
    pixels = pixels + 0.2 * torch.randn(n, 3, 8, 8, generator=rng)
    quarter = torch.randint(4, (n,), generator=rng)
    # "what colour is QUARTER": words 0-2, then the quarter's word
    ids = torch.cat([torch.tensor([[0, 1, 2]]).expand(n, 3), quarter[:, None] + 4], 1)
    answer = colours.flatten(1)[torch.arange(n), quarter]
    return pixels, ids, answer


def evaluate(model, data):
    pixels, ids, answer = data
    model.eval()
    with torch.no_grad():
        acc = (model(pixels, ids).argmax(1) == answer).float().mean().item()
    model.train()
    return acc


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    pixels, ids, answer = make_data(2300, rng)
    train_set = [t[:2000] for t in (pixels, ids, answer)]
    val_set = [t[2000:] for t in (pixels, ids, answer)]
    model = Answerer()
    optimizer = torch.optim.AdamW(
        [
            {"params": model.vision.parameters(), "lr": 3e-3},
            {"params": model.text.parameters(), "lr": 3e-3},
            {"params": model.fuse.parameters(), "lr": 3e-3},
        ],
        weight_decay=1e-4,
    )
    watch = watch_factory(model, optimizer)
    for step in range(300):
        pick = torch.randint(2000, (32,), generator=rng)
        batch = {
            "pixel_values": train_set[0][pick],
            "input_ids": train_set[1][pick],
            "labels": train_set[2][pick],
        }
        logits = model(batch["pixel_values"], batch["input_ids"])
        loss = F.cross_entropy(logits, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=batch)
        if (step + 1) % 100 == 0:
            val_accuracy = evaluate(model, val_set)
    return {"quality": val_accuracy}
