"""Model folders that load, and folders that cannot, with the error that says why."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from generation.decoding import loading, step_costs
from generation.decoding.gpu.network import TorchNetwork
from generation.decoding.llama import native, packed_file
from generation.decoding.llama.model import LlamaModel
from generation.decoding.llama.network import Network
from generation.decoding.loading import Engine, choose_engine, load_model
from generation.decoding.selection.scorer import SelectingScorer
from generation.decoding.through_transformers.transformers_model import TransformersModel
from generation.errors import ConfigError, ModelLoadError
from generation.types import Draft


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same engines on every machine."""
    monkeypatch.setattr(loading, "gpu_name", lambda: None)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny models do not push real ones out of the user's cache."""
    monkeypatch.setattr(packed_file, "cache_root", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "packed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny random Llama with tied embeddings and a vocabulary of bytes."""
    torch.manual_seed(0)
    alphabet = {character: index for index, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(alphabet, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    path = tmp_path / "tiny"
    config = LlamaConfig(
        vocab_size=260, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True, rope_parameters={"rope_theta": 5e4, "rope_type": "default"},
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def test_a_loaded_model_computes_what_was_saved(folder: Path) -> None:
    model = load_model(folder, dtype="float32", threads=1)
    ids = model.tokenizer.encode("def f(x):")
    state = model.start(ids)
    reference = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        expected = reference(torch.tensor([ids])).logits[0, -1]
    np.testing.assert_allclose(state.next_logits, expected, atol=1e-5, rtol=1e-5)
    assert (model.name, model.context_tokens, len(model.tokenizer.token_bytes)) == ("tiny", 128, 260)


def test_rotary_frequencies_survive_loading(folder: Path) -> None:
    """They are no weights but computed from the configuration, and loading starts from empty tensors."""
    state = load_model(folder, dtype="bfloat16", threads=1).start([1, 2, 3])
    rotary = state._scorer._network.model.rotary_emb.inv_freq  # type: ignore[union-attr]
    torch.testing.assert_close(rotary, 5e4 ** -(torch.arange(0, 8, 2) / 8), check_dtype=False)


def test_rotary_tables_are_those_of_torch_and_go_on_behind_them(folder: Path) -> None:
    model = load_model(folder, dtype="float32", threads=1)
    assert isinstance(model, LlamaModel)
    assert isinstance(model.network, Network)
    angles = torch.outer(torch.arange(300.0), torch.from_numpy(np.array(model.network.weights.arrays["rotary"][:-1])))
    for count in (100, 300):
        tables = model.network.rotary_tables(count)
        for table, expected in zip(tables, (angles.cos().numpy(), angles.sin().numpy()), strict=True):
            np.testing.assert_allclose(table[:count][:128], expected[:count][:128], atol=2e-7, rtol=0)
            np.testing.assert_allclose(table[:count], expected[:count], atol=1e-4)


def test_the_dtype_is_what_was_asked_for(folder: Path) -> None:
    half = load_model(folder, dtype="bfloat16", threads=1)
    assert isinstance(half, TransformersModel)
    assert half.start([1])._scorer._network.dtype == torch.bfloat16  # type: ignore[union-attr]
    for dtype in ("float32", "int8", "auto"):
        model = load_model(folder, dtype=dtype, threads=1)
        assert isinstance(model, LlamaModel)
        assert model.network.weights.int8 == (dtype != "float32")


def test_without_a_compiler_transformers_runs_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "find_kernels", lambda: native.NoKernels("there is no C++ compiler"))
    assert isinstance(load_model(folder, threads=1), TransformersModel)
    assert choose_engine(folder).reason == "transformers, because there is no C++ compiler"
    with pytest.raises(ModelLoadError, match="int8 needs our own kernels: there is no C"):
        load_model(folder, dtype="int8")


def test_a_gpu_runs_the_families_of_our_kernels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "gpu_name", lambda: "GPU")
    for dtype, device in (("auto", "cuda"), ("bfloat16", "cuda"), ("int8", "cpu"), ("float32", "cpu")):
        assert choose_engine(folder, dtype).device == device
    assert choose_engine(folder).reason == "CUDA graphs and Triton kernels on GPU"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(ConfigError, match="129 tokens needs our own kernels; the model runs by transformers"):
        load_model(folder, context_tokens=129)
    assert (choose_engine(folder).device, choose_engine(folder).shape) == ("cpu", None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU works")
def test_a_gpu_that_does_not_work_leaves_the_model_to_the_cpu(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loading, "gpu_name", lambda: "GPU")
    caplog.set_level(logging.WARNING, logger="generation")  # which the command line, in the same process, had silenced
    model = load_model(folder)
    assert isinstance(model, LlamaModel)
    assert isinstance(model.network, Network)
    assert "the GPU is not used, the CPU is" in caplog.text
    with pytest.raises(ModelLoadError, match="leave the dtype out to use the CPU"):
        load_model(folder, "bfloat16")


def test_what_a_gpu_would_load_computes_what_was_saved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the device: the engine that a GPU would have, in float32 on the CPU."""
    shape = choose_engine(folder).shape
    monkeypatch.setattr(loading, "choose_engine", lambda *_: Engine("float32", None, shape, "as on a GPU"))
    monkeypatch.setattr(step_costs, "cache_root", lambda: folder)
    model = load_model(folder, context_tokens=3000)
    assert isinstance(model, LlamaModel)
    assert isinstance(model.network, TorchNetwork)
    state = model.start([5, 6, 7])
    reference = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        expected = reference(torch.tensor([[5, 6, 7]])).logits[0, -1]
    np.testing.assert_allclose(state.next_logits, expected, atol=1e-5, rtol=1e-5)
    assert (model.name, model.context_tokens) == ("tiny", 3000)
    long = model.start([5, 6, 7] * 950)
    assert isinstance(long._scorer, SelectingScorer)


def test_other_families_run_through_transformers(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for change in ({"model_type": "gpt2"}, {"hidden_act": "gelu"}, {"hidden_size": 36}):
        (folder / "config.json").write_text(json.dumps(config | change))
        assert choose_engine(folder).kernels is None


def test_weights_are_packed_once_and_again_when_they_change(folder: Path, own_cache: Path) -> None:
    load_model(folder, dtype="int8", threads=1)
    (packed,) = own_cache.glob("*")
    before = packed.stat().st_ino
    load_model(folder, dtype="int8", threads=1)
    assert [path.stat().st_ino for path in own_cache.glob("*")] == [before]
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] *= 2
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    doubled = load_model(folder, dtype="int8", threads=1).start([1])
    assert len(list(own_cache.glob("*"))) == 2
    packed.unlink()
    assert np.array_equal(load_model(folder, dtype="int8", threads=1).start([1]).next_logits, doubled.next_logits)


def test_auto_picks_a_dtype_and_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 3)
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    model = load_model(folder)
    assert model.start([1]).score(Draft((1,), (-1,))).shape == (1, 260)
    assert model.network._threads == 3  # type: ignore[attr-defined]
    load_model(folder, "bfloat16")
    assert torch.get_num_threads() == 5


def test_threads_are_set(folder: Path) -> None:
    assert load_model(folder, threads=2).network._threads == 2  # type: ignore[attr-defined]
    load_model(folder, "bfloat16", threads=2)
    assert torch.get_num_threads() == 2


def test_nothing_is_printed(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(folder, threads=1)
    assert capfd.readouterr() == ("", "")


def test_an_unknown_dtype(folder: Path) -> None:
    with pytest.raises(ModelLoadError, match="unknown dtype 'int3'; choose one of auto, int8, float32, bfloat16"):
        load_model(folder, dtype="int3")


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"not a model folder: it has no config\.json"):
        load_model(tmp_path)


def test_an_unknown_architecture(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "nonesuch"}))
    with pytest.raises(ModelLoadError, match="cannot load the model in"):
        load_model(folder)


def test_a_folder_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match="cannot load the model in"):
        load_model(folder)


def test_weights_cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelLoadError, match=r"model\.safetensors is damaged .* is cut short"):
        load_model(folder)


def test_a_missing_weight_is_not_filled_with_noise(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"lacks 1 weights, such as model\.layers\.1\.mlp\.up_proj\.weight"):
        load_model(folder)


@pytest.mark.parametrize(("package", "extra"), [("torch", "torch"), ("transformers", "torch"), ("tokenizers", "model")])
def test_a_missing_extra_names_the_command(tmp_path: Path, package: str, extra: str) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    script = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from pathlib import Path\n"
        "from generation.decoding.loading import load_model\n"
        f"load_model(Path({str(tmp_path)!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert f"{package} is not installed; it comes with: pip install 'memberwise[{extra}]'" in done.stderr


def test_without_compiler_and_torch_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "find_kernels", lambda: native.NoKernels("there is no C++ compiler"))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelLoadError, match=r"there is no C\+\+ compiler; or torch, .*memberwise\[torch\]"):
        load_model(folder, threads=1)


@pytest.mark.model
def test_the_default_model_loads_within_two_seconds() -> None:
    from generation.models import resolve

    path = resolve("default")
    load_model(path, threads=1)  # imports, and the disk
    start_s = time.perf_counter()
    load_model(path, threads=1)
    assert time.perf_counter() - start_s < 2.0
