"""A Llama folder as a GGUF file in 16 bits, to measure llama.cpp, and to use an adapter in it. Start at ``export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from generation.errors import ModelLoadError

_LAYER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
_SPLITTERS = {("ByteLevel",): "gpt-2", ("Digits", "ByteLevel"): "smollm"}  # as tokenizers and as llama.cpp call them
_OTHERS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def export(folder: Path, path: Path) -> None:
    """Write the weights and the vocabulary in ``folder`` to ``path``; without a ``tokenizer.json`` it takes ids only.

    Raises:
        ModelLoadError: the model is no plain Llama, or its tokenizer splits text in a way that llama.cpp may not know.
    """
    import gguf
    import torch
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "llama" or config.get("rope_parameters", {}).get("rope_type") != "default":
        raise ModelLoadError(f"{folder} is no plain Llama; give a GGUF file of it")
    writer = gguf.GGUFWriter(path, "llama")
    _add_sizes(writer, config)
    if (folder / "tokenizer.json").is_file():
        _add_vocabulary(writer, folder / "tokenizer.json", config)
    else:
        writer.add_tokenizer_model("none")
    heads = {"self_attn.q_proj": config["num_attention_heads"], "self_attn.k_proj": config["num_key_value_heads"]}
    for source in sorted(folder.glob("*.safetensors")):
        with safe_open(source, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  no mapping
                weight = tensors.get_tensor(name).float()
                part = name.removesuffix(".weight").split(".", 3)[-1]
                if part in heads:
                    weight = _interleaved(weight, heads[part])
                values = weight if weight.ndim == 1 else weight.to(torch.float16)
                writer.add_tensor(_gguf_name(name), values.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_sizes(writer: Any, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _add_vocabulary(writer: Any, path: Path, config: dict[str, Any]) -> None:
    import gguf

    data = json.loads(path.read_text(encoding="utf-8"))
    splitters = _SPLITTERS.get(_splitters(data["pre_tokenizer"]))
    if data["model"]["type"] != "BPE" or splitters is None:
        raise ModelLoadError(f"{path} splits text in a way that is not known here; export as hf, then convert that")
    added = {token["id"]: token["content"] for token in data["added_tokens"]}
    words = {number: word for word, number in data["model"]["vocab"].items()} | added
    rows = range(config["vocab_size"])
    kinds = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitters)
    writer.add_token_list([words.get(row, f"[unused {row}]") for row in rows])
    writer.add_token_types(
        [kinds.CONTROL if row in added else kinds.NORMAL if row in words else kinds.UNUSED for row in rows]
    )
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in data["model"]["merges"]])
    writer.add_add_bos_token(False)
    for name, add in (("bos_token_id", writer.add_bos_token_id), ("eos_token_id", writer.add_eos_token_id)):
        if isinstance(config.get(name), int):
            add(config[name])


def _splitters(pre_tokenizer: dict[str, Any] | None) -> tuple[str, ...]:
    parts = (pre_tokenizer or {}).get("pretokenizers", [pre_tokenizer or {"type": "none"}])
    return tuple(part["type"] for part in parts)


def _interleaved(weight: Any, heads: int) -> Any:
    """Hugging Face has the halves of a head behind each other, llama.cpp has their channels in turn."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape).contiguous()


def _gguf_name(name: str) -> str:
    base = name.removesuffix(".weight")
    if base in _OTHERS:
        return f"{_OTHERS[base]}.weight"
    _, _, number, part = base.split(".", 3)
    return f"blk.{number}.{_LAYER[part]}.weight"
