"""SWA: a constant rate at the end, averaged weights, and ``update_bn`` over the training set."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.swa_utils import SWALR, AveragedModel, update_bn


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(6, 16, generator=rng)
    y = torch.randint(6, (1280,), generator=rng)
    x = centres[y] + 0.7 * torch.randn(1280, 16, generator=rng)
    dataset = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(dataset, 64, shuffle=True, generator=rng)
    model = nn.Sequential(nn.Linear(16, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 6))
    swa_model = AveragedModel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    swa_scheduler = SWALR(optimizer, swa_lr=0.02, anneal_epochs=2)
    watch = watch_factory(model, optimizer)
    for epoch in range(14):
        for xb, yb in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(xb, yb))
        if epoch >= 8:
            swa_model.update_parameters(model)
            swa_scheduler.step()
            update_bn(loader, model)  # the running statistics of this epoch's weights
    update_bn(loader, swa_model)
    swa_model.eval()
    with torch.no_grad():
        return {"quality": (swa_model(x).argmax(1) == y).float().mean().item()}
