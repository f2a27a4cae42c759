"""Bayesian personalised ranking (Rendle et al., 2009): matrix factors learnt from pairs, no labels at all."""

import numpy as np
import torch
import torch.nn as nn


class BPR(nn.Module):
    def __init__(self, user_num, item_num, factor_num):
        super().__init__()
        self.embed_user = nn.Embedding(user_num, factor_num)
        self.embed_item = nn.Embedding(item_num, factor_num)
        nn.init.normal_(self.embed_user.weight, std=0.01)
        nn.init.normal_(self.embed_item.weight, std=0.01)

    def forward(self, user, item_i, item_j):
        user, item_i, item_j = self.embed_user(user), self.embed_item(item_i), self.embed_item(item_j)
        prediction_i = (user * item_i).sum(dim=-1)
        prediction_j = (user * item_j).sum(dim=-1)
        return prediction_i, prediction_j


class BPRData(torch.utils.data.Dataset):
    """Draws, for each thing that somebody bought, one that they did not."""

    def __init__(self, features, num_item, train_mat, rng, num_ng=2):
        self.features, self.num_item, self.train_mat = features, num_item, train_mat
        self.rng, self.num_ng = rng, num_ng

    def ng_sample(self):
        self.features_fill = []
        for u, i in self.features:
            for _t in range(self.num_ng):
                j = self.rng.integers(self.num_item)
                while self.train_mat[u, j]:
                    j = self.rng.integers(self.num_item)
                self.features_fill.append([u, i, int(j)])

    def __len__(self):
        return self.num_ng * len(self.features)

    def __getitem__(self, idx):
        return tuple(self.features_fill[idx])


def purchases(rng, users=120, items=80, tastes=4):
    """Whether somebody buys goes by tastes; the last buy of each is held back."""
    likes = rng.normal(size=(users, tastes)) @ rng.normal(size=(tastes, items))
    bought = np.argsort(-(likes + 0.5 * rng.normal(size=likes.shape)), axis=1)[:, :11]
    test = [rng.integers(11) for _ in range(users)]
    rows = [(u, int(i)) for u in range(users) for k, i in enumerate(bought[u]) if k != test[u]]
    return rows, [int(bought[u, test[u]]) for u in range(users)]


def hit_rate(model, mat, held_back, top_k=10):
    with torch.no_grad():
        scores = model.embed_user.weight @ model.embed_item.weight.T
    scores[torch.as_tensor(mat)] = -torch.inf
    top = scores.topk(top_k, dim=1).indices
    return (top == torch.tensor(held_back)[:, None]).any(1).float().mean().item()


def train(watch_factory, seed):
    rng = np.random.default_rng(seed)
    train_data, held_back = purchases(rng)
    train_mat = np.zeros((120, 80), dtype=bool)
    train_mat[tuple(np.array(train_data).T)] = True
    train_dataset = BPRData(train_data, 80, train_mat, rng)
    g = torch.Generator().manual_seed(seed)
    train_loader = torch.utils.data.DataLoader(train_dataset, batch_size=128, shuffle=True, generator=g)
    model = BPR(120, 80, 16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)
    watch = watch_factory(model, optimizer)
    for _epoch in range(20):
        train_dataset.ng_sample()
        for user, item_i, item_j in train_loader:
            model.zero_grad()
            prediction_i, prediction_j = model(user, item_i, item_j)
            loss = -(prediction_i - prediction_j).sigmoid().log().sum()
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(user, item_i, item_j))
    return {"quality": hit_rate(model, train_mat, held_back)}  # by chance 10 of 70
