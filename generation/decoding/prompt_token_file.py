"""Prompt tokens as a file beside the adapter whose weights they guess for. Start reading at ``read_prompt_tokens``.

``training.prompt_tokens`` makes them, ``decoding.llama.prompt_tokens`` drafts with them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from generation.errors import ModelLoadError

PROMPT_TOKENS_NAME = "prompt_tokens.safetensors"
EMBEDDINGS = "prompt_tokens.embedding"


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """Trained embeddings that, put behind a token, guess what follows the one after it.

    Attributes:
        embeddings: (count, D) float32, in the order in which they stand.
        accuracy: how often each guess was what the model itself wrote, on held-back code.
    """

    embeddings: torch.Tensor
    accuracy: tuple[float, ...]


def write_prompt_tokens(folder: Path, found: PromptTokens) -> None:
    """Put them into an adapter folder, in one step."""
    unfinished = folder / f".{PROMPT_TOKENS_NAME}.unfinished"
    try:
        unfinished.write_bytes(save({EMBEDDINGS: found.embeddings}, {"accuracy": json.dumps(found.accuracy)}))
        unfinished.replace(folder / PROMPT_TOKENS_NAME)
    finally:
        unfinished.unlink(missing_ok=True)


def read_prompt_tokens(folder: Path) -> PromptTokens | None:
    """Those of an adapter folder; None where it has none.

    Raises:
        ModelLoadError: the file is damaged.
    """
    path = folder / PROMPT_TOKENS_NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            accuracy = json.loads(file.metadata()["accuracy"])
            return PromptTokens(file.get_tensor(EMBEDDINGS), tuple(float(share) for share in accuracy))
    except Exception as error:  # safetensors raises its own
        raise ModelLoadError(f"{path} is damaged ({error}); remove it, or train the prompt tokens again") from error
