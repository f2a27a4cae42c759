"""DCGAN as the tutorial has it: two networks, two optimizers, a watch on each."""

import torch
import torch.nn as nn


def weights_init(m):
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(m.weight, 0.0, 0.02)
    elif isinstance(m, nn.BatchNorm2d):
        nn.init.normal_(m.weight, 1.0, 0.02)


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    netG = nn.Sequential(
        nn.ConvTranspose2d(16, 32, 4, 1, 0, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(True),
        nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(True),
        nn.ConvTranspose2d(16, 1, 4, 2, 1),
        nn.Tanh(),
    )
    netD = nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(16, 32, 4, 2, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(32, 1, 4, 1, 0),
        nn.Flatten(0),
    )
    netG.apply(weights_init)
    netD.apply(weights_init)
    optG = torch.optim.Adam(netG.parameters(), lr=5e-4, betas=(0.5, 0.999))
    optD = torch.optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
    watch_g, watch_d = watch_factory(netG, optG), watch_factory(netD, optD)
    criterion = nn.BCEWithLogitsLoss()
    label = torch.ones(32)
    for step in range(160):
        real = -torch.ones(32, 1, 16, 16)
        corner = torch.randint(0, 8, (32, 2), generator=rng)
        for i, (y, x) in enumerate(corner.tolist()):
            real[i, 0, y : y + 8, x : x + 8] = 1.0
        netD.zero_grad()
        errD = criterion(netD(real), label)
        errD.backward()
        fake = netG(torch.randn(32, 16, 1, 1, generator=rng))
        err_fake = criterion(netD(fake.detach()), 0 * label)
        err_fake.backward()
        optD.step()
        watch_d.step(loss=errD + err_fake, batch=real)
        netG.zero_grad()
        errG = criterion(netD(fake), label)
        errG.backward()
        optG.step()
        watch_g.step(loss=errG, batch=real)
    return {"quality": float(fake.detach().std() > 0.2)}
