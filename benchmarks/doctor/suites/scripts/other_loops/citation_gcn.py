"""Two layers of graph convolution over a dense adjacency matrix."""

import torch
import torch.nn.functional as F
from torch import nn


class GraphConvolution(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, features, adjacency):
        return adjacency @ self.linear(features)


class GCN(nn.Module):
    def __init__(self, inputs, hidden, classes, dropout=0.3):
        super().__init__()
        self.gc1, self.gc2 = GraphConvolution(inputs, hidden), GraphConvolution(hidden, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features, adjacency):
        hidden = self.dropout(F.relu(self.gc1(features, adjacency)))
        return self.gc2(hidden, adjacency)


def citation_graph(g, nodes=300, classes=5):
    labels = torch.randint(classes, (nodes,), generator=g)
    same = labels[:, None] == labels[None, :]
    edges = torch.rand(nodes, nodes, generator=g) < torch.where(same, 0.03, 0.012)
    adjacency = (edges | edges.t()).float() + torch.eye(nodes)
    degree = adjacency.sum(1).rsqrt()
    features = torch.randn(classes, 60, generator=g)[labels] * 0.35 + torch.randn(nodes, 60, generator=g)
    return features, degree[:, None] * adjacency * degree[None, :], labels


def train(watch_factory, seed):
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    features, adjacency, labels = citation_graph(g)
    order = torch.randperm(len(labels), generator=g)
    train_mask = torch.zeros(len(labels), dtype=torch.bool).index_fill(0, order[:150], True)
    test_mask = ~train_mask
    model = GCN(60, 32, 5)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    watch = watch_factory(model, optimizer)
    for epoch in range(150):
        model.train()
        output = model(features, adjacency)
        loss = F.cross_entropy(output[train_mask], labels[train_mask])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(features, adjacency, labels))
        if epoch % 10 == 9:
            model.eval()
            with torch.no_grad():
                predicted = model(features, adjacency).argmax(1)
    accuracy = (predicted[test_mask] == labels[test_mask]).float().mean().item()
    return {"quality": accuracy}
