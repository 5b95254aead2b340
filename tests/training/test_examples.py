"""What the network is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.decoding.tokens.tokenizer import load_tokenizer, next_mark_id
from generation.decoding.tokens.vocabulary import encode_stem
from generation.errors import ConfigError
from generation.training.bodies import Hole, HoleKind, HoleSource, read_holes, tokens_of
from generation.training.corpus import Split
from generation.training.examples import WindowSource


def text_of(tokenizer: object, ids: object) -> str:
    return b"".join(tokenizer.token_bytes[i] if i < len(tokenizer.token_bytes) else b"" for i in ids).decode()  # type: ignore[attr-defined]


def test_windows_depend_on_number_and_seed_alone(corpus: Path, model: Path) -> None:
    tokenizer = load_tokenizer(model)
    source, again = (WindowSource(corpus, tokenizer, 100, seed=1) for _ in range(2))
    assert [again.example(n).token_ids for n in (7, 3)] == [source.example(n).token_ids for n in (7, 3)]
    assert source.example(3).token_ids != source.example(4).token_ids
    assert WindowSource(corpus, tokenizer, 100, seed=2).validation(3) == source.validation(3)
    assert all(len(source.example(n).token_ids) <= 100 for n in range(20))


def test_some_windows_show_what_stands_behind_the_cursor(corpus: Path, model: Path) -> None:
    tokenizer = load_tokenizer(model)
    source = WindowSource(corpus, tokenizer, 1500)
    texts = [text_of(tokenizer, source.example(n).token_ids) for n in range(60)]
    holes = [text for text in texts if text.startswith("# ") and "\n\n# After the cursor:\n" in text]
    assert 10 < len(holes) < 30
    assert all("# Before the cursor:\n" in text for text in holes)


def test_a_corpus_without_one_split(tmp_path: Path, model: Path) -> None:
    (tmp_path / "files.jsonl").write_text('{"repo": "a", "path": "a.py", "split": "train", "text": "x = 1\\n"}\n')
    with pytest.raises(ConfigError, match="no files for validation; name other repositories with --validation"):
        WindowSource(tmp_path, load_tokenizer(model), 100)


def test_a_damaged_corpus(tmp_path: Path, model: Path) -> None:
    (tmp_path / "files.jsonl").write_text("{\n{}\n")
    with pytest.raises(ConfigError, match=r"files\.jsonl:1 is damaged"):
        WindowSource(tmp_path, load_tokenizer(model), 100)


def test_all_kinds_of_holes_are_there(corpus: Path) -> None:
    holes = list(read_holes(corpus))
    assert {hole.kind for hole in holes} == set(HoleKind)
    middles = [hole for hole in holes if hole.kind is HoleKind.MIDDLE]
    assert any("# After the cursor:" in hole.prompt for hole in middles)
    assert not any("# After the cursor:" in hole.prompt for hole in holes if hole.kind is HoleKind.BODY)


def test_an_example_starts_as_decoding_does(corpus: Path, model: Path) -> None:
    """The generator encodes prompt and indentation with a typical word behind them; the rest is what it may write."""
    tokenizer = load_tokenizer(model)
    bodies = [hole for hole in read_holes(corpus) if hole.kind is not HoleKind.MIDDLE]
    assert len(bodies) > 10
    for hole in bodies:
        example = tokens_of(hole, tokenizer, None, 10_000)
        stem, missing = encode_stem(tokenizer, hole.prompt + hole.indent, "return")
        assert list(example.token_ids[: example.counted_from]) == stem
        rest = text_of(tokenizer, example.token_ids[example.counted_from :])
        assert rest == missing.decode() + "".join(hole.pieces)[len(hole.indent) :]


def test_marks_are_all_that_differs(corpus: Path, model: Path) -> None:
    tokenizer, mark_id = load_tokenizer(model), next_mark_id(model)
    for hole in read_holes(corpus):
        marked, plain = (tokens_of(hole, tokenizer, mark, 10_000) for mark in (mark_id, None))
        assert list(marked.token_ids).count(mark_id) == len(hole.pieces) - 1
        assert text_of(tokenizer, marked.token_ids) == text_of(tokenizer, plain.token_ids)
        assert mark_id not in marked.token_ids[: marked.counted_from]
        assert marked.size_tokens == plain.size_tokens


def test_a_mark_may_be_the_first_token_of_a_body(model: Path) -> None:
    tokenizer, mark_id = load_tokenizer(model), next_mark_id(model)
    hole = Hole("r", Split.TRAIN, "f", HoleKind.BODY, "def f():\n", "    ", ("   ", " helper()\n"))
    example = tokens_of(hole, tokenizer, mark_id, 100)
    assert example.token_ids[example.counted_from] == mark_id
    assert list(example.token_ids[: example.counted_from]) == tokenizer.encode("def f():\n   ")


def test_a_round_sees_every_hole_once(corpus: Path, model: Path) -> None:
    tokenizer = load_tokenizer(model)
    source = HoleSource(corpus, tokenizer, None, 10_000)
    holes = [hole for hole in read_holes(corpus) if hole.split is Split.TRAIN]
    expected = sorted(list(tokens_of(hole, tokenizer, None, 10_000).token_ids) for hole in holes)
    for first in (0, len(holes)):
        assert sorted(list(source.example(first + n).token_ids) for n in range(len(holes))) == expected


def test_no_functions_to_learn_from(tmp_path: Path, model: Path) -> None:
    (tmp_path / "holes.jsonl").write_text("")
    with pytest.raises(ConfigError, match="0 functions to learn from and 0 to measure on"):
        HoleSource(tmp_path, load_tokenizer(model), None, 100)
