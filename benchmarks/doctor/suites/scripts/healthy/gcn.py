"""A graph convolutional network on one graph: a sparse adjacency, features of all nodes, a mask for training."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass):
        super().__init__()
        self.gc1, self.gc2 = nn.Linear(nfeat, nhid), nn.Linear(nhid, nclass)

    def forward(self, x, adj):
        x = F.relu(torch.sparse.mm(adj, self.gc1(x)))
        x = F.dropout(x, 0.5, training=self.training)
        return F.log_softmax(torch.sparse.mm(adj, self.gc2(x)), dim=1)


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    n, classes = 300, 4
    labels = torch.randint(classes, (n,), generator=rng)
    same = labels[:, None] == labels[None]
    dense = (torch.rand(n, n, generator=rng) < torch.where(same, 0.05, 0.005)).float()
    dense = ((dense + dense.T) > 0).float() + torch.eye(n)
    adj = (dense / dense.sum(1, keepdim=True)).to_sparse()
    features = (torch.rand(n, 40, generator=rng) < 0.1).float()
    features[torch.arange(n), labels * 10 + torch.randint(10, (n,), generator=rng)] = 1.0
    idx_train, idx_val = torch.arange(0, 100), torch.arange(100, 200)
    model = GCN(40, 16, classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    watch = watch_factory(model, optimizer)
    for epoch in range(200):
        model.train()
        optimizer.zero_grad()
        output = model(features, adj)
        loss = F.nll_loss(output[idx_train], labels[idx_train])
        loss.backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            output = model(features, adj)
            val_loss = F.nll_loss(output[idx_val], labels[idx_val]).item()
        watch.step(loss=loss, batch=(features, adj, labels), val_loss=val_loss)
    return {"quality": (output[idx_val].argmax(1) == labels[idx_val]).float().mean().item()}
