"""A causal character model of made-up arithmetic lines."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

CHARS = "0123456789+=; abcdef"
CONTEXT = 24


def make_text(length, g):
    parts, size = [], 0
    while size < length:
        a, b = torch.randint(5, (2,), generator=g).tolist()
        name = "abcdef"[(a + b) % 6]
        part = f"{a}+{b}={a + b}{name}; "
        parts.append(part)
        size += len(part)
    return torch.tensor([CHARS.index(c) for c in "".join(parts)[:length]])


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.ln1 = nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.ln2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x, mask):
        h = self.ln1(x)
        x = x + self.attn(h, h, h, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp(self.ln2(x))


class CharModel(nn.Module):
    def __init__(self, vocab, dim=48, heads=4, depth=2):
        super().__init__()
        self.tok = nn.Embedding(vocab, dim)
        self.pos = nn.Embedding(CONTEXT, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.ln_f = nn.LayerNorm(dim)
        self.lm_head = nn.Linear(dim, vocab, bias=False)

    def forward(self, idx):
        T = idx.shape[1]
        mask = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        x = self.tok(idx) + self.pos(torch.arange(T))
        for block in self.blocks:
            x = block(x, mask)
        return self.lm_head(self.ln_f(x))


def get_batch(data, batch_size, g):
    ix = torch.randint(len(data) - CONTEXT - 1, (batch_size,), generator=g)
    x = torch.stack([data[i : i + CONTEXT] for i in ix])
    y = torch.stack([data[i + 1 : i + 1 + CONTEXT] for i in ix])
    return x, y


@torch.no_grad()
def estimate(model, data, g):
    model.eval()
    losses, hits = [], []
    for _ in range(4):
        x, y = get_batch(data, 32, g)
        logits = model(x)
        losses.append(F.cross_entropy(logits.flatten(0, 1), y.flatten()).item())
        hits.append((logits.argmax(-1) == y).float().mean().item())
    model.train()
    return sum(losses) / 4, sum(hits) / 4


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    text = make_text(12000, g)
    train_data, val_data = text[:10000], text[10000:]
    model = CharModel(len(CHARS))
    max_steps, warmup, max_lr = 240, 20, 4e-3
    opt = torch.optim.AdamW(model.parameters(), lr=max_lr, weight_decay=0.01)
    watch = watch_factory(model, opt)
    val_loss = None
    for step in range(max_steps):
        if step < warmup:
            lr = max_lr * (step + 1) / warmup
        else:
            lr = 0.5 * max_lr * (1 + math.cos(math.pi * (step - warmup) / (max_steps - warmup)))
        for group in opt.param_groups:
            group["lr"] = lr
        x, y = get_batch(train_data, 16, g)
        logits = model(x)
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), y.reshape(-1))
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if val_loss is None:
            watch.step(loss=loss, batch=(x, y), lr=lr)
        else:
            watch.step(loss=loss, batch=(x, y), lr=lr, val_loss=val_loss)
            val_loss = None
        if step % 60 == 59:
            val_loss, val_hits = estimate(model, val_data, g)
    # Three tokens of ten are free choices, so the best that can be reached is about 0.8.
    return {"quality": val_hits, "val_loss": estimate(model, val_data, g)[0]}
