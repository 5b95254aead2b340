"""What a row of our own kernels sees of a long sequence: the readable form of ``kernels/selection.h``.

Every row and every key head choose blocks of tokens for themselves, by the best score that one of the row's queries has
with one of the block's keys in the channels that turn slowest with the position. Start reading at ``attend``.
"""

from __future__ import annotations

import torch

from generation.decoding.selection.settings import BLOCK, RowChoice

STRETCH = 512 // BLOCK  # blocks that are drawn near by the same while they are looked through
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
        slots, back = torch.arange(seen), [0] * seen
        if blocks is not None:
            window = torch.arange(choice.window_start(seen), seen)
            slots = torch.cat([(blocks[head][:, None] * BLOCK + torch.arange(BLOCK)).flatten(), window])
            back = [drawn_near(slot // BLOCK * BLOCK, seen, choice) for slot in slots.tolist()]
        turned = torch.stack([turn_back(grouped, positions, frequencies) for positions in back], 1)
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
    first, end = choice.sink // BLOCK, choice.window_start(len(keys)) // BLOCK
    count = choice.chosen // BLOCK
    if end - first <= count:
        return None
    votes = block_votes(queries, keys, choice, frequencies)[:, first:]
    chosen = torch.sort(torch.topk(votes, count).indices).values + first
    return torch.cat([torch.arange(first).expand(len(votes), -1), chosen], 1)


def block_votes(
    queries: torch.Tensor, keys: torch.Tensor, choice: RowChoice, frequencies: torch.Tensor
) -> torch.Tensor:
    """The best score of each block in front of the window for each key head, (G, blocks).

    Behind the trained length they are looked through in stretches, each drawn near as its middle is.

    Args:
        queries: (H, D), rotated.
        keys: (N, G, D), rotated, the row's own last.
        choice: what it may see.
        frequencies: (D / 2,), radians a position.
    """
    seen, key_heads, first = len(keys), keys.shape[1], choice.sink // BLOCK
    blocks = choice.window_start(seen) // BLOCK
    codes = _as_int8(slow_channels(keys[: blocks * BLOCK])).view(blocks, BLOCK, key_heads, -1)
    votes = torch.empty(key_heads, blocks)
    for block in range(blocks):
        end = blocks - (blocks - 1 - block) // STRETCH * STRETCH
        middle = (max(first, end - STRETCH) + end) // 2
        back = drawn_near(middle * BLOCK, seen, choice)
        turned = slow_channels(turn_back(queries, back, frequencies)).view(key_heads, -1, codes.shape[3])
        votes[:, block] = torch.einsum("ghd,bgd->ghb", turned, codes[block]).amax((1, 2))
    return votes


def drawn_near(position: int, seen: int, choice: RowChoice) -> int:
    """By how many positions nearer than it lies the last of ``seen`` rows takes a key to be.

    What is in front of the window shrinks in proportion, not quite to the trained length: of keys at its far end a
    model makes less (docs/performance.md). Source: SelfExtend (arXiv 2401.01325), for single keys.
    """
    start = choice.window_start(seen)
    far, room = start - position, choice.trained // 4 * 3
    return max(0, far - far * room // start) if seen > choice.trained else 0


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
