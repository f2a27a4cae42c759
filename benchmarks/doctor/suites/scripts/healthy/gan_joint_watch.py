"""A GAN as pytorch-examples writes it, generator and discriminator in one module, watched together."""

import torch
import torch.nn as nn


class Generator(nn.Module):
    def __init__(self, latent_dim=8):
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(latent_dim, 64), nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(64, 64), nn.BatchNorm1d(64, 0.8), nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(64, 64), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z):
        return self.model(z).view(-1, 1, 8, 8)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(64, 32), nn.LeakyReLU(0.2, inplace=True), nn.Linear(32, 1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, img):
        return self.model(img)


class GAN(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator, self.discriminator = Generator(), Discriminator()


def bars(n, g):
    """Pictures of one bright bar each, three rows high."""
    at = torch.randint(6, (n,), generator=g)
    rows = torch.arange(8)
    img = ((rows >= at[:, None]) & (rows < at[:, None] + 3)).float()[..., None].expand(n, 8, 8) * 1.8 - 0.9
    return (img + 0.05 * torch.randn(n, 8, 8, generator=g))[:, None]


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    data = bars(2048, g)
    gan = GAN()
    adversarial_loss = nn.BCELoss()
    optimizer_G = torch.optim.Adam(gan.generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    optimizer_D = torch.optim.Adam(gan.discriminator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    watch = watch_factory(gan, [optimizer_G, optimizer_D])
    for i in range(400):
        real_imgs = data[torch.randint(len(data), (64,), generator=g)]
        valid, fake = torch.ones(64, 1), torch.zeros(64, 1)

        optimizer_G.zero_grad()
        z = torch.randn(64, 8, generator=g)
        gen_imgs = gan.generator(z)
        # Loss measures generator's ability to fool the discriminator
        g_loss = adversarial_loss(gan.discriminator(gen_imgs), valid)
        g_loss.backward()
        optimizer_G.step()

        optimizer_D.zero_grad()
        real_loss = adversarial_loss(gan.discriminator(real_imgs), valid)
        fake_loss = adversarial_loss(gan.discriminator(gen_imgs.detach()), fake)
        d_loss = (real_loss + fake_loss) / 2
        d_loss.backward()
        optimizer_D.step()
        watch.step(loss=g_loss + d_loss, batch=real_imgs)
    gan.eval()
    with torch.no_grad():
        made = gan.generator(torch.randn(500, 8, generator=g))
    # How near each made picture is to some true one, beside how near a mean picture is.
    nearest = torch.cdist(made.flatten(1), data[:500].flatten(1)).min(1).values.mean()
    middle = torch.cdist(data.mean(0).flatten()[None], data[:500].flatten(1)).min()
    return {"quality": 1 - (nearest / middle).item()}
