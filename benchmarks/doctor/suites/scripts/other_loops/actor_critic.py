"""An actor and a critic on a walk along a line: one episode of many walkers a step."""

import torch
from torch import nn

LENGTH, HORIZON, GAMMA = 9, 16, 0.97


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(LENGTH, 32), nn.Tanh())
        self.policy_head = nn.Linear(32, 2)
        self.value_body = nn.Sequential(nn.Linear(LENGTH, 32), nn.Tanh())
        self.value_head = nn.Linear(32, 1)

    def forward(self, state):
        return self.policy_head(self.body(state)), self.value_head(self.value_body(state)).squeeze(-1)


def observe(place):
    return nn.functional.one_hot(place, LENGTH).float()


def play(model, walkers):
    place = torch.randint(0, LENGTH - 2, (walkers,))
    log_probs, values, rewards = [], [], []
    for _ in range(HORIZON):
        logits, value = model(observe(place))
        policy = torch.distributions.Categorical(logits=logits)
        action = policy.sample()
        place = (place + 2 * action - 1).clamp(0, LENGTH - 1)
        log_probs.append(policy.log_prob(action))
        values.append(value)
        rewards.append((place == LENGTH - 1).float())
    return torch.stack(log_probs), torch.stack(values), torch.stack(rewards)


def discounted(rewards):
    returns, running = [], torch.zeros(rewards.shape[1])
    for reward in rewards.flip(0):
        running = reward + GAMMA * running
        returns.insert(0, running)
    return torch.stack(returns)


def train(watch_factory, seed):
    torch.manual_seed(seed)
    model = ActorCritic()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    watch = watch_factory(model, optimizer)
    for _ in range(150):
        log_probs, values, rewards = play(model, 16)
        returns = discounted(rewards)
        advantage = returns - values.detach()
        actor_loss = -(log_probs * advantage).mean()
        critic_loss = (returns - values).pow(2).mean()
        loss = actor_loss + 0.5 * critic_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=returns)
    with torch.no_grad():
        _, values, rewards = play(model, 200)
        returns = discounted(rewards)
        explained = 1 - (returns - values).pow(2).mean() / returns.var()
    return {"quality": min(rewards[8:].mean().item(), explained.clamp(0, 1).item() + 0.2)}
