"""DQN: replay memory, a target network copied now and then, epsilon-greedy acting."""

import random
from collections import deque

import torch
import torch.nn as nn
import torch.nn.functional as F


class QNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))

    def forward(self, x):
        return self.net(x)


def step_world(state, action):
    dx, dy = ((1, 0), (-1, 0), (0, 1), (0, -1))[action]
    x, y = min(max(state[0] + dx, 0), 4), min(max(state[1] + dy, 0), 4)
    return (x, y), (1.0 if (x, y) == (4, 4) else -0.02), (x, y) == (4, 4)


def train(watch_factory, seed):
    random.seed(seed)
    policy_net, target_net = QNet(), QNet()
    target_net.load_state_dict(policy_net.state_dict())
    optimizer = torch.optim.AdamW(policy_net.parameters(), lr=1e-3, amsgrad=True)
    watch = watch_factory(policy_net, optimizer)
    memory = deque(maxlen=2000)
    state, solved, steps = (0, 0), [], 0
    for t in range(500):
        eps = max(0.1, 1 - t / 250)
        if random.random() < eps:
            action = random.randrange(4)
        else:
            with torch.no_grad():
                action = policy_net(torch.tensor([state], dtype=torch.float32) / 4).argmax(1).item()
        following, reward, done = step_world(state, action)
        memory.append((state, action, reward, following, done))
        steps += 1
        state = following
        if done or steps > 60:
            solved.append(done)
            state, steps = (0, 0), 0
        if len(memory) < 64:
            continue
        batch = random.sample(memory, 64)
        s, a, r, n, d = zip(*batch, strict=True)
        s, n = torch.tensor(s, dtype=torch.float32) / 4, torch.tensor(n, dtype=torch.float32) / 4
        q = policy_net(s).gather(1, torch.tensor(a)[:, None]).squeeze(1)
        with torch.no_grad():
            expected = torch.tensor(r) + 0.95 * target_net(n).max(1).values * (
                1 - torch.tensor(d, dtype=torch.float32)
            )
        loss = F.smooth_l1_loss(q, expected)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(policy_net.parameters(), 100)
        optimizer.step()
        if t % 25 == 0:
            target_net.load_state_dict(policy_net.state_dict())
        watch.step(loss=loss, batch=(s, a))
    return {"quality": float(sum(solved) > 0) - loss.item()}
