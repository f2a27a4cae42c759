"""REINFORCE with a moving baseline: the loss is a surrogate, of either sign, and never goes to zero."""

import torch
import torch.nn as nn
from torch.distributions import Categorical


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    policy = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=5e-3)
    watch = watch_factory(policy, optimizer)
    baseline, mean = 0.0, 0.0
    for episode in range(300):
        obs = torch.randn(32, 4, generator=rng)
        dist = Categorical(logits=policy(obs))
        action = dist.sample()
        reward = torch.where(action == (obs[:, 0] + obs[:, 1] > 0).long(), 1.0, -1.0)
        mean = reward.mean().item()
        baseline = 0.9 * baseline + 0.1 * mean
        loss = -(dist.log_prob(action) * (reward - baseline)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(obs, action))
    return {"quality": mean}
