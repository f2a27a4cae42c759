"""How often does the marker follow a zero? A small transformer counts."""

import torch
from torch import nn
from torch.nn import functional as F


class Config:
    vocab = 8
    length = 14
    dim = 32
    heads = 4
    layers = 2
    classes = 4
    lr = 3e-3
    steps = 260
    batch = 32


class SequenceClassifier(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.token_embedding = nn.Embedding(cfg.vocab, cfg.dim)
        self.position_embedding = nn.Parameter(torch.randn(cfg.length, cfg.dim) * 0.02)
        layer = nn.TransformerEncoderLayer(
            cfg.dim, cfg.heads, 2 * cfg.dim, dropout=0.1, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, cfg.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(cfg.dim)
        self.classifier = nn.Linear(cfg.dim, cfg.classes)

    def forward(self, tokens):
        h = self.token_embedding(tokens) + self.position_embedding
        h = self.encoder(h)
        return self.classifier(self.norm(h).mean(dim=1))


def generate(n, cfg, rng):
    # the class is how often the marker 7 occurs after a 0, from none to three
    tokens = torch.randint(1, cfg.vocab - 1, (n, cfg.length), generator=rng)
    label = torch.randint(cfg.classes, (n,), generator=rng)
    slots = torch.rand(n, cfg.length // 2, generator=rng).argsort(1) * 2
    for k in range(cfg.classes - 1):
        rows = (label > k).nonzero().squeeze(1)
        tokens[rows, slots[rows, k]] = 0
        tokens[rows, slots[rows, k] + 1] = cfg.vocab - 1
    return tokens, label


@torch.no_grad()
def accuracy(model, tokens, label):
    model.eval()
    acc = (model(tokens).argmax(-1) == label).float().mean().item()
    model.train()
    return acc


def train(watch_factory, seed):
    cfg = Config()
    rng = torch.Generator().manual_seed(seed)
    tokens, label = generate(2400, cfg, rng)
    held_tokens, held_label = tokens[2000:], label[2000:]
    tokens, label = tokens[:2000], label[:2000]
    model = SequenceClassifier(cfg)
    decay = [p for p in model.parameters() if p.dim() > 1]
    no_decay = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.01}, {"params": no_decay, "weight_decay": 0.0}], lr=cfg.lr
    )
    watch = watch_factory(model, optimizer)
    step = 0
    while True:
        pick = torch.randint(len(tokens), (cfg.batch,), generator=rng)
        x, y = tokens[pick], label[pick]
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        watch.step(loss=loss, batch={"input_ids": x, "labels": y})
        step += 1
        if step % 65 == 0:
            result = accuracy(model, held_tokens, held_label)
        if step == cfg.steps:
            return {"quality": result}
