"""The weights of a Llama folder as a GGUF file in 16 bits, for llama.cpp to measure itself on. Start at ``export``."""

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
_OTHERS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def export(folder: Path, path: Path) -> None:
    """Write the weights in ``folder`` to ``path``; without a vocabulary, so it takes token ids only.

    Raises:
        ModelLoadError: the model is no plain Llama.
    """
    import gguf
    import torch
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "llama" or config["rope_parameters"]["rope_type"] != "default":
        raise ModelLoadError(f"{folder} is no plain Llama; give a GGUF file of it")
    writer = gguf.GGUFWriter(path, "llama")
    _add_sizes(writer, config)
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
    writer.add_tokenizer_model("none")


def _interleaved(weight: Any, heads: int) -> Any:
    """Hugging Face has the halves of a head behind each other, llama.cpp has their channels in turn."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape).contiguous()


def _gguf_name(name: str) -> str:
    base = name.removesuffix(".weight")
    if base in _OTHERS:
        return f"{_OTHERS[base]}.weight"
    _, _, number, part = base.split(".", 3)
    return f"blk.{number}.{_LAYER[part]}.weight"
