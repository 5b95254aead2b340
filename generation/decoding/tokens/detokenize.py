"""Token bytes to visible text, where a character may be spread over several tokens."""

from __future__ import annotations

import codecs


class Detokenizer:
    """Joins the bytes of tokens to text. Bytes that are no UTF-8 become U+FFFD; an unfinished character waits."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, piece: bytes) -> str:
        """The characters that ``piece`` completes."""
        return self._decoder.decode(piece)

    def preview(self, piece: bytes) -> str:
        """What ``feed`` would return, without feeding."""
        state = self._decoder.getstate()
        text = self._decoder.decode(piece)
        self._decoder.setstate(state)
        return text

    def leaves_unfinished(self, piece: bytes) -> bool:
        """Whether a character would lack bytes behind it."""
        if piece[-1:] < b"\x80":
            return False
        state = self._decoder.getstate()
        self._decoder.decode(piece)
        unfinished = bool(self._decoder.getstate()[0])
        self._decoder.setstate(state)
        return unfinished
