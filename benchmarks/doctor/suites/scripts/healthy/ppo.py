"""PPO on a bandit-like world: several epochs over each rollout, clipped ratio, value loss, entropy bonus."""

import torch
import torch.nn as nn
from torch.distributions import Categorical


class ActorCritic(nn.Module):
    def __init__(self, obs=6, actions=4):
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(obs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.actor, self.critic = nn.Linear(64, actions), nn.Linear(64, 1)
        nn.init.orthogonal_(self.actor.weight, 0.01)

    def forward(self, x):
        h = self.shared(x)
        return self.actor(h), self.critic(h).squeeze(-1)


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    world = torch.randn(6, 4, generator=rng)
    agent = ActorCritic()
    optimizer = torch.optim.Adam(agent.parameters(), lr=2.5e-3, eps=1e-5)
    watch = watch_factory(agent, optimizer)
    reward_mean = 0.0
    for update in range(25):
        obs = torch.randn(256, 6, generator=rng)
        with torch.no_grad():
            logits, values = agent(obs)
            dist = Categorical(logits=logits)
            actions = dist.sample()
            old_logp = dist.log_prob(actions)
        best = (obs @ world).argmax(1)
        rewards = (actions == best).float()
        reward_mean = rewards.mean().item()
        advantages = rewards - values
        for epoch in range(4):
            for index in torch.randperm(256, generator=rng).split(64):
                logits, value = agent(obs[index])
                dist = Categorical(logits=logits)
                ratio = (dist.log_prob(actions[index]) - old_logp[index]).exp()
                adv = advantages[index]
                adv = (adv - adv.mean()) / (adv.std() + 1e-8)
                pg_loss = torch.max(-adv * ratio, -adv * ratio.clamp(0.8, 1.2)).mean()
                v_loss = 0.5 * (value - rewards[index]).pow(2).mean()
                loss = pg_loss - 0.01 * dist.entropy().mean() + 0.5 * v_loss
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
                watch.step(loss=loss, batch=(obs[index], actions[index]))
    return {"quality": reward_mean}
