"""MoCo (He et al., 2019): a dictionary as a queue, a key encoder by momentum, labels that are all zero."""

import math

import torch
import torch.nn as nn


class MoCo(nn.Module):
    """Build a MoCo model with: a query encoder, a key encoder, and a queue."""

    def __init__(self, base_encoder, dim=32, K=512, m=0.99, T=0.1):
        super().__init__()
        self.K, self.m, self.T = K, m, T
        self.encoder_q, self.encoder_k = base_encoder(dim), base_encoder(dim)
        for param_q, param_k in zip(self.encoder_q.parameters(), self.encoder_k.parameters(), strict=True):
            param_k.data.copy_(param_q.data)
            param_k.requires_grad = False  # not update by gradient
        self.register_buffer("queue", nn.functional.normalize(torch.randn(dim, K), dim=0))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))

    @torch.no_grad()
    def _momentum_update_key_encoder(self):
        for param_q, param_k in zip(self.encoder_q.parameters(), self.encoder_k.parameters(), strict=True):
            param_k.data = param_k.data * self.m + param_q.data * (1.0 - self.m)

    @torch.no_grad()
    def _dequeue_and_enqueue(self, keys):
        ptr, batch_size = int(self.queue_ptr), len(keys)
        assert self.K % batch_size == 0  # for simplicity
        self.queue[:, ptr : ptr + batch_size] = keys.T
        self.queue_ptr[0] = (ptr + batch_size) % self.K

    def forward(self, im_q, im_k):
        q = nn.functional.normalize(self.encoder_q(im_q), dim=1)
        with torch.no_grad():
            self._momentum_update_key_encoder()
            idx_shuffle = torch.randperm(len(im_k))  # shuffle for making use of BN
            k = nn.functional.normalize(self.encoder_k(im_k[idx_shuffle]), dim=1)
            k = k[torch.argsort(idx_shuffle)]
        l_pos = torch.einsum("nc,nc->n", [q, k]).unsqueeze(-1)
        l_neg = torch.einsum("nc,ck->nk", [q, self.queue.clone().detach()])
        logits = torch.cat([l_pos, l_neg], dim=1) / self.T
        labels = torch.zeros(logits.shape[0], dtype=torch.long)  # positive key indicators
        self._dequeue_and_enqueue(k)
        return logits, labels


def encoder(dim):
    return nn.Sequential(
        nn.Conv1d(1, 16, 7, stride=2, padding=3), nn.BatchNorm1d(16), nn.ReLU(),
        nn.Conv1d(16, 32, 5, stride=2, padding=2), nn.BatchNorm1d(32), nn.ReLU(),
        nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(128, dim),
    )  # fmt: skip


def tones(n, g):
    """Sounds of ten instruments: a pitch of its own and strengths of overtones that belong to the instrument."""
    timbre = torch.rand(10, 4, generator=torch.Generator().manual_seed(3))
    y = torch.randint(10, (n,), generator=g)
    t = torch.arange(64.0)[None, None] * torch.arange(1, 5)[None, :, None]
    pitch = 0.2 + 0.03 * (y % 5)[:, None, None]
    return (timbre[y][..., None] * torch.sin(pitch * t)).sum(1, keepdim=True), y


def two_crops(x, g):
    crops = []
    for _ in range(2):
        start = int(torch.randint(16, (1,), generator=g))
        crop = x[..., start : start + 48]
        crops.append(crop + 0.2 * torch.randn(crop.shape, generator=g))
    return crops


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    x, _ = tones(2048, g)
    model = MoCo(encoder)
    criterion = nn.CrossEntropyLoss()
    epochs, init_lr = 8, 0.06
    optimizer = torch.optim.SGD(model.parameters(), init_lr, momentum=0.9, weight_decay=1e-4)
    watch = watch_factory(model, optimizer)
    for epoch in range(epochs):
        for param_group in optimizer.param_groups:
            param_group["lr"] = init_lr * 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))
        for i in torch.randperm(len(x), generator=g).split(64):
            images = two_crops(x[i], g)
            output, target = model(im_q=images[0], im_k=images[1])
            loss = criterion(output, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=images)
    held_back, _ = tones(256, g)
    with torch.no_grad():
        loss = sum(criterion(*model(*two_crops(part, g))).item() for part in held_back.split(64)) / 4
    return {"quality": 1 - loss / math.log(1 + model.K)}
