"""Training and loading of the four families: what was trained is what a merged model computes."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)

from generation.adapters import MANIFEST_NAME, TENSORS_NAME, adapter_sha256, read_adapter
from generation.decoding.adapter import MergedWeights, load_adapter
from generation.decoding.gguf_export import export
from generation.decoding.loading import load_model
from generation.decoding.tokens.tokenizer import next_mark_id
from generation.decoding.weight_files import WeightFiles
from generation.errors import AdapterMismatchError, ConfigError, ModelLoadError
from generation.marks.marked_text import MARK
from generation.training.adapter_folder import (
    carry,
    copy_adapter,
    describe,
    export_gguf,
    export_merged,
    start_from,
    write_adapter,
)
from generation.training.examples import TrainingExample
from generation.training.network import AdaptedNetwork, load_network

SHAPE: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip
EXAMPLES = [TrainingExample((1, 2, 3, 5, 8), 2, 5), TrainingExample((4, 5, 6, 7, 8, 9, 10), 1, 7)]


def tiny(family: str, rows: int) -> Any:
    torch.manual_seed(1)
    match family:
        case "llama":
            return LlamaForCausalLM(LlamaConfig(**SHAPE, vocab_size=rows, tie_word_embeddings=True))
        case "qwen2":
            return Qwen2ForCausalLM(Qwen2Config(**SHAPE, vocab_size=rows, tie_word_embeddings=False))
        case "starcoder2":
            return Starcoder2ForCausalLM(Starcoder2Config(**SHAPE, vocab_size=rows))
        case _:
            shape = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 0}
            return GPT2LMHeadModel(GPT2Config(**shape, vocab_size=rows))


@pytest.fixture
def base(request: pytest.FixtureRequest, tmp_path: Path, model: Path) -> Path:
    """A base with exactly the vocabulary's rows, or (Qwen2, as the real ones) some more."""
    family = request.param
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    folder = tmp_path / family
    tiny(family, tokenizer.get_vocab_size() + (16 if family == "qwen2" else 0)).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


families = pytest.mark.parametrize("base", ["llama", "qwen2", "gpt2", "starcoder2"], indirect=True)


def trained(base: Path, mark_id: int | None, steps: int = 25) -> tuple[AdaptedNetwork, list[float]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft says how it treats GPT-2's weights
        network = load_network(base, "float32", 4, 8, mark_id, seed=0)
    examples = EXAMPLES if mark_id is None else [*EXAMPLES, TrainingExample((3, mark_id, 9, mark_id, 4), 1, 3)]
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-2)
    losses = []
    for _ in range(steps):
        loss, counted = network.loss(examples)
        torch.autograd.backward(loss / counted)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()) / counted)
    return network, losses


def saved(network: AdaptedNetwork, base: Path) -> Path:
    folder = base.parent / "adapter"
    write_adapter(folder, network.tensors(), describe(network, "test", "tiny", base, 4, 8))
    return folder


@pytest.mark.parametrize("base", ["llama"], indirect=True)
def test_bfloat16_learns_the_same_into_float32_adapters(base: Path) -> None:
    _, expected = trained(base, None, steps=4)
    network = load_network(base, "bfloat16", 4, 8, None, seed=0)
    loss, counted = network.loss(EXAMPLES)
    torch.autograd.backward(loss)
    assert float(loss.detach()) / counted == pytest.approx(expected[0], rel=0.02)
    for parameter in network.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@families
def test_a_merged_model_computes_what_was_trained(base: Path) -> None:
    mark_id = next_mark_id(base)
    network, losses = trained(base, mark_id)
    assert losses[-1] < losses[0] - 0.5
    folder = saved(network, base)
    loaded = load_model(base, "float32", 1, folder)
    assert (loaded.tokenizer.mark_id, loaded.name) == (mark_id, f"{base.name}+test")
    assert loaded.tokenizer.token_bytes[mark_id] == b""
    ids = [3, mark_id, 9, 4]
    with torch.no_grad():
        hidden = network.hidden(torch.tensor([ids]))[0, -1]
        row = network.mark.get("mark.head", network.mark["mark.embedding"])
        expected = torch.cat([network.head[:mark_id], row[None], network.head[mark_id + 1 :]]) @ hidden
    np.testing.assert_allclose(loaded.start(ids).next_logits, expected, atol=2e-3, rtol=2e-3)


@families
def test_training_goes_on_from_an_adapter(base: Path) -> None:
    network, _ = trained(base, next_mark_id(base))
    folder = saved(network, base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = load_network(base, "float32", 4, 8, next_mark_id(base), seed=5)
    assert start_from(again, folder, base, 4, 8).name == "test"
    expected, found = (float(one.loss(EXAMPLES)[0].detach()) for one in (network, again))
    assert found == pytest.approx(expected, rel=1e-2)
    with pytest.raises(AdapterMismatchError, match="has rank 4 and alpha 8, and this run 8 and 8; give --rank 4"):
        start_from(again, folder, base, 8, 8)


@families
def test_an_adapter_is_given_what_another_has_learned_since(base: Path, tmp_path: Path) -> None:
    network, _ = trained(base, next_mark_id(base))
    marked = saved(network, base)
    stages = [{"stage": "files", "tokens": 10}, {"stage": "functions", "tokens": 5}]
    before, after, out = tmp_path / "before", tmp_path / "after", tmp_path / "out"
    tensors = {name: tensor for name, tensor in network.tensors().items() if not name.startswith("mark.")}
    manifest = replace(read_adapter(marked), mark_id=None, stages=stages[:1], tokens_seen=10)
    write_adapter(before, {name: tensor * 0 for name, tensor in tensors.items()}, manifest)
    write_adapter(after, tensors, replace(manifest, stages=stages, tokens_seen=15))
    seen = read_adapter(marked).tokens_seen
    carry(marked, before, after, out)
    found, own = load_file(out / TENSORS_NAME), load_file(marked / TENSORS_NAME)
    for name, tensor in own.items():
        expected = tensor if name.startswith("mark.") else tensor.float() * 2
        torch.testing.assert_close(found[name].float(), expected.float(), atol=2e-3, rtol=2e-3)
    carried = read_adapter(out)
    assert (carried.mark_id, carried.tokens_seen) == (network.mark_id, seen + 5)
    assert list(carried.stages)[-1] == stages[1]
    with pytest.raises(ConfigError, match="was not trained from"):
        carry(marked, after, before, tmp_path / "other")
    write_adapter(after, tensors, replace(manifest, rank=9))
    with pytest.raises(AdapterMismatchError, match="differ in base, rank or alpha"):
        carry(marked, before, after, tmp_path / "other")


llama = pytest.mark.parametrize("base", ["llama"], indirect=True)


@llama
def test_an_adapter_without_marks_leaves_the_vocabulary_alone(base: Path) -> None:
    network, losses = trained(base, None)
    loaded = load_model(base, "float32", 1, saved(network, base))
    assert losses[-1] < losses[0]
    assert loaded.tokenizer.mark_id is None
    assert len(loaded.start([1]).next_logits) == len(network.head)


@llama
def test_a_mark_starts_where_it_is_set_and_is_trained(base: Path) -> None:
    mark_id = next_mark_id(base)
    network, _ = trained(base, mark_id, steps=0)
    network.set_mark(network.embedding[3], network.head[3])
    before = network.tensors()["mark.embedding"].clone()
    torch.testing.assert_close(before, network.embedding[3])
    loss, _ = network.loss([TrainingExample((1, mark_id, 2), 1, 2)], mark_weight=2.0)
    plain, _ = network.loss([TrainingExample((1, mark_id, 2), 1, 2)])
    assert float(loss.detach()) > float(plain.detach())
    torch.autograd.backward(loss)
    assert network.mark["mark.embedding"].grad is not None
    assert network.embedding.grad is None


@llama
def test_another_base_is_refused(base: Path, model: Path) -> None:
    folder = saved(trained(base, None, steps=0)[0], base)
    with pytest.raises(
        AdapterMismatchError, match=r"is for tiny with weights sha256 \w{16}\.\.\., and tiny has \w{16}"
    ):
        load_model(model, "float32", 1, folder)


@llama
def test_another_format_is_refused(base: Path) -> None:
    folder = saved(trained(base, None, steps=0)[0], base)
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    (folder / MANIFEST_NAME).write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(AdapterMismatchError, match="has format 99; this version reads format 2"):
        read_adapter(folder)


@llama
def test_another_vocabulary_is_refused(base: Path) -> None:
    folder = saved(trained(base, next_mark_id(base), steps=0)[0], base)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.add_special_tokens(["<other>"])
    tokenizer.save(str(base / "tokenizer.json"))
    with pytest.raises(AdapterMismatchError, match="the adapter's mark has id"):
        load_model(base, "float32", 1, folder)


@llama
def test_weights_of_another_shape_are_refused(base: Path) -> None:
    folder = saved(trained(base, None, steps=0)[0], base)
    name = "model.layers.0.mlp.up_proj.weight"
    weights = {**WeightFiles([base / "model.safetensors"]), name: np.zeros((3, 3), np.float32)}
    with pytest.raises(AdapterMismatchError, match=r"up_proj.weight of shape \(48, 32\); the base has \(3, 3\)"):
        MergedWeights(weights, load_adapter(folder, base))[name]
    del weights[name]
    with pytest.raises(AdapterMismatchError, match=r"changes .*up_proj.weight; the base has none"):
        MergedWeights(weights, load_adapter(folder, base))


@llama
def test_a_damaged_adapter(base: Path) -> None:
    folder = saved(trained(base, None, steps=0)[0], base)
    (folder / TENSORS_NAME).write_bytes((folder / TENSORS_NAME).read_bytes()[:-50])
    with pytest.raises(ModelLoadError, match="is damaged"):
        load_model(base, "float32", 1, folder)
    whole = load_file(saved(trained(base, None, steps=0)[0], base) / TENSORS_NAME)
    name = next(name for name in whole if "lora_B" in name)
    save_file({other: tensor for other, tensor in whole.items() if other != name}, folder / TENSORS_NAME)
    with pytest.raises(ModelLoadError, match=r"is damaged \(it lacks .*lora_B"):
        load_model(base, "float32", 1, folder)
    (folder / TENSORS_NAME).unlink()
    with pytest.raises(ModelLoadError, match="is no usable adapter folder"):
        read_adapter(folder)


@families
def test_an_exported_model_needs_no_adapter(base: Path, tmp_path: Path) -> None:
    network, _ = trained(base, next_mark_id(base), steps=3)
    folder = saved(network, base)
    export_merged(folder, base, tmp_path / "merged")
    merged = load_model(tmp_path / "merged", "bfloat16", 1)
    assert merged.tokenizer.mark_id == next_mark_id(base)
    ids = merged.tokenizer.encode("def f(x):")
    expected = load_model(base, "bfloat16", 1, folder).start(ids).next_logits
    np.testing.assert_allclose(merged.start(ids).next_logits, expected, atol=5e-2, rtol=5e-2)


@llama
def test_an_exported_gguf_file_holds_the_model_and_its_vocabulary(base: Path, tmp_path: Path) -> None:
    """Read by an implementation of the format that is not ours."""
    network, _ = trained(base, next_mark_id(base), steps=3)
    folder = saved(network, base)
    export_gguf(folder, base, tmp_path / "tuned.gguf")
    expected = load_model(base, "float32", 1, folder)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tuned.gguf", dtype=torch.float32)
    ids = expected.tokenizer.encode("def f(x): return 12345")
    with torch.no_grad():
        found = theirs(torch.tensor([ids])).logits[0, -1]
    logits = expected.start(ids).next_logits
    np.testing.assert_allclose(found[: len(logits)], logits, atol=2e-2, rtol=2e-2)
    file = GGUFReader(tmp_path / "tuned.gguf")
    words = file.get_field("tokenizer.ggml.tokens").contents()
    spelled = Tokenizer.from_file(str(base / "tokenizer.json"))
    assert words == [spelled.id_to_token(number) for number in range(spelled.get_vocab_size())] + [MARK]
    assert file.get_field("tokenizer.ggml.merges").contents()


def test_a_gguf_file_of_what_is_no_llama_is_refused(tmp_path: Path) -> None:
    tiny("gpt2", 64).save_pretrained(tmp_path)
    with pytest.raises(ModelLoadError, match="is no plain Llama"):
        export(tmp_path, tmp_path / "out.gguf")


@llama
def test_a_copy_holds_the_adapter_alone(base: Path, tmp_path: Path) -> None:
    folder = saved(trained(base, None, steps=0)[0], base)
    (folder / "log.jsonl").write_text("{}\n")
    copy_adapter(folder, tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [TENSORS_NAME, MANIFEST_NAME]
    assert adapter_sha256(tmp_path / "copy") == adapter_sha256(folder)


def test_a_head_that_does_more_than_multiply_is_refused(tmp_path: Path) -> None:
    shape = {**SHAPE, "num_key_value_heads": 4}
    CohereForCausalLM(CohereConfig(**shape, vocab_size=40, pad_token_id=0, logit_scale=0.5)).save_pretrained(tmp_path)
    with pytest.raises(ModelLoadError, match="CohereForCausalLM scales or caps its logits"):
        load_network(tmp_path, "float32", 4, 8, None, seed=0)
