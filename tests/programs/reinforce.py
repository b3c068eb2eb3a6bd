"""Policy gradient: REINFORCE with a baseline and a recurrent policy, in a small environment."""

from collections import deque, namedtuple
from itertools import count

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.distributions import Categorical

SavedAction = namedtuple("SavedAction", ["log_prob", "value", "entropy"])
eps = np.finfo(np.float32).eps.item()


class Corridor:
    """A cue tells on which end the reward lies; it is shown in the first step only."""

    def __init__(self, rng, length=5, max_steps=12):
        self.rng = rng
        self.length = length
        self.max_steps = max_steps

    def reset(self):
        self.position, self.steps = 0, 0
        self.goal = self.length if self.rng.rand() < 0.5 else -self.length
        return self.observe()

    def observe(self):
        cue = np.sign(self.goal) if self.steps == 0 else 0.0
        return np.array([self.position / self.length, cue, 1.0], dtype=np.float32)

    def step(self, action):
        self.position += (-1, 0, 1)[action]
        self.steps += 1
        done = abs(self.position) == self.length or self.steps == self.max_steps
        reward = (1.0 if self.position == self.goal else -1.0) if done else -0.02
        return self.observe(), reward, done, {}


class Policy(nn.Module):
    """Actor and critic in one model."""

    def __init__(self, rng):
        super(Policy, self).__init__()
        self.gru = nn.GRUCell(3, 16)
        self.action_head = nn.Linear(16, 3)
        self.value_head = nn.Linear(16, 1)
        for module in self.children():
            for p in module.parameters():
                p.data = torch.tensor(rng.randn(*p.shape) * 0.3, dtype=p.dtype)
        self.saved_actions = []
        self.rewards = []

    def forward(self, x, h):
        h = self.gru(x, h)
        action_prob = F.softmax(self.action_head(h), dim=-1)
        return action_prob, self.value_head(h), h


def select_action(model, state, hidden, rng):
    state = torch.from_numpy(state).float().unsqueeze(0)
    probs, state_value, hidden = model(state, hidden)
    m = Categorical(probs)
    # Sampled by the inverse of the distribution, with NumPy's numbers.
    action = torch.tensor([int((m.probs.detach().cumsum(-1) < rng.rand()).sum().clamp(max=2))])
    model.saved_actions.append(SavedAction(m.log_prob(action), state_value, m.entropy()))
    return action.item(), hidden


def finish_episode(model, optimizer, gamma=0.97):
    R = 0
    policy_losses = []
    value_losses = []
    returns = deque()
    for r in model.rewards[::-1]:
        R = r + gamma * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    for (log_prob, value, entropy), R in zip(model.saved_actions, returns):
        advantage = R - value.item()
        policy_losses.append(-log_prob * advantage - 0.01 * entropy)
        value_losses.append(F.smooth_l1_loss(value.squeeze(0), torch.tensor([R])))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    del model.rewards[:]
    del model.saved_actions[:]
    return loss.item()


def main(episodes=40):
    rng = np.random.RandomState(543)
    env = Corridor(rng)
    model = Policy(rng)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    running_reward = 0.0
    losses = []
    for i_episode in range(episodes):
        state, ep_reward = env.reset(), 0
        hidden = torch.zeros(1, 16)
        for t in count(1):
            action, hidden = select_action(model, state, hidden, rng)
            state, reward, done, _ = env.step(action)
            model.rewards.append(reward)
            ep_reward += reward
            if done:
                break
        running_reward = 0.05 * ep_reward + (1 - 0.05) * running_reward
        losses += [finish_episode(model, optimizer), t]
        if i_episode % 10 == 0:
            print("Episode {}\tLast reward: {:.2f}\tAverage: {:.2f}".format(i_episode, ep_reward, running_reward))
    with torch.no_grad():
        probs, value, _ = model(torch.from_numpy(env.reset()).unsqueeze(0), torch.zeros(1, 16))
        sampled = Categorical(probs=probs).sample((5,))
        assert sampled.shape == torch.Size([5, 1]) and sampled.dtype == torch.int64
    return losses + probs.squeeze().tolist() + [value.item(), running_reward]


if __name__ == "__main__":
    main()
