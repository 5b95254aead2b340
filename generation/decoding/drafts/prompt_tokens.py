"""Trained prompt tokens, which lie beside an adapter and guess for its weights. Knows no model.

Start reading at ``read_prompt_tokens``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from generation.adapters import PROMPT_TOKENS_NAME
from generation.decoding.weight_files import Array
from generation.errors import ModelLoadError

PROMPT_TOKENS = "prompt_tokens.embedding"
MOST_PROMPT_TOKENS = 8  # beside an adapter


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """Trained embeddings that, put behind a token, guess what follows the one after it.

    Attributes:
        embeddings: (count, D) float32, in the order in which they stand.
        accuracy: how often each guess was what the model itself wrote, on held-back code.
    """

    embeddings: Array
    accuracy: tuple[float, ...]


def read_prompt_tokens(folder: Path) -> PromptTokens | None:
    """Those of an adapter folder; None where it has none.

    Raises:
        ModelLoadError: the file is damaged.
    """
    path = folder / PROMPT_TOKENS_NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, "np") as file:
            accuracy = json.loads(file.metadata()["accuracy"])
            return PromptTokens(file.get_tensor(PROMPT_TOKENS), tuple(float(share) for share in accuracy))
    except Exception as error:  # safetensors raises its own
        raise ModelLoadError(f"{path} is damaged ({error}); remove it, or train the prompt tokens again") from error
