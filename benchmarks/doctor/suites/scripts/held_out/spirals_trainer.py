"""Three interleaved spirals."""

import math

import torch
import torch.nn as nn


def spirals(points_per_arm, arms, noise, generator):
    xs, ys = [], []
    for arm in range(arms):
        t = torch.rand(points_per_arm, generator=generator) * 2.2 + 0.3
        angle = 2 * t + 2 * math.pi * arm / arms
        p = torch.stack([t * angle.cos(), t * angle.sin()], dim=1)
        xs.append(p + noise * torch.randn(points_per_arm, 2, generator=generator))
        ys.append(torch.full((points_per_arm,), arm))
    x, y = torch.cat(xs), torch.cat(ys)
    mix = torch.randperm(len(x), generator=generator)
    return x[mix], y[mix]


class SpiralNet(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.input = nn.Linear(2, width)
        self.hidden1 = nn.Linear(width, width)
        self.hidden2 = nn.Linear(width, width)
        self.output = nn.Linear(width, 3)
        self.act = nn.ReLU()
        self.dropout = nn.Dropout(0.05)

    def forward(self, x):
        x = self.act(self.input(x))
        x = self.act(self.hidden1(x))
        x = self.dropout(self.act(self.hidden2(x)))
        return self.output(x)


class Trainer:
    def __init__(self, config, watch_factory, seed):
        self.config = config
        self.generator = torch.Generator().manual_seed(seed)
        x, y = spirals(500, 3, 0.08, self.generator)
        self.train_x, self.train_y = x[:1200], y[:1200]
        self.valid_x, self.valid_y = x[1200:], y[1200:]
        self.model = SpiralNet(config["width"])
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=config["lr"], weight_decay=1e-3)
        self.watch = watch_factory(self.model, self.optimizer)

    def train_epoch(self):
        self.model.train()
        order = torch.randperm(len(self.train_x), generator=self.generator)
        for chunk in order.split(self.config["batch_size"]):
            inputs, targets = self.train_x[chunk], self.train_y[chunk]
            self.optimizer.zero_grad()
            loss = self.loss(self.model(inputs), targets)
            loss.backward()
            self.optimizer.step()
            self.watch.step(loss=loss, batch=(inputs, targets))

    def validate(self):
        self.model.eval()
        with torch.no_grad():
            guesses = self.model(self.valid_x).argmax(dim=-1)
        return (guesses == self.valid_y).float().mean().item()

    def run(self):
        score = 0.0
        for _ in range(self.config["epochs"]):
            self.train_epoch()
            score = self.validate()
        return score


def train(watch_factory, seed):
    config = {"width": 64, "lr": 5e-3, "batch_size": 30, "epochs": 7}
    return {"quality": Trainer(config, watch_factory, seed).run()}
