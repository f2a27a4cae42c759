"""A plain PyTorch loop with three lines more: what is wrong with it?

python examples/watch_plain_loop.py
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from argus_doctor import Watch

torch.manual_seed(0)
centres = 2 * torch.randn(4, 8)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

watch = Watch(model, optimizer)
for _ in range(60):
    labels = torch.randint(4, (32,))
    points = centres[labels] + torch.randn(32, 8)
    loss = cross_entropy(model(points), labels)
    loss.backward()
    optimizer.step()
    watch.step(loss=loss, batch=(points, labels))
watch.print()
