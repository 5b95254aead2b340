"""Names and keywords where a token is no whole word: half a keyword's name, or a byte of a letter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from generation.config import PRESETS, SamplingConfig
from generation.decoding.loop.generator import Generator
from generation.types import GenerationRequest
from tests.decoding.generating import PROMPT, TableTool, calls, run, text_of
from tests.decoding.scripted import EOS, ByteTokenizer, ScriptedModel

if TYPE_CHECKING:
    from generation.interfaces import Logits

WORDS = (b" in", b"_dim", b"_size", b" not", b" self")


class WordTokenizer(ByteTokenizer):
    """Bytes, and a few tokens of several letters."""

    token_bytes = (*ByteTokenizer.token_bytes, *WORDS)

    def encode(self, text: str) -> list[int]:
        ids, left = list[int](), text.encode()
        while left:
            word = next((word for word in WORDS if left.startswith(word)), left[:1])
            ids.append(self.token_bytes.index(word))
            left = left[len(word) :]
        return ids


class WordModel(ScriptedModel):
    """Writes one of some bodies by weight, a word a token."""

    def __init__(self, *bodies: tuple[str, float]) -> None:
        super().__init__(lambda text: {})
        self.tokenizer = WordTokenizer()
        self.bodies = bodies

    def logits(self, token_ids: Sequence[int]) -> Logits:
        pieces = self.tokenizer.token_bytes
        text = b"".join(pieces[token_id] for token_id in token_ids).decode(errors="replace")
        weights = np.full(len(pieces), 1e-9, np.float32)
        for body, weight in self.bodies:
            whole = PROMPT + body
            rest = whole[len(text) :] if whole.startswith(text) else ""
            weights[self.tokenizer.encode(rest)[0] if rest else EOS] += weight
        return np.log(weights)


class Guess:
    """Guesses the same behind one text."""

    def __init__(self, behind: bytes, guess: str) -> None:
        self.behind, self.guess = behind, guess

    def propose(self, token_ids: Sequence[int], limit: int) -> Sequence[int]:
        pieces = WordTokenizer.token_bytes
        found = b"".join(pieces[token_id] for token_id in token_ids).endswith(self.behind)
        return WordTokenizer().encode(self.guess)[:limit] if found else ()


@pytest.mark.parametrize("guess", ["", " in self", " in_dim", " in_size", " not self", " in"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_draft_does_not_make_a_keyword_of_a_name(guess: str, temperature: float) -> None:
    def written(drafted: str, seed: int) -> tuple[str, list[str | None]]:
        model = WordModel(("    x = in_dim\n", 0.8), ("    x = in_size\n", 0.2), ("    x = not self\n", 0.1))
        tool = TableTool(names=["self", "in_size", "x"], attributes=["size"])
        request = GenerationRequest(Path("/r"), Path("/r/m.py"), PROMPT, "", PROMPT, "    ", seed=seed)
        drafter = Guess(b"x =", drafted) if drafted else None
        events = list(Generator(model, tool, drafter, PRESETS["dot"], SamplingConfig(temperature)).stream(request))
        return text_of(events), [call.model_choice for call in calls(events)]

    plain = [written("", seed) for seed in range(20)]
    assert [written(guess, seed) for seed in range(20)] == plain
    assert "    x = in_dim\n" not in {text for text, _ in plain}


@pytest.mark.parametrize("name", ["grosse", "größe", "名前"])
def test_a_letter_of_several_tokens_is_a_letter(name: str) -> None:
    def bytewise(text: str) -> str:  # the scripted model takes a character for a token
        return text.encode().decode("latin-1")

    new = bytewise(f"    {name} = 1\n    print({name})\n")
    events, _ = run([(new, 0.95), ("    self = 1\n", 0.05)], TableTool(names=["self", "print", name]))
    assert text_of(events) == f"    {name} = 1\n    print({name})\n"
    assert [call.model_choice for call in calls(events)] == [name, "print", name]
    tool = TableTool(attributes=[name, "size"])
    events, _ = run([(bytewise(f"    print(self.{name})\n"), 0.95), ("    print(self.size)\n", 0.05)], tool)
    assert text_of(events) == f"    print(self.{name})\n"
