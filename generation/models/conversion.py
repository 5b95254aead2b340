"""A GGUF file becomes a folder in Hugging Face format: bfloat16 safetensors, config.json, tokenizer.json.

What ``llama_gguf`` does not know, transformers reads; it refuses to save what it read, so the tensors are written here.
Knows nothing of downloads or of the cache. Start at ``convert_gguf``.
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generation.errors import MissingExtraError, ModelLoadError
from generation.models.store import require_space

if TYPE_CHECKING:
    import torch


def convert_gguf(source: Path, folder: Path) -> None:
    """Write the model in the GGUF file ``source`` into ``folder``, dequantised to bfloat16.

    Raises:
        MissingExtraError: what reads the file is not installed.
        ModelLoadError: the file is damaged or of an architecture transformers does not know, or the disk is full.
    """
    _require("gguf", "tokenizers")
    from generation.models.llama_gguf import convert_plain

    if convert_plain(source, folder):
        return
    _require("torch", "transformers", "accelerate", extra="torch")
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars that cannot be turned off
        model, tokenizer = _read(source)
        _write_weights(model, folder)
        _write_config(model, folder)
        _write_tokenizer(tokenizer, source, folder)


def gguf_fields(source: Path, *names: str) -> dict[str, str]:
    """Text fields of a GGUF file, absent ones left out.

    Raises:
        ModelLoadError: it is not a GGUF file.
    """
    _require("gguf")
    from gguf import GGUFReader

    try:
        fields = GGUFReader(source).fields
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ModelLoadError(f"{source} is not a GGUF file, or it is cut short ({error}); fetch it again") from error
    return {name: str(fields[name].contents()) for name in names if name in fields}


def _require(*packages: str, extra: str = "model") -> None:
    for package in packages:
        try:
            __import__(package)
        except ImportError as error:
            raise MissingExtraError(package, extra) from error


def _read(source: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    try:
        unpacked = GgufConfig(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16, quantization_config=unpacked)
        tokenizer = AutoTokenizer.from_pretrained(**where)
    except Exception as error:  # whatever transformers trips over in a file we did not write
        raise ModelLoadError(f"transformers cannot read {source}: {error}") from error
    return model, tokenizer


def _write_weights(model: Any, folder: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    weights = _untied(model.state_dict())
    require_space(folder, sum(weight.nbytes for weight in weights.values()))
    try:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    except SafetensorError as error:
        raise ModelLoadError(f"cannot write the converted weights ({error}); is the disk full?") from error


def _untied(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each tensor once, under the first of its names: the embedding, where the output layer is tied to it."""
    kept: dict[int, tuple[str, torch.Tensor]] = {}
    for name, tensor in state.items():
        kept.setdefault(tensor.data_ptr(), (name, tensor))
    return {name: tensor.contiguous() for name, tensor in kept.values()}


def _write_config(model: Any, folder: Path) -> None:
    config = model.config.to_dict()
    for machine_specific in ("quantization_config", "_name_or_path"):
        config.pop(machine_specific, None)
    config |= {"architectures": [type(model).__name__], "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_tokenizer(tokenizer: Any, source: Path, folder: Path) -> None:
    from generation.models.llama_gguf import DIGIT_SPLITTING

    backend = tokenizer.backend_tokenizer
    if (
        gguf_fields(source, "tokenizer.ggml.pre").get("tokenizer.ggml.pre") in DIGIT_SPLITTING
    ):  # transformers knows some names only
        from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

        backend.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    backend.save(str(folder / "tokenizer.json"))
