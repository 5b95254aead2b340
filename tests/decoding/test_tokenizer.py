"""Byte-level and SentencePiece-like vocabularies, added tokens, control tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from generation.decoding.tokens.tokenizer import FastTokenizer, load_tokenizer
from generation.decoding.tokens.vocabulary import encode_stem
from generation.errors import ModelLoadError

CORPUS = ["def total(self, items):\n    return sum(item.price for item in items)\n", "für 人 🎉 naïve"]


def byte_level(special: tuple[str, ...] = ("<|endoftext|>", "<COMP>")) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return tokenizer


def sentencepiece_like() -> Tokenizer:
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "▁a", "ab", "▁ab"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    merges = [("▁", "a"), ("a", "b"), ("▁a", "b")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


BYTE_LEVEL = FastTokenizer(byte_level())
SENTENCEPIECE = FastTokenizer(sentencepiece_like())


def metaspace(scheme: str) -> FastTokenizer:
    """The space in front is what newer files call a scheme."""
    tokenizer = sentencepiece_like()
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)])
    return FastTokenizer(tokenizer)


SENTENCEPIECES = [SENTENCEPIECE, metaspace("first"), metaspace("always")]


def joined(tokenizer: FastTokenizer, text: str) -> bytes:
    return b"".join(tokenizer.token_bytes[token_id] for token_id in tokenizer.encode(text))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_the_bytes_of_the_ids_are_the_text(text: str) -> None:
    assert joined(BYTE_LEVEL, text) == text.encode()


@pytest.mark.parametrize("tokenizer", SENTENCEPIECES)
@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="▁")))
def test_sentencepiece_adds_nothing(tokenizer: FastTokenizer, text: str) -> None:
    assert joined(tokenizer, text) == text.encode()


@pytest.mark.parametrize("tokenizer", [BYTE_LEVEL, *SENTENCEPIECES])
def test_a_stem_and_what_is_missing_of_it_are_the_text(tokenizer: FastTokenizer) -> None:
    ids, missing = encode_stem(tokenizer, "a\n    ", "ab")
    assert b"".join(tokenizer.token_bytes[token_id] for token_id in ids) + missing == b"a\n    "


@pytest.mark.parametrize("text", ["<|endoftext|>", "x = '<COMP>'", "a<|endoftext|><COMP>b"])
def test_control_tokens_spelled_in_a_text_are_text(text: str) -> None:
    assert joined(BYTE_LEVEL, text) == text.encode()
    assert BYTE_LEVEL.mark_id not in BYTE_LEVEL.encode(text)
    assert not BYTE_LEVEL.eos_ids & set(BYTE_LEVEL.encode(text))


def test_control_tokens_add_nothing() -> None:
    assert BYTE_LEVEL.eos_ids == {0}
    assert BYTE_LEVEL.mark_id == 1
    assert BYTE_LEVEL.token_bytes[:2] == (b"", b"")


def test_control_tokens_that_are_not_flagged_are_recognised_by_their_look() -> None:
    backend = byte_level()
    backend.add_tokens([AddedToken("<|fim_prefix|>", special=False), AddedToken("        ", special=False)])
    fim, indent = (backend.token_to_id(token) for token in ("<|fim_prefix|>", "        "))
    tokenizer = FastTokenizer(backend)
    assert fim not in tokenizer.encode("a<|fim_prefix|>b")
    assert tokenizer.token_bytes[fim] == b""
    assert indent in tokenizer.encode("x        y")
    assert tokenizer.token_bytes[indent] == b" " * 8


def test_a_vocabulary_without_a_mark() -> None:
    assert FastTokenizer(byte_level(special=("<|endoftext|>",))).mark_id is None


def test_the_template_says_whether_a_sequence_starts_with_a_control_token() -> None:
    assert SENTENCEPIECE.bos_id == 1
    assert BYTE_LEVEL.bos_id is None
    assert 1 not in SENTENCEPIECE.encode("ab")


def test_ids_beyond_the_vocabulary_add_nothing() -> None:
    padded = FastTokenizer(byte_level(), vocabulary_tokens=400)
    assert len(padded.token_bytes) == 400
    assert padded.token_bytes[-1] == b""


def test_the_configuration_names_more_ends(tmp_path: Path) -> None:
    byte_level().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 7}))
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [8, 9]}))
    assert load_tokenizer(tmp_path).eos_ids == {0, 7, 8, 9}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_files_are_read_through_transformers(tmp_path: Path) -> None:
    byte_level().model.save(str(tmp_path))  # vocab.json and merges.txt
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    tokenizer = load_tokenizer(tmp_path)
    assert joined(tokenizer, "def f(): pass  # 人") == "def f(): pass  # 人".encode()


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ModelLoadError, match=r"no usable tokenizer in .* needs a tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    byte_level().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelLoadError, match="do not belong together"):
        load_tokenizer(tmp_path, vocabulary_tokens=10)
