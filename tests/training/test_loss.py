"""The chunked loss against torch's own."""

from __future__ import annotations

import pytest
import torch

from generation.training import loss
from generation.training.loss import cross_entropy


@pytest.mark.parametrize(("mark", "mark_id"), [(False, -1), (True, 11), (True, 4)])
@pytest.mark.parametrize("chunk", [3, 256])
def test_value_and_gradients(monkeypatch: pytest.MonkeyPatch, mark: bool, mark_id: int, chunk: int) -> None:
    """A mark behind the last row (11 of 11) or in the place of one (4)."""
    monkeypatch.setattr(loss, "_CHUNK", chunk)
    torch.manual_seed(0)
    hidden = torch.randn(7, 5, requires_grad=True)
    head, row = torch.randn(11, 5), torch.randn(5, requires_grad=True)
    targets = torch.tensor([0, 4, 10, mark_id if mark else 1, 2, 3, 3])
    weights = torch.tensor([1.0, 2, 1, 3, 1, 1, 0])
    ours = cross_entropy(hidden, head, row if mark else None, mark_id, targets, weights)
    (ours * 0.5).backward()
    found = (hidden.grad, row.grad)
    hidden.grad = row.grad = None
    full = head
    if mark:
        full = torch.cat([head, row[None]]) if mark_id == 11 else torch.cat([head[:4], row[None], head[5:]])
    theirs = (torch.nn.functional.cross_entropy(hidden @ full.T, targets, reduction="none") * weights).sum()
    (theirs * 0.5).backward()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(found[0], hidden.grad)
    torch.testing.assert_close(found[1], row.grad)


def test_without_gradients() -> None:
    hidden, head = torch.randn(4, 3), torch.randn(6, 3)
    targets = torch.tensor([0, 1, 2, 5])
    with torch.no_grad():
        found = cross_entropy(hidden, head, None, -1, targets, torch.ones(4))
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(hidden @ head.T, targets, reduction="sum"))
