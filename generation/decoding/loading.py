"""A model folder becomes a model that is ready to run. Knows no names or downloads. Start at ``load_model``.

Networks of the Llama family run on a GPU or on our own kernels, every other causal model through transformers:
``choose_engine``.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generation.adapters import adapter_sha256, read_adapter, require_fit
from generation.config import Selection
from generation.errors import ConfigError, MissingExtraError, ModelLoadError
from generation.interfaces import LanguageModel, ReportShare, silent

if TYPE_CHECKING:
    from generation.decoding.llama.model import LlamaModel
    from generation.decoding.llama.native import Kernels
    from generation.decoding.llama.packing import PackedWeights
    from generation.decoding.llama.shape import LlamaShape
    from generation.decoding.selection.settings import LongContexts
    from generation.decoding.weight_files import Array

_log = logging.getLogger(__name__)
_LIBRARIES_LOADED, _NETWORK_LOADED, _WEIGHTS_LOADED = 0.1, 0.2, 0.9  # of the time of a first load, about
_MOST_OWN_THREADS = 8  # a model that needs our kernels to be quick is too small for more
_ROOM_TOKENS = 512  # that a prompt leaves for what is written
_GPU_SEQUENCES = 8  # of the longest kind, which a GPU has room for at a time
_TORCH = ("torch", "transformers")
DTYPES = ("auto", "int8", "float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs a model, and why.

    Attributes:
        dtype: int8, float32 or bfloat16.
        kernels: our own, or None.
        shape: sizes of the network, where our own kernels or a GPU run it; None for transformers.
        reason: in words.
        device: as torch calls it.
        notice: what the user has to know; "" where all is as it should be.
    """

    dtype: str
    kernels: Kernels | None
    shape: LlamaShape | None
    reason: str
    device: str = "cpu"
    notice: str = ""


def load_model(
    path: Path,
    dtype: str = "auto",
    threads: int | None = None,
    adapter: Path | None = None,
    report: ReportShare = silent,
    context_tokens: int | None = None,
    selection: Selection = Selection.AUTO,
    *,
    use_gpu: bool = True,
) -> LanguageModel:
    """Load the model folder ``path`` (Hugging Face format).

    Args:
        path: the folder, as ``generation.models.resolve`` finds it.
        dtype: ``int8``, ``float32``, ``bfloat16``, or ``auto``: for the families that our own kernels run bfloat16 on a
            GPU, else int8; for others bfloat16 where the processor computes with it, else float32.
        threads: threads of a forward; None is ``usual_threads()``.
        adapter: an adapter folder, which is added to the weights.
        report: is told how far it is. The first load of a model converts it, which takes most of the time.
        context_tokens: longest sequence; None is what the model was trained for.
        selection: when attention sees a chosen part of a long prompt.
        use_gpu: False stays on the CPU.

    Raises:
        ConfigError: nothing that runs this model reads so long a sequence.
        MissingExtraError: torch or transformers is not installed.
        ModelLoadError: the folder is incomplete, damaged or of a kind that transformers does not know.
        AdapterMismatchError: the adapter was trained for another model.
    """
    _require_libraries(torch=False)
    from generation.decoding.llama.native import processor
    from generation.decoding.selection.settings import LongContexts, RowChoice
    from generation.decoding.tokens.tokenizer import load_tokenizer

    added = _fitting_adapter(adapter, path)
    report(_LIBRARIES_LOADED)
    engine = choose_engine(path, dtype, use_gpu)
    count = threads or usual_threads(engine)
    if engine.kernels is None:
        _require_libraries(torch=True)
        import torch

        torch.set_num_threads(count)
    version = engine.kernels.key if engine.kernels else ""
    costs_key = f"{path.resolve().name} {engine.dtype} {engine.reason} {count} {version} {processor()}"
    _require_length(engine, context_tokens, selection)
    if engine.shape is None:
        return _transformers_model(path, engine, added, costs_key)
    start = select_from(engine.shape, selection, context_tokens)
    if engine.kernels is None:
        try:
            return _gpu_model(path, engine, added, costs_key, report, LongContexts(start, context_tokens))
        except Exception as problem:  # a driver, a compiler, a library: whatever it is, the processor still works
            if dtype != "auto":
                raise ModelLoadError(
                    f"the GPU cannot be used: {problem}; leave the dtype out to use the CPU"
                ) from problem
            _log.warning("the GPU is not used, the CPU is: %s", problem)
            return load_model(path, "auto", threads, adapter, report, context_tokens, selection, use_gpu=False)
    from generation.decoding.llama.model import LlamaModel
    from generation.decoding.llama.network import Network

    weights = load_packed(path, engine.shape, engine.dtype, added.folder if added else None, report)
    report(_WEIGHTS_LOADED)
    tokenizer = load_tokenizer(path, weights.shape.vocabulary, added.mark_id if added else None)
    choice = None if start is None else RowChoice(start, engine.shape.context_tokens)
    network = Network(weights, engine.kernels, count, choice)
    long = LongContexts(context_tokens=context_tokens)
    return _with_prompt_tokens(
        LlamaModel(network, tokenizer, _name(path, added), costs_key=costs_key, long=long), added
    )


def select_from(shape: LlamaShape, selection: Selection, context_tokens: int | None = None) -> int | None:
    """Prompts of more tokens see a chosen part of themselves; None never.

    Automatically only those that, with what is written behind them, could leave what the model was trained for: on
    shorter ones everything in sight was measured to be better (docs/performance.md). When told to, from seven eighths
    of that length on: what was read with a part of it in sight is found less often.
    """
    from generation.decoding.selection.settings import SelectionSettings

    if selection is Selection.OFF or (selection is Selection.AUTO and (context_tokens or 0) <= shape.context_tokens):
        return None
    least_tokens = SelectionSettings().least_tokens
    start = shape.context_tokens // 8 * 7 if selection is Selection.ON else shape.context_tokens - _ROOM_TOKENS
    return max(least_tokens, start)


def _require_length(engine: Engine, context_tokens: int | None, selection: Selection) -> None:
    """Refuse a length that only selection reaches, where there is none."""
    if context_tokens is None:
        return
    if engine.shape is None:
        raise ConfigError(
            f"a context of {context_tokens} tokens needs our own kernels; the model runs by {engine.reason}"
        )
    if context_tokens > engine.shape.context_tokens and selection is Selection.OFF:
        trained = engine.shape.context_tokens
        raise ConfigError(
            f"without selection the model reads {trained} tokens, not {context_tokens}; use --selection auto"
        )


@dataclass(frozen=True, slots=True)
class _Added:
    """An adapter that fits the model."""

    folder: Path
    name: str
    mark_id: int | None


def _fitting_adapter(folder: Path | None, model: Path) -> _Added | None:
    if folder is None:
        return None
    manifest = read_adapter(folder)
    require_fit(manifest, model)
    return _Added(folder, manifest.name, manifest.mark_id)


def _name(path: Path, added: _Added | None) -> str:
    return path.resolve().name + (f"+{added.name}" if added else "")


def choose_engine(path: Path, dtype: str = "auto", use_gpu: bool = True) -> Engine:
    """What will run the model in ``path``, provided that a GPU proves to work.

    Raises:
        ModelLoadError: there is no such dtype, or nothing that runs this model in it.
    """
    from generation.decoding.llama.native import NoKernels, find_kernels
    from generation.decoding.llama.shape import read_shape

    if dtype not in DTYPES:
        raise ModelLoadError(f"unknown dtype {dtype!r}; choose one of {', '.join(DTYPES)}")
    gpu = gpu_name() if use_gpu and dtype in {"auto", "bfloat16"} else None
    if dtype == "bfloat16" and gpu is None:
        return Engine(dtype, None, None, "transformers computes in bfloat16")
    shape = read_shape(_read_config(path))
    if shape is not None and gpu is not None:
        return Engine("bfloat16", None, shape, f"CUDA graphs and Triton kernels on {gpu}", "cuda")
    kernels = find_kernels() if shape else NoKernels("the model is not of the Llama family")
    if not isinstance(kernels, NoKernels):
        reason = f"own kernels, {kernels.instructions}"
        return Engine("int8" if dtype == "auto" else dtype, kernels, shape, reason)
    if dtype == "int8":
        raise ModelLoadError(f"int8 needs our own kernels: {kernels.reason}. Use another dtype")
    if shape and importlib.util.find_spec("torch") is None:
        raise ModelLoadError(f"{kernels.reason}; or torch, which is many times slower: pip install 'memberwise[torch]'")
    _require_libraries(torch=True)
    fallback = cpu_dtype() if dtype == "auto" else dtype
    slow = f"the model is many times slower than with our own kernels, but {kernels.reason}"
    notice = slow if shape and dtype == "auto" else ""
    return Engine(fallback, None, None, f"transformers, because {kernels.reason}", notice=notice)


def gpu_name() -> str | None:
    """The GPU that models run on: one of CUDA that computes with bfloat16, where Triton is; None without.

    An empty environment variable ``CUDA_VISIBLE_DEVICES`` hides it, as from everything that uses CUDA.
    """
    if not _has_cuda() or None in map(importlib.util.find_spec, ("torch", "triton")):
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name()) if torch.cuda.is_bf16_supported(including_emulation=False) else None


def has_idle_gpu() -> bool:
    """Whether there is a GPU that is not used because torch is not installed."""
    return _has_cuda() and importlib.util.find_spec("torch") is None


def _has_cuda() -> bool:
    """Whether the driver of a GPU is here: torch, which would know more, takes a second and 200 MB to import."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def load_packed(
    path: Path, shape: LlamaShape, dtype: str, adapter: Path | None = None, report: ReportShare = silent
) -> PackedWeights:
    """Weights for our own kernels, from the user's cache or converted now, with an adapter added."""
    from generation.decoding.llama.packed_file import load_or_pack, packed_key

    key = packed_key(path, f"{dtype}-{adapter_sha256(adapter)[:16]}" if adapter else dtype)
    return load_or_pack(key, lambda: _pack(path, shape, dtype, adapter, report))


def _pack(path: Path, shape: LlamaShape, dtype: str, adapter: Path | None, report: ReportShare) -> PackedWeights:
    from generation.decoding.adapter import MergedWeights, load_adapter
    from generation.decoding.llama.checkpoint import read_checkpoint
    from generation.decoding.llama.packing import pack, pack_network

    checkpoint = read_checkpoint(path, _read_config(path), shape)
    network = load_network(path, "float32" if adapter else "auto", adapter) if checkpoint is None else None
    report(_NETWORK_LOADED)

    def told(share: float) -> None:
        report(_NETWORK_LOADED + (_WEIGHTS_LOADED - _NETWORK_LOADED) * share)

    if checkpoint is None:
        assert network is not None
        return pack_network(network, shape, int8=dtype == "int8", report=told)
    weights: Mapping[str, Array] = checkpoint.weights
    if adapter is not None:
        weights = MergedWeights(weights, load_adapter(adapter, path))
    return pack(weights, checkpoint.rotary, shape, int8=dtype == "int8", report=told)


def _transformers_model(path: Path, engine: Engine, added: _Added | None, costs_key: str) -> LanguageModel:
    from generation.decoding.through_transformers.transformers_model import TransformersModel
    from generation.decoding.tokens.tokenizer import load_tokenizer

    network = load_network(path, engine.dtype, added.folder if added else None)
    rows = network.get_output_embeddings().weight.shape[0]
    tokenizer = load_tokenizer(path, rows, added.mark_id if added else None)
    return TransformersModel(network, tokenizer, _name(path, added), costs_key, engine.notice)


def _gpu_model(
    path: Path, engine: Engine, added: _Added | None, costs_key: str, report: ReportShare, long: LongContexts
) -> LanguageModel:
    """Half of the memory for slots is for sequences that have ended."""
    import torch

    from generation.decoding.gpu.network import TorchNetwork, new_pool, require_agreement
    from generation.decoding.gpu.weights import read_weights
    from generation.decoding.llama.model import LlamaModel
    from generation.decoding.tokens.tokenizer import load_tokenizer

    assert engine.shape is not None
    dtype, device = getattr(torch, engine.dtype), torch.device(engine.device)
    network = load_network(path, "float32" if added else "auto", added.folder if added else None)
    report(_NETWORK_LOADED)
    weights = read_weights(network, engine.shape, dtype, device)
    report(_WEIGHTS_LOADED)
    pool = new_pool(weights, _GPU_SEQUENCES, long.context_tokens)
    torch_network = TorchNetwork(weights, pool, record=device.type == "cuda")
    require_agreement(torch_network)
    tokenizer = load_tokenizer(path, weights.shape.vocabulary, added.mark_id if added else None)
    model = LlamaModel(torch_network, tokenizer, _name(path, added), pool.size_bytes // 2, costs_key, long)
    return _with_prompt_tokens(model, added)


def _with_prompt_tokens(model: LlamaModel, added: _Added | None) -> LlamaModel:
    """The same model, which drafts with the prompt tokens of its adapter where there are any and they pay."""
    from generation.decoding.drafts.prompt_tokens import read_prompt_tokens

    if added is not None and (trained := read_prompt_tokens(added.folder)) is not None:
        model.use_prompt_tokens(trained)
    return model


def _read_config(path: Path) -> dict[str, Any]:
    if not (path / "config.json").is_file():
        raise ModelLoadError(f"{path} is not a model folder: it has no config.json")
    try:
        return dict(json.loads((path / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"cannot load the model in {path}: its config.json is damaged ({error})") from error


def _require_libraries(*, torch: bool) -> None:
    for package, extra in (("tokenizers", "model"), *((name, "torch") for name in _TORCH if torch)):
        if importlib.util.find_spec(package) is None:  # importing transformers takes its time
            raise MissingExtraError(package, extra)


def cpu_dtype() -> str:
    """The fastest dtype: half the memory traffic in bfloat16, unless the processor has to emulate it."""
    import torch

    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "float32"


def usual_threads(engine: Engine) -> int:
    """Where our own kernels compute, all cores but no more than eight; else what suits torch.

    The kernels hand out work in small pieces and sleep when there is none, so that beside busy neighbours they are
    hardly slower than one thread (``memberwise bench threads``).
    """
    if engine.kernels is None:
        return default_threads()
    import psutil

    return min(psutil.cpu_count(logical=False) or os.cpu_count() or 1, _MOST_OWN_THREADS)


def default_threads() -> int:
    """Of torch: half of the cores, at least one.

    torch's threads wait for each other by spinning, so one that has to share its core with another program holds up
    all: on two busy cores, two threads were ten times slower than one.
    """
    return max(1, (os.cpu_count() or 1) // 2)


def load_network(path: Path, dtype: str, adapter: Path | None = None) -> Any:
    """The causal model of transformers in ``path`` with all its weights, and with those of an adapter added.

    Raises:
        ModelLoadError: the folder is incomplete, damaged or of a kind that transformers does not know.
        AdapterMismatchError: the adapter was trained for another model.
    """
    _require_libraries(torch=True)
    from transformers import AutoModelForCausalLM

    _read_config(path)
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
    if adapter is not None:
        from generation.decoding.adapter import apply, load_adapter

        apply(network, load_adapter(adapter, path))
    return network


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bars and no warnings: stdout and stderr belong to the caller, who gets exceptions instead."""
    import transformers

    theirs: Any = transformers.utils.logging
    verbosity = theirs.get_verbosity()
    theirs.set_verbosity_error()
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(verbosity)
        theirs.enable_progress_bar()
