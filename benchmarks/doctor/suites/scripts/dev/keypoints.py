"""Find two marks, one bright and one dark, in a picture."""

import torch
from torch import nn


class KeypointNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 8, 3, padding=1),
            nn.ReLU(),
        )
        self.regressor = nn.Sequential(nn.Flatten(), nn.Linear(8 * 64, 64), nn.ReLU(), nn.Linear(64, 4))

    def forward(self, image):
        return self.regressor(self.features(image))


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


def augment(images, points, rng):
    flip = torch.rand(len(images), generator=rng) < 0.5
    images = torch.where(flip[:, None, None, None], images.flip(-1), images)
    mirrored = points * torch.tensor([-1.0, 1.0, -1.0, 1.0])
    points = torch.where(flip[:, None], mirrored, points)
    return images, points


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
    net = KeypointNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    loss_fn = nn.SmoothL1Loss(beta=0.1)
    watch = watch_factory(net, optimizer)
    epoch_size = 1000 // 25
    for epoch in range(7):
        net.train()
        perm = torch.randperm(1000, generator=rng)
        for b in range(epoch_size):
            idx = perm[b * 25 : (b + 1) * 25]
            img, pts = augment(images[idx], points[idx], rng)
            optimizer.zero_grad()
            pred = net(img)
            loss = loss_fn(pred, pts)
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(img, pts))
        val = hit_rate(net, val_images, val_points)
    return {"quality": val}
