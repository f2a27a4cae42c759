"""Find two marks, one bright and one dark, in a picture, by attention over its patches."""

import torch
from torch import nn


class PatchPoints(nn.Module):
    def __init__(self, width=32, positions=True):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, stride=2)
        self.places = nn.Parameter(0.5 * torch.randn(64, width)) if positions else 0.0
        self.mix = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.queries = nn.Parameter(torch.randn(2, width))
        self.read = nn.MultiheadAttention(width, 4, batch_first=True)
        self.point = nn.Linear(width, 2)

    def forward(self, image):
        tokens = self.mix(self.patches(image).flatten(2).transpose(1, 2) + self.places)
        found, _ = self.read(self.queries.expand(len(image), -1, -1), tokens, tokens)
        return self.point(found).flatten(1)


def render(n, rng):
    """Pictures [n, 1, 16, 16] and points [n, 4] = (x, y) of the bright, then of the dark mark, in -1..1."""
    points = torch.rand(n, 2, 2, generator=rng) * 1.4 - 0.7
    grid = torch.linspace(-1, 1, 16)
    image = torch.zeros(n, 16, 16)
    for k, sign in enumerate((1.0, -1.0)):
        dx = grid[None, None, :] - points[:, k, 0, None, None]
        dy = grid[None, :, None] - points[:, k, 1, None, None]
        image += sign * torch.exp(-(dx**2 + dy**2) / 0.05)
    image += 0.05 * torch.randn(n, 16, 16, generator=rng)
    return image[:, None], points.flatten(1)


def hit_rate(net, images, points):
    """Share of marks that are found within 0.2."""
    net.eval()
    with torch.no_grad():
        difference = (net(images) - points).view(-1, 2, 2).norm(dim=-1)
    return (difference < 0.2).float().mean().item()


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    images, points = render(1200, rng)
    val_images, val_points = images[1000:], points[1000:]
    images, points = images[:1000], points[:1000]
    net = PatchPoints(width=32, positions=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    loss_fn = nn.MSELoss()
    watch = watch_factory(net, optimizer)
    for epoch in range(5):
        net.train()
        for idx in torch.randperm(1000, generator=rng).split(25):
            optimizer.zero_grad()
            pred = net(images[idx])
            loss = loss_fn(pred, points[idx])
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(images[idx], points[idx]))
        val = hit_rate(net, val_images, val_points)
    return {"quality": val}
