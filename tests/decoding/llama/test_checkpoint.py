"""A model folder is read without torch as transformers reads it, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from generation.decoding.llama.checkpoint import Checkpoint, read_checkpoint
from generation.decoding.llama.packing import EMBEDDING, HEAD, pack, pack_network
from generation.decoding.llama.shape import read_shape
from generation.errors import ModelLoadError
from tests.decoding.llama.networks import FAMILIES, SHAPE, network_of


def saved(network: Any, folder: Path, **how: Any) -> Path:
    network.save_pretrained(folder, **how)
    return folder


def found(folder: Path, **changes: Any) -> Checkpoint | None:
    config = {**json.loads((folder / "config.json").read_text()), **changes}
    shape = read_shape(config)
    assert shape is not None
    return read_checkpoint(folder, config, shape)


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_weights_are_those_that_transformers_reads(tmp_path: Path, family: str, dtype: torch.dtype) -> None:
    config, kind, extra = FAMILIES[family]
    network = kind(config(**{**SHAPE, **extra})).to(dtype)
    checkpoint = found(saved(network, tmp_path, max_shard_size="20KB"))
    assert checkpoint is not None
    tensors = network.state_dict()
    tied = tensors[HEAD].data_ptr() == tensors[EMBEDDING].data_ptr()
    assert checkpoint.weights.keys() == tensors.keys() - ({HEAD} if tied else set())
    for name, weight in checkpoint.weights.items():
        assert weight.dtype == np.float32
        assert np.array_equal(weight, tensors[name].float().numpy())


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("int8", [False, True])
def test_they_are_packed_as_those_of_the_network_are(tmp_path: Path, family: str, int8: bool) -> None:
    network = network_of(family)
    checkpoint = found(saved(network, tmp_path))
    shape = read_shape(network.config.to_dict())
    assert checkpoint is not None
    assert shape is not None
    ours = pack(checkpoint.weights, checkpoint.rotary, shape, int8=int8)
    theirs = pack_network(network, shape, int8=int8)
    assert ours.shape == theirs.shape
    assert ours.arrays.keys() == theirs.arrays.keys()
    for name, array in theirs.arrays.items():
        np.testing.assert_allclose(ours.arrays[name], array, rtol=5e-7 if name == "rotary" else 0)


def test_what_is_not_plain_is_for_transformers(tmp_path: Path) -> None:
    folder = saved(network_of("llama"), tmp_path)
    assert found(folder) is not None
    assert found(folder, quantization_config={"quant_method": "gptq"}) is None
    scaled = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    assert found(folder, rope_parameters=scaled) is None
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert found(folder) is None


def test_a_head_that_was_untied_is_kept_and_one_alone_is_for_transformers(tmp_path: Path) -> None:
    folder = saved(network_of("llama"), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    for head, kept in ((tensors[EMBEDDING].clone(), False), (tensors[EMBEDDING] + 1, True)):
        save_file({**tensors, HEAD: head}, folder / "model.safetensors")
        checkpoint = found(folder)
        assert checkpoint is not None
        assert (HEAD in checkpoint.weights) is kept
    del tensors[EMBEDDING]
    save_file({**tensors, HEAD: head}, folder / "model.safetensors")
    assert found(folder) is None


def test_one_file_goes_before_an_index_and_other_numbers_are_for_transformers(tmp_path: Path) -> None:
    folder = saved(network_of("llama"), tmp_path)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "of-yesterday.safetensors"}}')
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "positions": torch.arange(3)}, folder / "model.safetensors")
    assert found(folder) is not None
    save_file({**tensors, "model.norm.weight": torch.ones(32, dtype=torch.float64)}, folder / "model.safetensors")
    assert found(folder) is None


def test_weights_of_another_size_are_told(tmp_path: Path) -> None:
    folder = saved(network_of("llama"), tmp_path)
    with pytest.raises(ModelLoadError, match=r"gate_proj\.weight has the shape \(56, 32\), .* says \(64, 32\)"):
        found(folder, intermediate_size=64)


def test_llama_3_says_its_former_length_in_several_places(tmp_path: Path) -> None:
    folder = saved(network_of("llama3"), tmp_path)
    rope = json.loads((folder / "config.json").read_text())["rope_parameters"]
    usual = found(folder)
    before = rope.pop("original_max_position_embeddings")
    outside = found(folder, rope_parameters=rope, original_max_position_embeddings=before)
    assert usual is not None
    assert outside is not None
    assert np.array_equal(outside.rotary.frequencies, usual.rotary.frequencies)
    assert found(folder, rope_parameters=rope) is not None
    assert found(folder, rope_parameters={"rope_type": "llama3"}) is None


def test_weights_that_are_not_there_are_told(tmp_path: Path) -> None:
    folder = saved(network_of("mistral"), tmp_path, max_shard_size="20KB")
    shard = sorted(folder.glob("*.safetensors"))[1]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(ModelLoadError, match=f"{shard.name} is damaged .*is cut short.*fetch the model again"):
        found(folder)
    shard.unlink()
    with pytest.raises(ModelLoadError, match=f"{shard.name}.*No such file.*fetch the model again"):
        found(folder)
    shard.write_bytes(whole)
    with pytest.raises(ModelLoadError, match=r"lacks 9 weights, such as model\.layers\.2\..*; fetch the model again"):
        found(folder, num_hidden_layers=3)
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ModelLoadError, match=r"index\.json is damaged"):
        found(folder)
