"""A convolutional backbone, trained on orientations, learns to tell digit-like glyphs."""

import torch
import torch.nn as nn
import torch.nn.functional as F

STROKES = torch.tensor(
    [
        [1, 1, 1, 0, 1, 1, 1],
        [0, 0, 1, 0, 0, 1, 0],
        [1, 0, 1, 1, 1, 0, 1],
        [1, 0, 1, 1, 0, 1, 1],
        [0, 1, 1, 1, 0, 1, 0],
        [1, 1, 0, 1, 0, 1, 1],
        [0, 1, 0, 1, 1, 1, 1],
        [1, 0, 1, 0, 0, 1, 1],
    ]
)


def glyph(kind):
    canvas = torch.zeros(9, 7)
    top, left_up, right_up, middle, left_low, right_low, bottom = STROKES[kind].tolist()
    canvas[1, 1:6] += top
    canvas[1:5, 1] += left_up
    canvas[1:5, 5] += right_up
    canvas[4, 1:6] += middle
    canvas[4:8, 1] += left_low
    canvas[4:8, 5] += right_low
    canvas[7, 1:6] += bottom
    return canvas.clamp(max=1)


def glyphs(kinds, n, g):
    templates = torch.stack([glyph(k) for k in kinds])
    label = torch.randint(len(kinds), (n,), generator=g)
    image = torch.zeros(n, 1, 12, 12)
    for i in range(n):
        dy, dx = torch.randint(4, (2,), generator=g).tolist()
        image[i, 0, dy : dy + 9, dx : dx + 7] = templates[label[i]]
    return image + 0.25 * torch.randn(image.shape, generator=g), label


class ConvBackbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 3, padding=1)
        self.conv2 = nn.Conv2d(12, 16, 3, padding=1)
        self.embed = nn.Linear(16 * 9, 48)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.relu(self.embed(x.flatten(1)))


class GlyphModel(nn.Module):
    def __init__(self, encoder, num_classes):
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(48, num_classes)

    def forward(self, x):
        return self.fc(self.dropout(self.encoder(x)))


def pretrained_encoder(g):
    source = GlyphModel(ConvBackbone(), 5)
    images, labels = glyphs([0, 1, 2, 3, 4], 600, g)
    opt = torch.optim.Adam(source.parameters(), lr=4e-3)
    for _ in range(120):
        idx = torch.randint(600, (32,), generator=g)
        opt.zero_grad()
        F.cross_entropy(source(images[idx]), labels[idx]).backward()
        opt.step()
    return source.encoder


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    encoder = pretrained_encoder(g)
    images, labels = glyphs([3, 4, 5, 6, 7], 700, g)
    train_images, train_labels = images[:500], labels[:500]
    test_images, test_labels = images[500:], labels[500:]

    net = GlyphModel(encoder, 5)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    monitor = watch_factory(net, optimizer)
    for epoch in range(11):
        net.train()
        permutation = torch.randperm(500, generator=g)
        for k in range(0, 500, 25):
            batch_x = train_images[permutation[k : k + 25]]
            batch_y = train_labels[permutation[k : k + 25]]
            net.zero_grad(set_to_none=True)
            scores = net(batch_x)
            loss = F.cross_entropy(scores, batch_y)
            loss.backward()
            optimizer.step()
            monitor.step(loss=loss, batch=(batch_x, batch_y))
        net.eval()
        with torch.no_grad():
            test_accuracy = (net(test_images).argmax(1) == test_labels).float().mean().item()
    return {"quality": test_accuracy}
