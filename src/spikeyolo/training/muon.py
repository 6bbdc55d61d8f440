"""Muon: a step along the momentum whose singular values are made one, beside AdamW for what is no matrix.

Jordan and others, "Muon: An optimizer for hidden layers in neural networks" (2024), which leaves the last layer to
AdamW; for the size of a step beside AdamW's Liu and others, "Muon is scalable for LLM training", arXiv 2502.16982.
torch's own takes two axes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

MATRICES = "matrices"
"""The group of parameters that it treats so."""

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of x, x^3 and x^5 (Jordan and others): five times over, they take 0.003..1 to 0.68..1.14."""

ITERATIONS = 5

ADAMW_RMS = 0.2
"""Root mean square of AdamW's step, in learning rates, as Liu and others found it: so both take the same rate."""


class Muon(AdamW):
    """AdamW, but for the group of matrices: kernels of convolutions, (out, in, height, width).

    Their output channels are rows, all else is columns. Nesterov's momentum (betas[0]) of the gradient is made
    orthogonal and scaled to AdamW's usual length; weight decay is AdamW's.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step; matrices have no gradient afterwards."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["name"] == MATRICES:
                self._step_matrices(group)
        super().step()
        return loss

    @torch.no_grad()
    def _step_matrices(self, group: dict[str, Any]) -> None:
        lr, beta = group["lr"], group["betas"][0]
        for weight in group["params"]:
            gradient, state = weight.grad, self.state[weight]
            if gradient is None:
                continue
            if not state:
                state["step"], state["exp_avg"] = torch.zeros(()), torch.zeros_like(weight)
            state["step"] += 1
            momentum = state["exp_avg"].mul_(beta).add_(gradient)
            rows = gradient.add(momentum, alpha=beta).flatten(1)
            weight.mul_(1 - lr * group["weight_decay"])
            length = ADAMW_RMS * max(rows.shape) ** 0.5
            weight.add_(orthogonal(rows).view_as(weight), alpha=-lr * length)
            weight.grad = None  # AdamW leaves out what has none


def orthogonal(matrix: Tensor) -> Tensor:
    """Return the matrix with its singular values near one: 0.7 to 1.2, but for those below 0.003 of its norm.

    Args:
        matrix: (rows, columns), float.
    """
    flat = matrix.T if len(matrix) > matrix.shape[1] else matrix
    first, third, fifth = NEWTON_SCHULZ
    flat = flat / flat.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        square = flat @ flat.T
        flat = torch.addmm(flat, torch.addmm(square, square, square, beta=third, alpha=fifth), flat, beta=first)
    return flat.T if len(matrix) > matrix.shape[1] else flat
