"""Packed weights on disk: whole or not at all, and the same as in memory."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generation.decoding.llama import packed_file
from generation.decoding.llama.packed_file import load_or_pack, packed_folder, packed_key
from generation.decoding.llama.packing import PackedWeights
from generation.errors import ModelLoadError
from tests.decoding.llama.networks import model_of


@pytest.fixture(autouse=True, params=["read", "mapped"])
def own_cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_file, "cache_root", lambda: tmp_path)
    if request.param == "mapped":
        monkeypatch.setattr(packed_file, "_READ_SHARE", 0)


def weights() -> PackedWeights:
    return model_of("qwen2", int8=True).network.weights


def refuse() -> PackedWeights:
    raise AssertionError("packed again")


def assert_same(found: PackedWeights) -> None:
    assert (found.shape, found.int8, found.arrays.keys()) == (weights().shape, True, weights().arrays.keys())
    for name, array in weights().arrays.items():
        assert found.arrays[name].dtype == array.dtype
        assert np.array_equal(found.arrays[name], array)


def test_what_was_packed_is_found_again() -> None:
    assert_same(load_or_pack("one", weights))
    assert_same(load_or_pack("one", refuse))


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_damaged_file_is_packed_again(kept: int) -> None:
    load_or_pack("one", weights)
    path = packed_folder() / "one.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    assert_same(load_or_pack("one", weights))


@pytest.mark.parametrize("content", [b"\xff" * 80, (1).to_bytes(8, "little") + b"3"], ids=["length", "header"])
def test_a_file_that_is_none_of_ours_is_packed_again(content: bytes) -> None:
    packed_folder().mkdir()
    (packed_folder() / "one.safetensors").write_bytes(content)
    assert_same(load_or_pack("one", weights))


def test_a_failure_leaves_nothing() -> None:
    with pytest.raises(AssertionError, match="packed again"):
        load_or_pack("one", refuse)
    assert not packed_folder().exists()


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packed_file.os, "fsync", full)
    with pytest.raises(ModelLoadError, match="the disk is full"):
        load_or_pack("one", weights)
    assert list(packed_folder().iterdir()) == []


def test_only_the_latest_are_kept() -> None:
    for number in range(10):
        load_or_pack(str(number), weights)
    assert sorted(int(path.stem) for path in packed_folder().iterdir()) == list(range(2, 10))


def test_a_key_tells_weights_apart(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    first = packed_key(folder, "int8")
    assert first.startswith("model-int8-")
    assert packed_key(folder, "int8") == first != packed_key(folder, "float32")
    (folder / "model.safetensors").write_bytes(b"others.")
    assert packed_key(folder, "int8") != first
