"""A ResNet whose blocks begin as the identity (Goyal et al., 2017), trained to a rate of almost 0."""

import torch
import torch.nn as nn


class BasicBlock(nn.Module):
    def __init__(self, inplanes, planes, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + identity)


class ResNet(nn.Module):
    def __init__(self, num_classes, zero_init_residual=True):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, 3, padding=1, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(12), nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(BasicBlock(12, 12), BasicBlock(12, 12))
        self.layer2 = nn.Sequential(BasicBlock(12, 24, stride=2), BasicBlock(24, 24))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(24, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        if zero_init_residual:
            for m in self.modules():
                if isinstance(m, BasicBlock):
                    nn.init.constant_(m.bn2.weight, 0)

    def forward(self, x):
        x = self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def flags(n, g):
    """Three stripes in three of four colours, upright or lying: the class is their order."""
    colours = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    orders = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 3, 0], [3, 1, 0], [1, 3, 2]])
    y = torch.randint(6, (n,), generator=g)
    img = colours[orders[y]].repeat_interleave(4, 1).transpose(1, 2)[..., None].expand(n, 3, 12, 12).clone()
    lying = torch.rand(n, generator=g) < 0.5
    img[lying] = img[lying].transpose(2, 3)
    img = (img - img.mean((0, 2, 3), keepdim=True)) / img.std((0, 2, 3), keepdim=True)
    return img + 0.6 * torch.randn(img.shape, generator=g), y


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    x, y = flags(2000, g)
    model, criterion = ResNet(6), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
    # The cosine ends after two thirds; the rest is run at 1e-5, to settle the norms.
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=130, eta_min=1e-5)
    watch = watch_factory(model, optimizer)
    for step in range(200):
        i = torch.randint(1600, (32,), generator=g)
        images, target = x[i], y[i]
        loss = criterion(model(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step < 130:
            cosine.step()
        watch.step(loss=loss, batch=(images, target), lr=optimizer.param_groups[0]["lr"])
    model.eval()
    with torch.no_grad():
        return {"quality": (model(x[1600:]).argmax(1) == y[1600:]).float().mean().item()}
