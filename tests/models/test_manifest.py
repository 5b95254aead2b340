"""What a manifest says about a folder, and when it is not believed."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from generation.errors import ModelLoadError
from generation.models.manifest import MANIFEST_NAME, Manifest, Provenance, describe, read_manifest

ORIGIN = Provenance("tiny", "made by hand", "", "MIT")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of one bfloat16 matrix of 2 x 3 and a float32 vector of 4, as bytes."""
    tensors = {
        "a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
        "b": {"dtype": "F32", "shape": [4], "data_offsets": [12, 28]},
    }
    header = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(28))
    config = {"architectures": ["TinyForCausalLM"], "max_position_embeddings": 128}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def written(folder: Path) -> Manifest:
    manifest = describe(folder, ORIGIN)
    (folder / MANIFEST_NAME).write_text(manifest.to_json())
    return manifest


def test_a_folder_is_described(folder: Path) -> None:
    manifest = describe(folder, ORIGIN)
    assert (manifest.architecture, manifest.parameters, manifest.dtype) == ("TinyForCausalLM", 10, "BF16")
    assert manifest.context_tokens == 128
    assert set(manifest.files) == {"config.json", "model.safetensors"}
    assert manifest.size_bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_what_is_written_is_read(folder: Path) -> None:
    manifest = written(folder)
    assert read_manifest(folder) == manifest


def test_a_manifest_depends_on_the_files_alone(folder: Path) -> None:
    assert written(folder).to_json() == describe(folder, ORIGIN).to_json()
    assert str(folder) not in written(folder).to_json()


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_folder_with_a_damaged_file_is_not_believed(folder: Path, damage: str) -> None:
    written(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1]) if damage == "short" else weights.unlink()
    assert read_manifest(folder) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 0}', '{"format": 1, "files": {}}'])
def test_a_manifest_that_is_none(folder: Path, text: str) -> None:
    (folder / MANIFEST_NAME).write_text(text)
    assert read_manifest(folder) is None


def test_a_folder_without_configuration(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="is not a model folder"):
        describe(tmp_path, ORIGIN)


def test_damaged_weights_are_named(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(ModelLoadError, match=r"model\.safetensors is damaged"):
        describe(folder, ORIGIN)
