"""The processes that train together: one, or as many as ``torchrun`` has started, one for each GPU or core.

All draw the same examples and each takes its share; gradients are added up before every step, so a run depends on the
number of processes by rounding only. Knows no network. Start reading at ``join_team``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Team:
    """This process's place among all of them."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def share(self, items: Sequence[Item], size_of: Callable[[Item], int]) -> list[Item]:
        """The items this process works on: the largest first, each to who has least, so that nobody waits for long."""
        shares: list[list[Item]] = [[] for _ in range(self.size)]
        for item in sorted(items, key=size_of, reverse=True):
            min(shares, key=lambda share: sum(map(size_of, share))).append(item)
        return shares[self.rank]

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Make every process's gradients the sum of all."""
        if self.size == 1:
            return
        trained = list(parameters)
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in trained]
        together = torch.cat([gradient.flatten() for gradient in gradients])  # one message is quicker than hundreds
        torch.distributed.all_reduce(together)
        for parameter, summed in zip(trained, torch.split(together, [one.numel() for one in trained]), strict=True):
            parameter.grad = summed.view_as(parameter)

    def leader_says(self, yes: bool, device: torch.device) -> bool:
        """What the process that leads says; all must ask at the same place, each with its own answer."""
        return bool(self.add(float(yes and self.leads), device))

    def add(self, number: float, device: torch.device) -> float:
        """The sum of every process's number."""
        if self.size == 1:
            return number
        total = torch.tensor(number, dtype=torch.float64 if device.type == "cpu" else torch.float32, device=device)
        torch.distributed.all_reduce(total)
        return float(total)


def join_team() -> Team:
    """The team that ``torchrun`` (or ``accelerate launch``) has started this process in; a team of one without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Team()
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    return Team(state.process_index, state.num_processes)
