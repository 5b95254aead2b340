"""Cross-entropy over a large vocabulary, a few positions at a time, with its gradient.

The logits of a whole sequence would be the largest thing in memory by far, and positions that do not count need none.
So the head is applied here, chunk by chunk, and the gradient of the hidden states is computed in the same pass.
Shapes: ``N`` counted positions, ``D`` width, ``V`` rows of the head. Start reading at ``cross_entropy``.
"""

from __future__ import annotations

from typing import Any

import torch

_CHUNK = 256  # positions whose logits exist at a time


def cross_entropy(
    hidden: torch.Tensor,
    head: torch.Tensor,
    mark_row: torch.Tensor | None,
    mark_id: int,
    targets: torch.Tensor,
    weights: torch.Tensor,
) -> torch.Tensor:
    """The weighted sum of the losses, in nats.

    Args:
        hidden: (N, D) what the network says at the counted positions.
        head: (V, D) frozen rows of the output head.
        mark_row: (D,) float32, the trainable row of the mark; None where there is no mark.
        mark_id: its id: V when the row comes behind the head's own, less when it takes the place of one of them.
        targets: (N,) int64 what should come.
        weights: (N,) float32 how much each position counts.
    """
    loss: torch.Tensor = _CrossEntropy.apply(hidden, head, mark_row, mark_id, targets, weights)  # type: ignore[no-untyped-call]
    return loss


class _CrossEntropy(torch.autograd.Function):
    """Gradients exist for the hidden states and the mark's row only."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        head: torch.Tensor,
        mark_row: torch.Tensor | None,
        mark_id: int,
        targets: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        total = hidden.new_zeros((), dtype=torch.float32)
        wanted = ctx.needs_input_grad[0]
        grad_hidden = torch.empty_like(hidden) if wanted else None
        grad_row = torch.zeros_like(mark_row) if mark_row is not None else None
        for start in range(0, len(hidden), _CHUNK):
            part = slice(start, start + _CHUNK)
            logits = _logits(hidden[part], head, mark_row, mark_id)
            normalizer = logits.logsumexp(-1, keepdim=True)
            rows = torch.arange(len(logits), device=logits.device)
            total += ((normalizer[:, 0] - logits[rows, targets[part]]) * weights[part]).sum()
            if grad_hidden is None:
                continue
            errors = logits.sub_(normalizer).exp_()
            errors[rows, targets[part]] -= 1
            errors *= weights[part, None]
            grad_hidden[part] = _back(errors, hidden[part], head, mark_row, mark_id, grad_row)
        ctx.save_for_backward(grad_hidden, grad_row)
        return total

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad_hidden, grad_row = ctx.saved_tensors
        row = None if grad_row is None else grad_row * grad
        return (grad_hidden * grad.to(grad_hidden.dtype), None, row, None, None, None)


def _logits(hidden: torch.Tensor, head: torch.Tensor, mark_row: torch.Tensor | None, mark_id: int) -> torch.Tensor:
    """(n, V) or (n, V + 1), float32."""
    logits = (hidden @ head.T).float()
    if mark_row is None:
        return logits
    mark = hidden.float() @ mark_row
    if mark_id == len(head):
        return torch.cat([logits, mark[:, None]], dim=1)
    logits[:, mark_id] = mark
    return logits


def _back(
    errors: torch.Tensor,
    hidden: torch.Tensor,
    head: torch.Tensor,
    mark_row: torch.Tensor | None,
    mark_id: int,
    grad_row: torch.Tensor | None,
) -> torch.Tensor:
    """The gradient (n, D) of the hidden states; that of the mark's row is added to ``grad_row``."""
    if mark_row is None or grad_row is None:
        return errors.to(head.dtype) @ head
    mark = errors[:, mark_id].clone()
    grad_row += mark @ hidden.float()
    own = errors[:, : len(head)]
    if mark_id < len(head):
        own[:, mark_id] = 0
    return own.to(head.dtype) @ head + (mark[:, None] * mark_row).to(head.dtype)
