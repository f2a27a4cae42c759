"""REINFORCE on cart-pole, after pytorch/examples: an episode an update, returns normalised within it."""

import math
from collections import deque

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical


class CartPole:
    def __init__(self, g):
        self.g = g

    def reset(self):
        self.state, self.t = ((torch.rand(4, generator=self.g) - 0.5) * 0.1).tolist(), 0
        return self.state

    def step(self, action):
        _x, x_dot, theta, theta_dot = self.state
        force = 10.0 if action == 1 else -10.0
        temp = (force + 0.05 * theta_dot**2 * math.sin(theta)) / 1.1
        acc = (9.8 * math.sin(theta) - math.cos(theta) * temp) / (
            0.5 * (4 / 3 - 0.1 * math.cos(theta) ** 2 / 1.1)
        )
        x_acc = temp - 0.05 * acc * math.cos(theta) / 1.1
        change = (x_dot, x_acc, theta_dot, acc)
        self.state = [s + 0.02 * d for s, d in zip(self.state, change, strict=True)]
        self.t += 1
        done = abs(self.state[0]) > 2.4 or abs(self.state[2]) > 0.2095 or self.t >= 150
        return self.state, 1.0, done


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(4, 128)
        self.dropout = nn.Dropout(p=0.2)
        self.affine2 = nn.Linear(128, 2)
        self.saved_log_probs, self.saved_states, self.rewards = [], [], []

    def forward(self, x):
        x = F.relu(self.dropout(self.affine1(x)))
        return F.softmax(self.affine2(x), dim=1)


def select_action(policy, state):
    state = torch.tensor(state).unsqueeze(0)
    m = Categorical(policy(state))
    action = m.sample()
    policy.saved_states.append(state)
    policy.saved_log_probs.append(m.log_prob(action))
    return action.item()


def finish_episode(policy, optimizer, gamma=0.98):
    R, returns = 0, deque()
    for r in policy.rewards[::-1]:
        R = r + gamma * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + 1e-6)
    policy_loss = torch.cat([-p * R for p, R in zip(policy.saved_log_probs, returns, strict=True)]).sum()
    optimizer.zero_grad()
    policy_loss.backward()
    optimizer.step()
    states = torch.cat(policy.saved_states)
    del policy.rewards[:], policy.saved_log_probs[:], policy.saved_states[:]
    return policy_loss, states


def train(watch_factory, seed):
    env = CartPole(torch.Generator().manual_seed(seed))
    policy = Policy()
    optimizer = torch.optim.Adam(policy.parameters(), lr=4e-3)
    watch = watch_factory(policy, optimizer)
    lengths = []
    for _i_episode in range(220):
        state, done = env.reset(), False
        while not done:
            state, reward, done = env.step(select_action(policy, state))
            policy.rewards.append(reward)
        lengths.append(env.t)
        loss, states = finish_episode(policy, optimizer)
        watch.step(loss=loss, batch=states)
    return {"quality": sum(lengths[-40:]) / 40 / 150, "at_first": sum(lengths[:10]) / 10 / 150}
