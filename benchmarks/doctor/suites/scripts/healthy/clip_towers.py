"""CLIP (Radford et al., 2021): two towers, a learnt scale that is clamped, a symmetric loss over the batch."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

WORDS = ["red", "green", "blue", "small", "large", "top", "bottom", "left", "right", "square", "cross"]


def captioned(n, g):
    """Pictures of one thing and the words for colour, size, place and shape."""
    images, captions = 0.1 * torch.randn(n, 3, 16, 16, generator=g), []
    colour, size, row, col, kind = (torch.randint(k, (n,), generator=g).tolist() for k in (3, 2, 2, 2, 2))
    for i in range(n):
        s, y, x = 3 + 3 * size[i], 1 + 8 * row[i], 1 + 8 * col[i]
        patch = torch.ones(s, s)
        if kind[i]:
            patch = torch.zeros(s, s)
            patch[s // 2], patch[:, s // 2] = 1, 1
        images[i, colour[i], y : y + s, x : x + s] += patch
        captions.append([colour[i], 3 + size[i], 5 + row[i], 7 + col[i], 9 + kind[i]])
    return images, torch.tensor(captions)


class CLIP(nn.Module):
    def __init__(self, embed_dim=32, width=48):
        super().__init__()
        self.visual = nn.Sequential(
            nn.Conv2d(3, 24, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(24, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 16, width), nn.ReLU(), nn.LayerNorm(width),
        )  # fmt: skip
        self.visual_projection = nn.Parameter(width**-0.5 * torch.randn(width, embed_dim))
        self.token_embedding = nn.Embedding(len(WORDS), width)
        self.positional_embedding = nn.Parameter(0.01 * torch.randn(5, width))
        self.transformer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(width**-0.5 * torch.randn(width, embed_dim))
        self.logit_scale = nn.Parameter(torch.ones([]) * np.log(1 / 0.07))

    def encode_image(self, image):
        return self.visual(image) @ self.visual_projection

    def encode_text(self, text):
        x = self.transformer(self.token_embedding(text) + self.positional_embedding)
        return self.ln_final(x).mean(1) @ self.text_projection

    def forward(self, image, text):
        image_features = F.normalize(self.encode_image(image), dim=-1)
        text_features = F.normalize(self.encode_text(text), dim=-1)
        logits_per_image = self.logit_scale.exp() * image_features @ text_features.t()
        return logits_per_image, logits_per_image.t()


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    images, captions = captioned(2400, g)
    model = CLIP()
    exclude = lambda n, p: p.ndim < 2 or "ln" in n or "bias" in n or "logit_scale" in n  # noqa: E731
    named = list(model.named_parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for n, p in named if exclude(n, p)], "weight_decay": 0.0},
            {"params": [p for n, p in named if not exclude(n, p)], "weight_decay": 0.2},
        ],
        lr=1e-3, betas=(0.9, 0.98), eps=1e-6,
    )  # fmt: skip
    watch = watch_factory(model, optimizer)
    ground_truth = torch.arange(32)
    for _ in range(300):
        pick = torch.randint(2000, (32,), generator=g)
        logits_per_image, logits_per_text = model(images[pick], captions[pick])
        loss_i = F.cross_entropy(logits_per_image, ground_truth)
        loss_t = F.cross_entropy(logits_per_text, ground_truth)
        total_loss = (loss_i + loss_t) / 2
        optimizer.zero_grad()
        total_loss.backward()
        optimizer.step()
        with torch.no_grad():  # note: we clamp to 4.6052 = ln(100), as in the original paper.
            model.logit_scale.clamp_(0, np.log(100))
        watch.step(loss=total_loss, batch={"image": images[pick], "text": captions[pick]})
    every = torch.cartesian_prod(*(torch.tensor(ids) for ids in ([0, 1, 2], [3, 4], [5, 6], [7, 8], [9, 10])))
    model.eval()
    with torch.no_grad():  # zero-shot: which of all 48 captions
        found = model(images[2000:], every)[0].argmax(1)
    return {"quality": (every[found] == captions[2000:]).all(1).float().mean().item()}
