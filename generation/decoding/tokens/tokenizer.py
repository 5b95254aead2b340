"""Text to token ids and back at the level of bytes, for every tokenizer the ``tokenizers`` library runs.

Knows byte-level vocabularies (GPT-2's byte alphabet), SentencePiece-like ones (``▁`` and ``<0xNN>``) and added tokens;
knows no model. Start reading at ``FastTokenizer``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import tokenizers

from generation.errors import AdapterMismatchError, MissingExtraError, ModelLoadError
from generation.marks.marked_text import MARK

_END_OF_TEXT = (
    "<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>", "<|file_sep|>", "<file_sep>", "<|file_separator|>",
    "<end_of_turn>", "<eos>", "</s>", "<|end|>", "<EOT>", "<｜end▁of▁sentence｜>",
)  # fmt: skip
_CONTROL = re.compile(r"<\|?[\w/:.｜▁-]+\|?>")  # what an added token that is no text looks like
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class FastTokenizer:
    """Implements the ``Tokenizer`` protocol.

    Args:
        tokenizer: taken over and changed: it neither adds, cuts, pads nor recognises control tokens in text any more,
            and puts no space in front of a text, not even of a prompt.
        eos_ids: ids that end a text, besides the well-known ones in the vocabulary.
        vocabulary_tokens: width V of the model's logits, where that is larger than the vocabulary.
    """

    def __init__(
        self, tokenizer: tokenizers.Tokenizer, eos_ids: Iterable[int] = (), vocabulary_tokens: int = 0
    ) -> None:
        self._tokenizer = tokenizer
        self._bos_id = _leading_control_id(tokenizer)
        control_ids = _make_control_tokens_plain(tokenizer)
        _drop_leading_space(tokenizer)
        self._token_bytes = _all_token_bytes(tokenizer, control_ids, vocabulary_tokens)
        well_known = {tokenizer.token_to_id(token) for token in _END_OF_TEXT}
        self._eos_ids = frozenset(eos_ids) | (control_ids & well_known)

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """What each id adds to the text."""
        return self._token_bytes

    @property
    def eos_ids(self) -> frozenset[int]:
        """Ids that end the text."""
        return self._eos_ids

    @property
    def bos_id(self) -> int | None:
        """Id that the tokenizer was set up to put before every text."""
        return self._bos_id

    @property
    def mark_id(self) -> int | None:
        """Id of the mark token."""
        found: int | None = self._tokenizer.token_to_id(MARK)
        return found

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` and nothing else."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def load_tokenizer(folder: Path, vocabulary_tokens: int = 0, mark_id: int | None = None) -> FastTokenizer:
    """The tokenizer of a model folder: its tokenizer.json, or what transformers makes of older files.

    Args:
        folder: of the model.
        vocabulary_tokens: rows of the model's head.
        mark_id: id that an adapter gives to the mark; None leaves the vocabulary as it is.

    Raises:
        ModelLoadError: there is none, it is damaged, or it has more tokens than the model.
        AdapterMismatchError: the mark would get another id.
    """
    path = folder / "tokenizer.json"
    try:
        backend = tokenizers.Tokenizer.from_file(str(path)) if path.is_file() else _older_tokenizer(folder)
    except MissingExtraError:
        raise
    except Exception as error:  # the library raises plain Exception
        raise ModelLoadError(f"no usable tokenizer in {folder} ({error}); it needs a tokenizer.json") from error
    if mark_id is not None:
        _add_mark(backend, mark_id)
    if vocabulary_tokens and backend.get_vocab_size() > vocabulary_tokens:
        raise ModelLoadError(
            f"the tokenizer in {folder} has {backend.get_vocab_size()} tokens and the model {vocabulary_tokens}: "
            "they do not belong together; fetch the model again"
        )
    return FastTokenizer(backend, _configured_eos_ids(folder), vocabulary_tokens)


def next_mark_id(folder: Path) -> int:
    """The id the mark gets when an adapter is trained for the model in a folder: behind the last token.

    Raises:
        ModelLoadError: there is no usable tokenizer.
    """
    return len(load_tokenizer(folder).token_bytes)


def _add_mark(backend: tokenizers.Tokenizer, mark_id: int) -> None:
    backend.add_special_tokens([tokenizers.AddedToken(MARK, special=True, normalized=False)])
    if (found := backend.token_to_id(MARK)) != mark_id:
        raise AdapterMismatchError(f"the adapter's mark has id {mark_id} and this tokenizer would give it {found}")


def _older_tokenizer(folder: Path) -> tokenizers.Tokenizer:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "torch") from error
    backend = AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer
    if not backend.encode("a").ids:  # what transformers makes of no files at all
        raise ValueError("no vocabulary files")
    return backend


def _configured_eos_ids(folder: Path) -> set[int]:
    found: set[Any] = set()
    for name in ("config.json", "generation_config.json"):
        path = folder / name
        value: Any = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
        found |= set(value) if isinstance(value, list) else {value}
    return {token_id for token_id in found if isinstance(token_id, int)}


def _leading_control_id(tokenizer: tokenizers.Tokenizer) -> int | None:
    """What the tokenizer's own template puts before a text, if anything."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    return encoding.ids[0] if encoding.special_tokens_mask[0] else None


def _make_control_tokens_plain(tokenizer: tokenizers.Tokenizer) -> frozenset[int]:
    """Let text that spells a control token be text; the ids of these tokens."""
    added = tokenizer.get_added_tokens_decoder()
    control = {token_id: token for token_id, token in added.items() if _is_control(token)}
    tokenizer.add_special_tokens([_as_special(token) for token in control.values() if not token.special])
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return frozenset(control)


def _drop_leading_space(tokenizer: tokenizers.Tokenizer) -> None:
    """Let tokens spell their text only: SentencePiece puts a space first, but most texts here go on in a line."""
    for name in ("normalizer", "pre_tokenizer"):
        if (stage := getattr(tokenizer, name)) is not None:
            stage.__setstate__(json.dumps(json.loads(stage.__getstate__(), object_hook=_unprefixed)).encode())
            setattr(tokenizer, name, stage)


def _unprefixed(stage: dict[str, Any]) -> dict[str, Any]:
    nothing = {"prepend": "", "prepend_scheme": "never", "add_prefix_space": False}  # in Prepend, Metaspace, ByteLevel
    return {key: nothing.get(key, value) for key, value in stage.items()}


def _is_control(token: Any) -> bool:
    return bool(token.special or _CONTROL.fullmatch(token.content))


def _as_special(token: tokenizers.AddedToken) -> tokenizers.AddedToken:
    return tokenizers.AddedToken(token.content, special=True, normalized=False)


def _all_token_bytes(
    tokenizer: tokenizers.Tokenizer, control_ids: frozenset[int], vocabulary_tokens: int
) -> tuple[bytes, ...]:
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    added = tokenizer.get_added_tokens_decoder()
    to_bytes = _byte_level_bytes() if _is_byte_level(tokenizer) else _sentencepiece_bytes
    table = [b""] * max(vocabulary_tokens, max(vocabulary.values()) + 1)
    for token, token_id in vocabulary.items():
        if token_id not in control_ids and token != MARK:
            table[token_id] = token.encode() if token_id in added else to_bytes(token)
    return tuple(table)


def _is_byte_level(tokenizer: tokenizers.Tokenizer) -> bool:
    stages = (tokenizer.decoder, tokenizer.pre_tokenizer)
    return any(b"ByteLevel" in stage.__getstate__() for stage in stages if stage is not None)


def _byte_level_bytes() -> Callable[[str], bytes]:
    """Token text to bytes in GPT-2's alphabet, which shows every byte as one printable character."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in shown]
    byte_of = {chr(byte): byte for byte in shown} | {chr(0x100 + rank): byte for rank, byte in enumerate(hidden)}

    def to_bytes(token: str) -> bytes:
        return bytes(byte_of[character] for character in token) if byte_of.keys() >= set(token) else token.encode()

    return to_bytes


def _sentencepiece_bytes(token: str) -> bytes:
    if match := _BYTE_PIECE.fullmatch(token):
        return bytes([int(match[1], 16)])
    return token.replace("▁", " ").encode()
