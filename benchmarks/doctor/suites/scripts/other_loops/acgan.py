"""A GAN whose discriminator also tells the class (auxiliary classifier GAN)."""

import torch
import torch.nn.functional as F
from torch import nn


class Generator(nn.Module):
    def __init__(self, latent_dim=8, n_classes=4):
        super().__init__()
        self.label_emb = nn.Embedding(n_classes, latent_dim)
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)
        )

    def forward(self, noise, labels):
        return self.layers(self.label_emb(labels) * noise.abs().add(0.5) + 0.3 * noise)


class Discriminator(nn.Module):
    def __init__(self, n_classes=4):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2))
        self.adv_layer = nn.Linear(64, 1)
        self.aux_layer = nn.Sequential(nn.Linear(64, n_classes))

    def forward(self, points):
        hidden = self.trunk(points)
        return self.adv_layer(hidden), self.aux_layer(hidden)


CENTRES = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0], [0.0, -2.0]])


def train(watch_factory, seed):
    torch.manual_seed(seed)
    netG, netD = Generator(), Discriminator()
    opt_g = torch.optim.Adam(netG.parameters(), lr=1e-3, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(netD.parameters(), lr=1e-3, betas=(0.5, 0.999))
    watch_g, watch_d = watch_factory(netG, opt_g), watch_factory(netD, opt_d)
    batch_size = 64
    valid, fake = torch.ones(batch_size, 1), torch.zeros(batch_size, 1)
    for _ in range(500):
        labels = torch.randint(4, (batch_size,))
        real = CENTRES[labels] + 0.3 * torch.randn(batch_size, 2)
        z, gen_labels = torch.randn(batch_size, 8), torch.randint(4, (batch_size,))

        opt_g.zero_grad()
        generated = netG(z, gen_labels)
        validity, pred_label = netD(generated)
        g_loss = 0.5 * (
            F.binary_cross_entropy_with_logits(validity, valid) + F.cross_entropy(pred_label, gen_labels)
        )
        g_loss.backward()
        opt_g.step()
        watch_g.step(loss=g_loss, batch=(z, gen_labels))

        opt_d.zero_grad()
        real_pred, real_aux = netD(real)
        fake_pred, fake_aux = netD(generated.detach())
        d_real = F.binary_cross_entropy_with_logits(real_pred, valid) + F.cross_entropy(real_aux, labels)
        d_fake = F.binary_cross_entropy_with_logits(fake_pred, fake) + F.cross_entropy(fake_aux, gen_labels)
        d_loss = 0.25 * (d_real + d_fake)
        d_loss.backward()
        opt_d.step()
        watch_d.step(loss=d_loss, batch=(real, labels))
    with torch.no_grad():
        wanted = torch.arange(4).repeat(100)
        points = netG(torch.randn(400, 8), wanted)
        near = (points - CENTRES[wanted]).norm(dim=1) < 1.0
        test_labels = torch.randint(4, (400,))
        test = CENTRES[test_labels] + 0.3 * torch.randn(400, 2)
        scores = netD(test)[1]
        confidence = scores.softmax(1).gather(1, test_labels[:, None]).mean()
    return {"quality": min(near.float().mean().item(), confidence.item())}
