"""What the tokens of a vocabulary are as text: which continue an identifier, which start with given bytes.

Built once per tokenizer; all arrays are (V,). Knows no model and no sequence.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from generation.interfaces import Tokenizer

if TYPE_CHECKING:
    from generation.interfaces import Barred


@lru_cache(maxsize=2)
def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """The facts of a tokenizer; looking at all its tokens takes a tenth of a second."""
    return Vocabulary(tokenizer)


class Vocabulary:
    """Token-level facts that decoding needs.

    Attributes:
        tokenizer: the tokenizer described.
        continues_identifier: (V,) bool, the token's text starts with a character that an identifier can go on with.
        ends_identifier: (V,) float32, 1 for all others.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.continues_identifier = np.array([_continues(piece) for piece in tokenizer.token_bytes], np.bool_)
        self.ends_identifier = (~self.continues_identifier).astype(np.float32)
        self._by_first_byte: dict[int, list[int]] = {}
        for token_id, piece in enumerate(tokenizer.token_bytes):
            if piece:
                self._by_first_byte.setdefault(piece[0], []).append(token_id)
        self.encode = lru_cache(maxsize=20_000)(self._encode)
        self.covering = lru_cache(maxsize=200)(self._covering)
        self.barred = lru_cache(maxsize=50)(self._barred)

    def __len__(self) -> int:
        return len(self.tokenizer.token_bytes)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text))

    def bytes_of(self, token_id: int) -> bytes:
        """What the token adds to the visible text."""
        return self.tokenizer.token_bytes[token_id]

    def _covering(self, prefix: bytes) -> list[int]:
        """Ids of tokens that start with ``prefix`` or are a start of it: those that can stand where it must come."""
        candidates = self._by_first_byte.get(prefix[0], [])
        pieces = self.tokenizer.token_bytes
        return [i for i in candidates if pieces[i].startswith(prefix) or prefix.startswith(pieces[i])]

    def _barred(self, marks: bool = False, word_ended: bool = False, missing: bytes = b"") -> Barred:
        """(V,) bool: tokens that cannot come next; nobody changes it.

        Args:
            marks: the mark can.
            word_ended: an identifier has just ended, and cannot go on.
            missing: bytes that what comes must spell.
        """
        allowed = np.ones(len(self), np.bool_)
        mark_id = self.tokenizer.mark_id
        if missing:
            allowed[:] = False
            allowed[self.covering(missing)] = True
            if missing == b" " and mark_id is not None:
                allowed[mark_id] = True  # that of the first name stands before the space that is still to come
        if word_ended:
            allowed &= ~self.continues_identifier
        if mark_id is not None and not marks:
            allowed[mark_id] = False
        return ~allowed

    def encode_stem(self, text: str, ahead: str) -> tuple[list[int], bytes]:
        """As the function ``encode_stem``."""
        return encode_stem(self.tokenizer, text, ahead)


def encode_stem(tokenizer: Tokenizer, text: str, ahead: str) -> tuple[list[int], bytes]:
    """Tokens of ``text`` as they would be if ``ahead`` followed, and the bytes at its end they do not cover.

    A tokenizer merges across the end of a prompt (the last space of an indentation belongs to the next word), so a
    prompt is tokenized with a typical continuation and cut before the first token that reaches into it.
    """
    ids = tokenizer.encode(text + ahead)
    total, wanted = 0, len(text.encode())
    for count, token_id in enumerate(ids):
        end = total + len(tokenizer.token_bytes[token_id])
        if end > wanted:
            return ids[:count], text.encode()[total:]
        total = end
    return ids, b""


def _continues(piece: bytes) -> bool:
    """Bytes above ASCII are taken for letters: an identifier may hold them, and a partial one cannot be told apart."""
    return bool(piece) and (piece[0] >= 0x80 or piece[:1].isalnum() or piece[:1] == b"_")
