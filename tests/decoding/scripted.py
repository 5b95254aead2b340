"""A model that writes what a test tells it to, one byte a token, behind the real protocols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from generation.decoding.sequence import node_depths
from generation.errors import CapacityError, StoppedError
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Logits

MARK, EOS, SIZE = 256, 257, 258
Preferences = dict[str, float]


class ByteTokenizer:
    """Ids 0-255 are bytes, then the mark and the end of the text."""

    token_bytes: Sequence[bytes] = [bytes([i]) for i in range(256)] + [b"", b""]
    eos_ids = frozenset({EOS})
    bos_id: int | None = None
    mark_id: int | None = MARK

    def encode(self, text: str) -> list[int]:
        return list(text.encode())


class ScriptedState:
    """Logits come from a function of the tokens so far; counts forwards and checks the protocol."""

    def __init__(self, model: ScriptedModel, token_ids: Sequence[int]) -> None:
        self.model = model
        self.token_ids = list(token_ids)
        self.next_logits = model.logits(self.token_ids)
        self.draft: Draft | None = None
        self.reused_tokens = 0
        self.closed = False

    @property
    def room_tokens(self) -> int:
        return self.model.context_tokens - len(self.token_ids)

    def score(self, draft: Draft) -> Logits:
        assert not self.closed
        assert len(draft)
        if max(node_depths(draft)) >= self.room_tokens:
            raise CapacityError("deeper than there is room")
        self.model.forwards += 1
        self.model.widest = max(self.model.widest, len(draft))
        self.draft = draft
        return np.stack([self.model.logits(self.token_ids + self._path(i)) for i in range(len(draft))])

    def _path(self, node: int) -> list[int]:
        assert self.draft is not None
        path: list[int] = []
        while node >= 0:
            path.insert(0, self.draft.token_ids[node])
            node = self.draft.parents[node]
        return path

    def commit(self, path: Sequence[int]) -> None:
        assert self.draft is not None, "commit without score"
        above = -1
        for node in path:
            assert self.draft.parents[node] == above, "not a path"
            self.token_ids.append(self.draft.token_ids[node])
            above = node
        self.draft = None
        self.next_logits = self.model.logits(self.token_ids)

    @property
    def draft_room_tokens(self) -> int:
        return self.room_tokens

    def remembered(self, token_ids: Sequence[int]) -> int | None:
        return None

    def close(self) -> None:
        self.closed = True


class ScriptedModel:
    """Prefers, after a visible text, the continuations that ``preferences(text)`` names, by weight."""

    name = "scripted"
    context_tokens = 4096

    def __init__(self, preferences: Callable[[str], Preferences]) -> None:
        self.tokenizer = ByteTokenizer()
        self.preferences = preferences
        self.forwards = 0
        self.widest = 0
        self.states: list[ScriptedState] = []

    def start(self, prompt_ids: Sequence[int], stop: Callable[[], bool] | None = None) -> ScriptedState:
        if stop is not None and stop():
            raise StoppedError("stopped")
        self.states.append(ScriptedState(self, prompt_ids))
        return self.states[-1]

    def logits(self, token_ids: Sequence[int]) -> Logits:
        text = "".join("<COMP>" if i == MARK else chr(i) for i in token_ids)
        weights = np.full(SIZE, 1e-9, np.float32)
        for continuation, weight in self.preferences(text).items():
            first = {"": EOS, "<COMP>": MARK}.get(continuation, ord(continuation[0]) if continuation else EOS)
            weights[first] += weight
        return np.log(weights)


def writes(prompt: str, *texts: tuple[str, float]) -> Callable[[str], Preferences]:
    """Preferences of a model that, behind ``prompt``, writes one of ``texts`` by weight; then it ends."""

    def preferences(text: str) -> Preferences:
        written = text[len(prompt) :]
        found: Preferences = {}
        for script, weight in texts:
            if script.startswith(written):
                rest = script[len(written) :]
                key = "<COMP>" if rest.startswith("<COMP>") else rest[:1]
                found[key] = found.get(key, 0.0) + weight
        return found or {"": 1.0}

    return preferences
