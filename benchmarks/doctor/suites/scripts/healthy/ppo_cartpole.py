"""PPO on cart-pole, after CleanRL's ppo.py: clipped surrogate, clipped value loss, entropy bonus, annealed rate."""

import numpy as np
import torch
import torch.nn as nn
from torch.distributions.categorical import Categorical

num_envs, num_steps, num_updates, update_epochs, num_minibatches = 8, 64, 24, 4, 4
learning_rate, gamma, gae_lambda = 1e-3, 0.98, 0.95
clip_coef, ent_coef, vf_coef, max_grad_norm = 0.2, 0.01, 0.5, 0.5


class CartPoles:
    """Several cart-poles with the constants of the classic task; one that has fallen is set up again."""

    def __init__(self, n, rng):
        self.rng, self.age, self.lengths = rng, np.zeros(n), []
        self.state = rng.uniform(-0.05, 0.05, (n, 4))

    def step(self, action):
        _x, x_dot, theta, theta_dot = self.state.T
        force = np.where(action == 1, 10.0, -10.0)
        cos, sin = np.cos(theta), np.sin(theta)
        temp = (force + 0.05 * theta_dot**2 * sin) / 1.1
        theta_acc = (9.8 * sin - cos * temp) / (0.5 * (4.0 / 3.0 - 0.1 * cos**2 / 1.1))
        x_acc = temp - 0.05 * theta_acc * cos / 1.1
        self.state = self.state + 0.02 * np.stack([x_dot, x_acc, theta_dot, theta_acc], 1)
        self.age += 1
        done = (np.abs(self.state[:, 0]) > 2.4) | (np.abs(self.state[:, 2]) > 0.2095) | (self.age >= 200)
        for i in np.flatnonzero(done):
            self.lengths.append(self.age[i])
            self.state[i], self.age[i] = self.rng.uniform(-0.05, 0.05, 4), 0
        return self.state, np.ones(len(done)), done


def layer_init(layer, std=np.sqrt(2), bias_const=0.0):
    nn.init.orthogonal_(layer.weight, std)
    nn.init.constant_(layer.bias, bias_const)
    return layer


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(
            layer_init(nn.Linear(4, 64)), nn.Tanh(), layer_init(nn.Linear(64, 64)), nn.Tanh(),
            layer_init(nn.Linear(64, 1), std=1.0),
        )  # fmt: skip
        self.actor = nn.Sequential(
            layer_init(nn.Linear(4, 64)), nn.Tanh(), layer_init(nn.Linear(64, 64)), nn.Tanh(),
            layer_init(nn.Linear(64, 2), std=0.01),
        )  # fmt: skip

    def get_value(self, x):
        return self.critic(x)

    def get_action_and_value(self, x, action=None):
        probs = Categorical(logits=self.actor(x))
        if action is None:
            action = probs.sample()
        return action, probs.log_prob(action), probs.entropy(), self.critic(x)


def train(watch_factory, seed):
    rng = np.random.default_rng(seed)
    envs, agent = CartPoles(num_envs, rng), Agent()
    optimizer = torch.optim.Adam(agent.parameters(), lr=learning_rate, eps=1e-5)
    watch = watch_factory(agent, optimizer)
    obs = torch.zeros(num_steps, num_envs, 4)
    actions, logprobs, rewards, dones, values = (torch.zeros(num_steps, num_envs) for _ in range(5))
    next_obs, next_done = torch.as_tensor(envs.state, dtype=torch.float32), torch.zeros(num_envs)
    for update in range(num_updates):
        optimizer.param_groups[0]["lr"] = (1.0 - update / num_updates) * learning_rate
        for step in range(num_steps):
            obs[step], dones[step] = next_obs, next_done
            with torch.no_grad():
                action, logprobs[step], _, value = agent.get_action_and_value(next_obs)
            actions[step], values[step] = action, value.flatten()
            state, reward, done = envs.step(action.numpy())
            rewards[step] = torch.as_tensor(reward)
            next_obs, next_done = torch.as_tensor(state, dtype=torch.float32), torch.as_tensor(done).float()
        with torch.no_grad():
            next_value = agent.get_value(next_obs).flatten()
            advantages, lastgaelam = torch.zeros_like(rewards), 0
            for t in reversed(range(num_steps)):
                nonterminal = 1.0 - (next_done if t == num_steps - 1 else dones[t + 1])
                nextvalues = next_value if t == num_steps - 1 else values[t + 1]
                delta = rewards[t] + gamma * nextvalues * nonterminal - values[t]
                advantages[t] = lastgaelam = delta + gamma * gae_lambda * nonterminal * lastgaelam
            returns = advantages + values
        b_obs, b_logprobs, b_actions = obs.reshape(-1, 4), logprobs.flatten(), actions.flatten()
        b_advantages, b_returns, b_values = advantages.flatten(), returns.flatten(), values.flatten()
        b_inds = np.arange(num_envs * num_steps)
        for _epoch in range(update_epochs):
            rng.shuffle(b_inds)
            for mb in np.split(b_inds, num_minibatches):
                _, newlogprob, entropy, newvalue = agent.get_action_and_value(b_obs[mb], b_actions[mb])
                ratio = (newlogprob - b_logprobs[mb]).exp()
                adv = (b_advantages[mb] - b_advantages[mb].mean()) / (b_advantages[mb].std() + 1e-8)
                pg_loss = torch.max(-adv * ratio, -adv * ratio.clamp(1 - clip_coef, 1 + clip_coef)).mean()
                newvalue = newvalue.view(-1)
                clipped = b_values[mb] + (newvalue - b_values[mb]).clamp(-10 * clip_coef, 10 * clip_coef)
                v_max = torch.max((newvalue - b_returns[mb]) ** 2, (clipped - b_returns[mb]) ** 2)
                loss = pg_loss - ent_coef * entropy.mean() + 0.5 * v_max.mean() * vf_coef
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), max_grad_norm)
                optimizer.step()
                watch.step(loss=loss, batch=(b_obs[mb], b_actions[mb]))
    return {"quality": float(np.mean(envs.lengths[-30:])) / 200}
