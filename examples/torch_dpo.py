"""Weighted or doubly robust DPO of a small softmax policy in PyTorch; bayespref gives the weights."""

from collections.abc import Callable

import torch
from torch.nn.functional import softplus


def train(state, item_a, item_b, label, weight, *, n_states, n_items, beta=1.0, q=None, target_q=None, steps=200):
    """Fit logits (state, item) against an even reference; with q and target_q (state, item, item) doubly robust."""
    logits = torch.zeros(n_states, n_items, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=steps, tolerance_grad=1e-10, tolerance_change=1e-14)
    first, second = torch.triu_indices(n_items, n_items, 1)

    def loss():
        log_policy = torch.log_softmax(logits, dim=1)  # the even reference cancels in the margin
        z = beta * (log_policy[state, item_a] - log_policy[state, item_b])
        if q is None or target_q is None:
            return (weight * (softplus(z) - label * z)).mean()
        target_z = beta * (log_policy[:, first] - log_policy[:, second])
        direct = (
            softplus(target_z) - target_q[:, first, second] * target_z
        ).mean()  # target tuples: states, pairs even
        return direct - (weight * (label - q) * z).mean()

    optimiser.step(_closure(optimiser, loss))
    return torch.softmax(logits.detach(), dim=1)


def _closure(optimiser: torch.optim.Optimizer, loss: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    def step():
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    return step
