"""A convolutional network that takes the noise out of small pictures."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class BarsDataset(Dataset):
    def __init__(self, count, seed):
        g = torch.Generator().manual_seed(seed)
        clean = torch.zeros(count, 1, 12, 12)
        for image in clean:
            for _ in range(3):
                at = int(torch.randint(12, (1,), generator=g))
                if torch.rand(1, generator=g) < 0.5:
                    image[0, at, :] = 1
                else:
                    image[0, :, at] = 1
        self.clean = clean
        self.noisy = clean + 0.5 * torch.randn(clean.shape, generator=g)

    def __len__(self):
        return len(self.clean)

    def __getitem__(self, index):
        return self.noisy[index], self.clean[index]


class Denoiser(nn.Module):
    def __init__(self, channels=16):
        super().__init__()
        self.enc1 = nn.Conv2d(1, channels, 5, padding=2)
        self.enc2 = nn.Conv2d(channels, channels, 5, padding=2)
        self.dec1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.dec2 = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, noisy):
        h = F.leaky_relu(self.enc1(noisy), 0.1)
        h = F.leaky_relu(self.enc2(h), 0.1)
        h = F.leaky_relu(self.dec1(h), 0.1)
        return self.dec2(h)


def restored_share(model, loader):
    model.eval()
    error = power = 0.0
    with torch.no_grad():
        for noisy, clean in loader:
            error += (model(noisy) - clean).pow(2).sum().item()
            power += (clean - clean.mean()).pow(2).sum().item()
    model.train()
    return 1 - error / power


def train(watch_factory, seed):
    loader = DataLoader(BarsDataset(480, seed), batch_size=16, shuffle=True, drop_last=True)
    test_loader = DataLoader(BarsDataset(100, seed + 1000), batch_size=50)
    model = Denoiser()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    watch = watch_factory(model, optimizer)
    losses = []
    for epoch in range(8):
        for noisy, clean in loader:
            optimizer.zero_grad()
            output = model(noisy)
            loss = F.mse_loss(output, clean)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            watch.step(loss=loss, batch=(noisy, clean))
    return {"quality": restored_share(model, test_loader), "first": losses[0], "last": losses[-1]}
