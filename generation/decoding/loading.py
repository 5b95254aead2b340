"""A model folder becomes a model that is ready to run. Knows no names or downloads. Start at ``load_model``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generation.errors import MissingExtraError, ModelLoadError

if TYPE_CHECKING:
    from generation.decoding.transformers_model import TransformersModel

DTYPES = ("auto", "float32", "bfloat16")


def load_model(
    path: Path, dtype: str = "auto", threads: int | None = None, adapter: Path | None = None
) -> TransformersModel:
    """Load the model folder ``path`` (Hugging Face format) for the CPU.

    Args:
        path: the folder, as ``generation.models.resolve`` finds it.
        dtype: ``float32``, ``bfloat16``, or ``auto``: bfloat16 where the processor computes with it, else float32.
        threads: threads torch computes with, for the whole process; None is half of the cores, at least one.
        adapter: an adapter folder, which is added to the weights.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        ModelLoadError: the folder is incomplete, damaged or of a kind that transformers does not know.
        AdapterMismatchError: the adapter was trained for another model.
    """
    _require_libraries()
    import torch

    from generation.decoding.adapter import apply, load_adapter
    from generation.decoding.tokenizer import load_tokenizer
    from generation.decoding.transformers_model import TransformersModel

    if dtype not in DTYPES:
        raise ModelLoadError(f"unknown dtype {dtype!r}; choose one of {', '.join(DTYPES)}")
    torch.set_num_threads(threads or default_threads())
    network = load_network(path, cpu_dtype() if dtype == "auto" else dtype)
    mark_id, name = None, path.resolve().name
    if adapter is not None:
        loaded = load_adapter(adapter, path)
        apply(network, loaded)
        mark_id, name = loaded.manifest.mark_id, f"{name}+{loaded.manifest.name}"
    tokenizer = load_tokenizer(path, network.get_output_embeddings().weight.shape[0], mark_id)
    return TransformersModel(network, tokenizer, name)


def _require_libraries() -> None:
    for package in ("torch", "transformers", "tokenizers"):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingExtraError(package, "model") from error


def cpu_dtype() -> str:
    """The fastest dtype: half the memory traffic in bfloat16, unless the processor has to emulate it."""
    import torch

    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "float32"


def default_threads() -> int:
    """Half of the cores, at least one.

    torch's threads wait for each other by spinning, so one that has to share its core with another program holds up
    all: on two busy cores, two threads were ten times slower than one.
    """
    return max(1, (os.cpu_count() or 1) // 2)


def load_network(path: Path, dtype: str) -> Any:
    """The causal model of transformers in ``path``, with all its weights.

    Raises:
        ModelLoadError: the folder is incomplete, damaged or of a kind that transformers does not know.
    """
    from transformers import AutoModelForCausalLM

    if not (path / "config.json").is_file():
        raise ModelLoadError(f"{path} is not a model folder: it has no config.json")
    loaded: Any
    try:
        with _quiet_transformers():
            loaded = AutoModelForCausalLM.from_pretrained(
                path, dtype=dtype, local_files_only=True, output_loading_info=True
            )
    except Exception as error:  # transformers, safetensors and torch each raise their own
        raise ModelLoadError(f"cannot load the model in {path}: {error}") from error
    network, report = loaded
    if missing := sorted(report["missing_keys"]):
        raise ModelLoadError(f"{path} lacks {len(missing)} weights, such as {missing[0]}; fetch the model again")
    return network


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bars and no warnings: stdout and stderr belong to the caller, who gets exceptions instead."""
    import transformers

    logging: Any = transformers.utils.logging
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()
