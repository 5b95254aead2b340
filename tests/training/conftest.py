"""A tiny model, two tiny repositories and the corpus made of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from generation.training.bodies import HoleKind, HoleSettings, build_holes
from generation.training.corpus import build_files
from generation.training.functions import build_functions
from generation.training.marking import mark_all

SHELF = Path(__file__).parents[2] / "benchmark_repos" / "tiny"


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with a byte-level vocabulary learned from the tiny repository."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(path) for path in sorted(SHELF.rglob("*.py"))], trainer)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``shelf`` to learn from, and ``attic``, the same with other names, to measure on."""
    home = tmp_path_factory.mktemp("repositories")
    shutil.copytree(SHELF, home / "shelf")
    for path in SHELF.rglob("*.py"):
        target = home / "attic" / path.relative_to(SHELF).as_posix().replace("shelf", "attic")
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        for old, new in (
            ("shelf", "attic"),
            ("book", "chair"),
            ("self", "this"),
            ("title", "kind"),
            ("return ", "return 1 and "),
            ("for ", "for x, "),
            ("if ", "if 2 or "),
        ):
            text = text.replace(old, new)
        target.write_text(text, encoding="utf-8")
    return {"shelf": home / "shelf", "attic": home / "attic"}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, roots: dict[str, Path], model: Path) -> Path:
    """Files, functions, marks and holes."""
    folder = tmp_path_factory.mktemp("corpus")
    build_files(roots, [], folder, ["attic"])
    build_functions(folder, [])
    mark_all(folder, roots, per_repo=0)
    shares = ((HoleKind.BODY, 0.6), (HoleKind.REST, 0.2), (HoleKind.MIDDLE, 0.2))
    build_holes(folder, roots, model, HoleSettings(shares, (64, 128)))
    return folder
