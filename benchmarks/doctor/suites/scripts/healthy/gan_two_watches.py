"""DCGAN after pytorch/examples, on small pictures of blobs; generator and discriminator each with a watch."""

import torch
import torch.nn as nn

nz, ngf, ndf, batch_size = 16, 16, 16, 32


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        torch.nn.init.normal_(m.weight, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        torch.nn.init.normal_(m.weight, 1.0, 0.02)
        torch.nn.init.zeros_(m.bias)


def generator():
    return nn.Sequential(
        nn.ConvTranspose2d(nz, ngf * 2, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf * 2), nn.ReLU(True),
        nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False), nn.BatchNorm2d(ngf), nn.ReLU(True),
        nn.ConvTranspose2d(ngf, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip


def discriminator():
    return nn.Sequential(
        nn.Conv2d(1, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(ndf * 2), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(ndf * 2, 1, 4, 1, 0, bias=False), nn.Sigmoid(), nn.Flatten(0),
    )  # fmt: skip


def blobs(n, g):
    v = torch.linspace(-1, 1, 16)
    centre = (torch.rand(n, 2, 1, 1, generator=g) - 0.5) * 0.6
    spot = torch.exp(-((v - centre[:, 0]) ** 2 + (v[:, None] - centre[:, 1]) ** 2) / 0.15)
    return (1.8 * spot - 0.9)[:, None]


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    dataset = blobs(1600, g)
    netG, netD = generator(), discriminator()
    netG.apply(weights_init)
    netD.apply(weights_init)
    criterion = nn.BCELoss()
    optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=1e-3, betas=(0.5, 0.999))
    watchD, watchG = watch_factory(netD, optimizerD), watch_factory(netG, optimizerG)
    real_label, fake_label = 1.0, 0.0
    for _epoch in range(7):
        for real in dataset[torch.randperm(len(dataset), generator=g)].split(batch_size):
            # (1) Update D network: maximize log(D(x)) + log(1 - D(G(z)))
            netD.zero_grad()
            label = torch.full((len(real),), real_label)
            errD_real = criterion(netD(real), label)
            errD_real.backward()
            noise = torch.randn(len(real), nz, 1, 1, generator=g)
            fake = netG(noise)
            label.fill_(fake_label)
            errD_fake = criterion(netD(fake.detach()), label)
            errD_fake.backward()
            errD = errD_real + errD_fake
            optimizerD.step()
            watchD.step(loss=errD, batch=real)
            # (2) Update G network: maximize log(D(G(z)))
            netG.zero_grad()
            label.fill_(real_label)  # fake labels are real for generator cost
            errG = criterion(netD(fake), label)
            errG.backward()
            optimizerG.step()
            watchG.step(loss=errG, batch=noise)
    netG.eval()
    with torch.no_grad():
        made = netG(torch.randn(300, nz, 1, 1, generator=g))
    return {"quality": 1 - ((made.mean(0) - dataset.mean(0)).abs().mean() / dataset.std()).item()}
