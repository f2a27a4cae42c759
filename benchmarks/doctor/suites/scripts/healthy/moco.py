"""MoCo: a queue of keys from a momentum encoder, InfoNCE whose positive is always class 0."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def encoder():
    return nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 32))


class MoCo(nn.Module):
    def __init__(self, dim=32, K=512, m=0.99, T=0.2):
        super().__init__()
        self.K, self.m, self.T = K, m, T
        self.encoder_q, self.encoder_k = encoder(), encoder()
        for q, k in zip(self.encoder_q.parameters(), self.encoder_k.parameters(), strict=True):
            k.data.copy_(q.data)
            k.requires_grad = False
        self.register_buffer("queue", F.normalize(torch.randn(dim, K), dim=0))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))

    def forward(self, im_q, im_k):
        q = F.normalize(self.encoder_q(im_q), dim=1)
        with torch.no_grad():
            for a, b in zip(self.encoder_q.parameters(), self.encoder_k.parameters(), strict=True):
                b.data = b.data * self.m + a.data * (1.0 - self.m)
            k = F.normalize(self.encoder_k(im_k), dim=1)
        l_pos = torch.einsum("nc,nc->n", [q, k]).unsqueeze(-1)
        l_neg = torch.einsum("nc,ck->nk", [q, self.queue.clone().detach()])
        logits = torch.cat([l_pos, l_neg], dim=1) / self.T
        labels = torch.zeros(logits.shape[0], dtype=torch.long)
        ptr = int(self.queue_ptr)
        self.queue[:, ptr : ptr + len(k)] = k.T
        self.queue_ptr[0] = (ptr + len(k)) % self.K
        return logits, labels


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    model = MoCo()
    optimizer = torch.optim.SGD(model.encoder_q.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    watch = watch_factory(model, optimizer)
    criterion = nn.CrossEntropyLoss()
    for step in range(300):
        x = torch.randn(64, 24, generator=rng)
        im_q, im_k = (x + 0.2 * torch.randn(64, 24, generator=rng) for _ in range(2))
        output, target = model(im_q, im_k)
        loss = criterion(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(im_q, im_k))
    return {"quality": (output.argmax(1) == 0).float().mean().item()}
