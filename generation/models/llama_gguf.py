"""A plain Llama in a GGUF file becomes a folder in Hugging Face format, without torch: what the default model is.

Plain is a Llama with GPT-2's kind of tokenizer and nothing special in its attention; any other file is for
transformers. Start reading at ``convert_plain``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader, quants
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from generation.errors import ModelLoadError
from generation.models.store import require_space

Array = npt.NDArray[Any]

# Pre-tokenizers that split off every digit before the expression of GPT-2 runs, and the one that does not.
DIGIT_SPLITTING = frozenset({"smollm", "starcoder", "refact", "command-r"})
_PLAIN_SPLITTING = "gpt-2"
_NORMAL, _CONTROL = (1, 5), 3  # types of tokens; those that are not used are as good as any
_SIZES = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "intermediate_size": "feed_forward_length",
    "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
}
_SPECIAL_IDS = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
_NAMES = {
    "token_embd": "model.embed_tokens",
    "output": "lm_head",
    "output_norm": "model.norm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TENSOR = re.compile(r"(?:blk\.(\d+)\.)?(\w+)\.weight")
_KEY_HEADS, _THETA = "llama.attention.head_count_kv", "llama.rope.freq_base"  # which need not be there
_KNOWN_FIELDS = {*_SIZES.values(), "attention.head_count_kv", "rope.freq_base", "rope.dimension_count", "vocab_size"}


def convert_plain(source: Path, folder: Path) -> bool:
    """Write the model in ``source`` into ``folder``, dequantised to bfloat16.

    Returns:
        False where it is not plain, and nothing is written.

    Raises:
        ModelLoadError: the file is damaged, or one of several, or the disk is full.
    """
    try:
        reader = GGUFReader(source)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        if fields.get("split.count", 1) > 1:
            raise ModelLoadError(f"{source} is one of several files; merge them with: llama-gguf-split --merge")
        names = {tensor.name: _name_of(tensor.name) for tensor in reader.tensors}
        if not all(names.values()) or not _is_plain(fields):
            return False
        config = _config(fields, tied="output.weight" not in names)
        weights = {names[tensor.name]: _weight(tensor, config) for tensor in reader.tensors}
        tokenizer = _tokenizer(fields)
    except (NotImplementedError, KeyError):  # a kind of number, or something is left to others to guess
        return False
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise ModelLoadError(f"{source} is not a GGUF file, or it is cut short ({error}); fetch it again") from error
    require_space(folder, sum(weight.nbytes for weight in weights.values()))
    try:
        _write_bfloat16(weights, folder / "model.safetensors")
    except OSError as error:
        raise ModelLoadError(f"cannot write the converted weights ({error}); is the disk full?") from error
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
    return True


def _is_plain(fields: dict[str, Any]) -> bool:
    known = {f"llama.{name}" for name in _KNOWN_FIELDS}
    others = [name for name in fields if name.startswith("llama.") and name not in known]
    byte_level = fields.get("tokenizer.ggml.model") == "gpt2" and not fields.get("tokenizer.ggml.add_bos_token")
    splitting = fields.get("tokenizer.ggml.pre") in {*DIGIT_SPLITTING, _PLAIN_SPLITTING}
    kinds = set(fields["tokenizer.ggml.token_type"]) <= {*_NORMAL, _CONTROL}
    whole = fields["llama.embedding_length"] // fields["llama.attention.head_count"]
    turns_all = fields.get("llama.rope.dimension_count", whole) == whole
    is_llama = fields.get("general.architecture") == "llama" and not others
    return is_llama and byte_level and splitting and kinds and turns_all


def _name_of(name: str) -> str:
    """The name of a tensor in transformers; empty for one that a plain Llama does not have."""
    found = _TENSOR.fullmatch(name)
    if found is None or found[2] not in _NAMES:
        return ""
    return f"model.layers.{found[1]}.{_NAMES[found[2]]}.weight" if found[1] else f"{_NAMES[found[2]]}.weight"


def _config(fields: dict[str, Any], *, tied: bool) -> dict[str, Any]:
    sizes = {ours: fields[f"llama.{theirs}"] for ours, theirs in _SIZES.items()}
    ids = {ours: fields.get(f"tokenizer.ggml.{theirs}_token_id") for ours, theirs in _SPECIAL_IDS.items()}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_act": "silu",
        "head_dim": sizes["hidden_size"] // sizes["num_attention_heads"],
        "num_key_value_heads": fields.get(_KEY_HEADS, sizes["num_attention_heads"]),
        "rope_parameters": {"rope_theta": fields.get(_THETA, 10_000.0), "rope_type": "default"},
        "tie_word_embeddings": tied,
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        **sizes,
        **ids,
    }


def _weight(tensor: Any, config: dict[str, Any]) -> Array:
    values = quants.dequantize(tensor.data, tensor.tensor_type)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    if count := heads.get(
        tensor.name.split(".")[-2]
    ):  # pairs of channels lie side by side there, half a head apart here
        values = values.reshape(count, -1, 2, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16  # to the nearest, of two that are as near to the even one
    return rounded.astype("<u2")


def _write_bfloat16(weights: dict[str, Array], path: Path) -> None:
    """As safetensors writes it, which takes bfloat16 from torch only; byte by byte, for adapters know the hash."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, weight in sorted(weights.items()):
        start, end = end, end + weight.nbytes
        header[name] = {"dtype": "BF16", "shape": weight.shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, weight in sorted(weights.items()):
            file.write(weight.data)


def _tokenizer(fields: dict[str, Any]) -> Tokenizer:
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    splits_digits = fields["tokenizer.ggml.pre"] in DIGIT_SPLITTING
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level]) if splits_digits else byte_level
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return tokenizer
