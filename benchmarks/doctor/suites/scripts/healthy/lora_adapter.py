"""LoRA (Hu et al., 2021) after microsoft/LoRA: the base is frozen, B begins at zero, the head is new."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class LoRALinear(nn.Linear):
    """LoRA implemented in a dense layer."""

    def __init__(self, in_features, out_features, r=4, lora_alpha=8):
        super().__init__(in_features, out_features)
        self.lora_A = nn.Parameter(self.weight.new_zeros((r, in_features)))
        self.lora_B = nn.Parameter(self.weight.new_zeros((out_features, r)))
        self.scaling = lora_alpha / r
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x):
        result = F.linear(x, self.weight, bias=self.bias)
        return result + (x @ self.lora_A.transpose(0, 1) @ self.lora_B.transpose(0, 1)) * self.scaling


class Reader(nn.Module):
    """A bag of attention over tokens."""

    def __init__(self, vocab=40, dim=48, classes=4):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.query, self.value = LoRALinear(dim, dim), LoRALinear(dim, dim)
        self.key, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.classifier = nn.Linear(dim, classes)

    def forward(self, ids):
        x = self.embed(ids)
        y = F.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x))
        return self.classifier(F.gelu(self.out(x + y)).mean(1))


def mark_only_lora_as_trainable(model):
    for n, p in model.named_parameters():
        p.requires_grad = "lora_" in n


def texts(n, g, topics):
    """Each class favours some words."""
    y = torch.randint(len(topics), (n,), generator=g)
    special = topics[y[:, None], torch.randint(topics.shape[1], (n, 12), generator=g)]
    plain = torch.randint(40, (n, 12), generator=g)
    return torch.where(torch.rand(n, 12, generator=g) < 0.35, special, plain), y


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    words = torch.randperm(40, generator=g)
    before, after = words[:24].view(4, 6), words[12:36].view(4, 6).flip(0)
    model = Reader()
    pretraining = torch.optim.Adam((p for n, p in model.named_parameters() if "lora_" not in n), lr=3e-3)
    for _ in range(150):
        x, y = texts(64, g, before)
        loss = F.cross_entropy(model(x), y)
        pretraining.zero_grad()
        loss.backward()
        pretraining.step()

    mark_only_lora_as_trainable(model)
    model.classifier = nn.Linear(48, 4)
    x_train, y_train = texts(2000, g, after)
    x_test, y_test = texts(500, g, after)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 300)
    watch = watch_factory(model, optimizer, frozen=["embed.*", "query.weight", "query.bias", "value.weight",
                                                    "value.bias", "key.*", "out.*"])  # fmt: skip
    for _ in range(300):
        i = torch.randint(2000, (32,), generator=g)
        loss = F.cross_entropy(model(x_train[i]), y_train[i])
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        watch.step(loss=loss, batch=(x_train[i], y_train[i]))
    model.eval()
    with torch.no_grad():
        return {"quality": (model(x_test).argmax(1) == y_test).float().mean().item()}
