"""What a row of our own kernels sees of a long sequence: the readable form of ``kernels/selection.h``.

Every row and every key head choose blocks of tokens for themselves, by the best score that one of the row's queries has
with one of the block's keys in the channels that turn slowest with the position. Start reading at ``attend``.
"""

from __future__ import annotations

import torch

from generation.decoding.selection.settings import BLOCK, RowChoice

LEAST_SHARE = 1 / 4096  # of a query's weights: the values of a chosen block that has less for all its keys are not read


def attend(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, choice: RowChoice, frequencies: torch.Tensor
) -> torch.Tensor:
    """What the last row of a sequence finds, (H, D).

    Args:
        queries: (H, D), rotated; query head h looks at key head h // (H / G).
        keys: (N, G, D), rotated, the row's own last.
        values: (N, G, D).
        choice: what it may see.
        frequencies: (D / 2,), radians a position.
    """
    seen, key_heads, size = keys.shape
    blocks = choose_blocks(queries, keys, choice, frequencies) if seen > choice.start else None
    found = []
    for head, grouped in enumerate(queries.view(key_heads, -1, size)):
        slots, back = torch.arange(seen), torch.zeros(seen, dtype=torch.long)
        if blocks is not None:
            window = torch.arange((seen - choice.window) // BLOCK * BLOCK, seen)
            slots = torch.cat([(blocks[head][:, None] * BLOCK + torch.arange(BLOCK)).flatten(), window])
            back = seen - slots - torch.arange(len(slots), 0, -1)  # how many left out lie between it and the row
        if seen <= choice.trained:
            back = torch.zeros_like(back)
        turned = torch.stack([turn_back(grouped, int(positions), frequencies) for positions in back], 1)
        scores = torch.einsum("gnd,nd->gn", turned, keys[slots, head]) / size**0.5
        weights = torch.softmax(scores, -1)
        if blocks is not None:
            shares = weights[:, : len(blocks[head]) * BLOCK].view(len(grouped), -1, BLOCK)
            shares *= (shares.amax((0, 2)) >= LEAST_SHARE)[:, None]
        found.append(weights @ values[slots, head])
    return torch.cat(found)


def choose_blocks(
    queries: torch.Tensor, keys: torch.Tensor, choice: RowChoice, frequencies: torch.Tensor
) -> torch.Tensor | None:
    """The blocks in front of the window, (G, blocks), ascending; None where all are seen. Arguments: ``attend``."""
    first, end = choice.sink // BLOCK, (len(keys) - choice.window) // BLOCK
    count = choice.chosen // BLOCK
    if end - first <= count:
        return None
    votes = block_votes(queries, keys[: end * BLOCK], len(keys), choice, frequencies)[:, first:]
    chosen = torch.sort(torch.topk(votes, count).indices).values + first
    return torch.cat([torch.arange(first).expand(len(votes), -1), chosen], 1)


def block_votes(
    queries: torch.Tensor, keys: torch.Tensor, seen: int, choice: RowChoice, frequencies: torch.Tensor
) -> torch.Tensor:
    """The best score of each block of keys for each key head, (G, blocks).

    Keys farther away than any the model was trained with are looked at in stretches, each as if it were nearer.

    Args:
        queries: (H, D), rotated.
        keys: (N, G, D), rotated, of whole blocks.
        seen: how many positions the row sees.
        choice: what it may see.
        frequencies: (D / 2,), radians a position.
    """
    blocks, key_heads = len(keys) // BLOCK, keys.shape[1]
    near = min(blocks, max(0, -((choice.trained - seen) // BLOCK)))
    stretch = max(1, choice.trained // 2 // BLOCK)
    codes = _as_int8(slow_channels(keys)).view(blocks, BLOCK, key_heads, -1)
    votes = torch.empty(key_heads, blocks)
    for block in range(blocks):
        turns = max(0, -((block - near) // stretch))
        turned = slow_channels(turn_back(queries, turns * stretch * BLOCK, frequencies)).view(
            key_heads, -1, codes.shape[3]
        )
        votes[:, block] = torch.einsum("ghd,bgd->ghb", turned, codes[block]).amax((1, 2))
    return votes


def slow_channels(heads: torch.Tensor) -> torch.Tensor:
    """The quarter of the channels (..., D) that turns slowest, a multiple of 8; pairs lie half a head apart."""
    half, count = heads.shape[-1] // 2, -(-heads.shape[-1] // 32) * 4
    return torch.cat([heads[..., half - count : half], heads[..., -count:]], -1)


def turn_back(heads: torch.Tensor, positions: int, frequencies: torch.Tensor) -> torch.Tensor:
    """Rotated heads (..., D) as they would be so many positions earlier."""
    cosines, sines = torch.cos(positions * frequencies), torch.sin(positions * frequencies)
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([first * cosines + second * sines, second * cosines - first * sines], -1)


def _as_int8(keys: torch.Tensor) -> torch.Tensor:
    scale = keys.abs().amax(-1, keepdim=True).clamp(min=1e-30) / 127
    return torch.round(keys / scale) * scale
