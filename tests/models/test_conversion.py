"""A converted GGUF file computes what the GGUF file says, tensor by tensor and token by token."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import gguf
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from generation.errors import ModelLoadError
from generation.models.conversion import convert_gguf
from generation.models.llama_gguf import convert_plain
from tests.models.conftest import write_gguf


@pytest.fixture(scope="module")
def converted(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    convert_gguf(tiny_gguf, folder)
    return folder


def test_logits_are_those_of_the_gguf_file(converted: Path, tiny_gguf: Path) -> None:
    direct = AutoModelForCausalLM.from_pretrained(tiny_gguf.parent, gguf_file=tiny_gguf.name, dtype=torch.bfloat16)
    ours = AutoModelForCausalLM.from_pretrained(converted, dtype=torch.bfloat16)
    ids = torch.tensor([[5, 9, 200, 31, 7]])
    with torch.inference_mode():
        torch.testing.assert_close(ours(ids).logits, direct(ids).logits, atol=0, rtol=0)


def test_weights_are_the_dequantised_ones(converted: Path, tiny_gguf: Path) -> None:
    tensor = next(each for each in gguf.GGUFReader(tiny_gguf).tensors if each.name == "blk.1.ffn_down.weight")
    expected = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type)).to(torch.bfloat16)
    assert torch.equal(load_file(converted / "model.safetensors")["model.layers.1.mlp.down_proj.weight"], expected)


def test_tied_embeddings_are_stored_once(converted: Path) -> None:
    assert json.loads((converted / "config.json").read_text())["tie_word_embeddings"] is True
    assert "lm_head.weight" not in load_file(converted / "model.safetensors")


def test_digits_are_split_off_as_the_model_was_trained(converted: Path) -> None:
    tokenizer = Tokenizer.from_file(str(converted / "tokenizer.json"))
    assert tokenizer.encode("\n    12", add_special_tokens=False).tokens == ["ĊĠĠĠĠ", "1", "2"]


def test_converting_twice_gives_the_same_bytes(converted: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    convert_gguf(tiny_gguf, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in converted.iterdir()
    }


def test_torch_is_not_needed(converted: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(torch=None, transformers=None, accelerate=None, safetensors=None)\n"
        "from pathlib import Path\nfrom generation.models.conversion import convert_gguf\n"
        f"convert_gguf(Path({str(tiny_gguf)!r}), Path({str(tmp_path)!r}))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in converted.iterdir()
    }


def test_the_weights_are_written_as_safetensors_writes_them(converted: Path, tmp_path: Path) -> None:
    path = converted / "model.safetensors"
    save_file(load_file(path), tmp_path / "again", metadata={"format": "pt"})
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_one_of_several_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny-00001-of-00002.gguf"
    write_gguf(path, files=2)
    with pytest.raises(ModelLoadError, match="is one of several files; merge them"):
        convert_gguf(path, tmp_path)


def test_what_is_not_plain_is_read_by_transformers(tmp_path: Path) -> None:
    """The same model, whose tokenizer puts a token in front."""
    path = tmp_path / "other.gguf"
    write_gguf(path, add_bos=True)
    assert not convert_plain(path, tmp_path)
    convert_gguf(path, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["transformers_version"]
    assert {"config.json", "tokenizer.json", "model.safetensors"} < {each.name for each in tmp_path.iterdir()}


def test_nothing_is_printed(tiny_gguf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    convert_gguf(tiny_gguf, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_file_cut_short(tiny_gguf: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(tiny_gguf.read_bytes()[:2000])
    with pytest.raises(ModelLoadError, match="is cut short"):
        convert_gguf(damaged, tmp_path)


def test_an_architecture_transformers_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(path, "nonesuch")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelLoadError, match=r"cannot read .*odd\.gguf"):
        convert_gguf(path, tmp_path)
