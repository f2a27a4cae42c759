"""QLoRA's pattern: the base in int8 with scales (buffers), adapters in float32, activations in bfloat16."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class QuantLinear(nn.Module):
    def __init__(self, linear, r=8):
        super().__init__()
        scale = linear.weight.detach().abs().amax(1, keepdim=True) / 127
        self.register_buffer("qweight", (linear.weight.detach() / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", linear.bias.detach().clone())
        self.lora_A = nn.Linear(linear.in_features, r, bias=False)
        self.lora_B = nn.Linear(r, linear.out_features, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x):
        weight = self.qweight.to(torch.bfloat16) * self.scale.to(torch.bfloat16)
        out = F.linear(x.to(torch.bfloat16), weight, self.bias.to(torch.bfloat16)).float()
        return out + 2 * self.lora_B(self.lora_A(x))


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(6, 16, generator=rng)

    def batch(shift):
        y = torch.randint(6, (64,), generator=rng)
        return centres[y] + torch.randn(64, 16, generator=rng), (y + shift) % 6

    layers = [nn.Linear(16, 64), nn.Linear(64, 64), nn.Linear(64, 6)]
    base = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    pre = torch.optim.Adam(base.parameters(), 3e-3)
    for _ in range(100):
        x, y = batch(0)
        pre.zero_grad()
        F.cross_entropy(base(x), y).backward()
        pre.step()
    q = [QuantLinear(one) for one in layers]
    model = nn.Sequential(q[0], nn.ReLU(), q[1], nn.ReLU(), q[2])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    watch = watch_factory(model, optimizer)
    for step in range(250):
        x, y = batch(2)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3)
        optimizer.step()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.argmax(1) == y).float().mean().item()}
