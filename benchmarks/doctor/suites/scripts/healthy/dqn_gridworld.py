"""DQN (Mnih et al., 2015): replay, a target network that is copied now and then, epsilon-greedy acting."""

import random
from collections import deque, namedtuple

import torch
import torch.nn as nn

Transition = namedtuple("Transition", ("state", "action", "next_state", "reward", "done"))
WALLS = {(1, 1), (1, 2), (3, 2), (3, 3)}
MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))


class Maze:
    """Five by five; the goal is the far corner, the start anywhere."""

    def reset(self, at=None):
        while at is None or at in WALLS or at == (4, 4):
            at = (random.randrange(5), random.randrange(5))
        self.at, self.t = at, 0
        return self.observe()

    def observe(self):
        state = torch.zeros(25)
        state[5 * self.at[0] + self.at[1]] = 1
        return state

    def step(self, action):
        new = (self.at[0] + MOVES[action][0], self.at[1] + MOVES[action][1])
        if new not in WALLS and 0 <= new[0] < 5 and 0 <= new[1] < 5:
            self.at = new
        self.t += 1
        terminated = self.at == (4, 4)
        return self.observe(), 1.0 if terminated else 0.0, terminated, self.t >= 40


class ReplayMemory:
    def __init__(self, capacity):
        self.memory = deque(maxlen=capacity)

    def push(self, *args):
        self.memory.append(Transition(*args))

    def sample(self, batch_size):
        return random.sample(self.memory, batch_size)


class DQN(nn.Module):
    def __init__(self, n_observations, n_actions):
        super().__init__()
        self.layer1 = nn.Linear(n_observations, 64)
        self.layer2 = nn.Linear(64, 64)
        self.layer3 = nn.Linear(64, n_actions)

    def forward(self, x):
        x = torch.relu(self.layer1(x))
        return self.layer3(torch.relu(self.layer2(x)))


def train(watch_factory, seed):
    random.seed(seed)
    env, gamma, batch_size = Maze(), 0.9, 64
    policy_net, target_net = DQN(25, 4), DQN(25, 4)
    target_net.load_state_dict(policy_net.state_dict())
    optimizer = torch.optim.AdamW(policy_net.parameters(), lr=2e-3, amsgrad=True)
    memory, criterion = ReplayMemory(4000), nn.SmoothL1Loss()
    watch = watch_factory(policy_net, optimizer)
    state, updates, acted = env.reset(), 0, 0
    while updates < 400:
        acted += 1
        if random.random() < max(0.1, 1.0 - acted / 2000):
            action = random.randrange(4)
        else:
            with torch.no_grad():
                action = policy_net(state[None]).argmax(1).item()
        next_state, reward, terminated, truncated = env.step(action)
        memory.push(state, action, next_state, reward, float(terminated))
        state = env.reset() if terminated or truncated else next_state
        if acted < 600 or acted % 4:
            continue
        batch = Transition(*zip(*memory.sample(batch_size), strict=True))
        states, next_states = torch.stack(batch.state), torch.stack(batch.next_state)
        actions, rewards = torch.tensor(batch.action), torch.tensor(batch.reward)
        q_val = policy_net(states).gather(1, actions[:, None]).squeeze(1)
        with torch.no_grad():
            expected = (
                rewards + gamma * (1 - torch.tensor(batch.done)) * target_net(next_states).max(1).values
            )
        loss = criterion(q_val, expected)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
        optimizer.step()
        updates += 1
        if updates % 10 == 0:
            target_net.load_state_dict(policy_net.state_dict())
        watch.step(loss=loss, batch=(states, actions))
    state, rewarded = env.reset((0, 0)), 0.0
    for _ in range(20):
        with torch.no_grad():
            state, reward, terminated, _ = env.step(policy_net(state[None]).argmax(1).item())
        rewarded += reward
        if terminated:
            break
    return {"quality": rewarded}
