"""BERT's masked language model: 15 % of the tokens, most of them masked, some random, some kept; -100 elsewhere."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Bert(nn.Module):
    def __init__(self, vocab, dim=64, length=24):
        super().__init__()
        self.word, self.position = nn.Embedding(vocab, dim), nn.Embedding(length, dim)
        layer = nn.TransformerEncoderLayer(dim, 4, 128, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.cls = nn.Linear(dim, vocab)

    def forward(self, input_ids):
        x = self.word(input_ids) + self.position(torch.arange(input_ids.shape[1]))
        return self.cls(self.encoder(x))


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    vocab, mask_token = 42, 41
    model = Bert(vocab)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    watch = watch_factory(model, optimizer)
    hits = []
    for step in range(300):
        start = torch.randint(40, (32, 1), generator=rng)
        stride = torch.randint(1, 3, (32, 1), generator=rng)
        input_ids = (start + stride * torch.arange(24)) % 40
        labels = input_ids.clone()
        masked = torch.rand(input_ids.shape, generator=rng) < 0.15
        labels[~masked] = -100
        replaced = masked & (torch.rand(input_ids.shape, generator=rng) < 0.8)
        input_ids = torch.where(replaced, mask_token, input_ids)
        random = masked & ~replaced & (torch.rand(input_ids.shape, generator=rng) < 0.5)
        input_ids = torch.where(random, torch.randint(40, input_ids.shape, generator=rng), input_ids)
        logits = model(input_ids)
        loss = F.cross_entropy(logits.view(-1, vocab), labels.view(-1), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        watch.step(loss=loss, batch={"input_ids": input_ids, "labels": labels})
        hits.append((logits.argmax(-1) == labels)[masked].float().mean().item())
    return {"quality": sum(hits[-20:]) / 20}
