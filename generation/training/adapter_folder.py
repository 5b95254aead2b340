"""A training run's checkpoint becomes an adapter folder, and an adapter folder the start of another run.

Tensors are kept in half precision. Knows nothing of how they were trained. Start reading at ``write_adapter``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from generation.adapters import (
    MANIFEST_NAME,
    PROMPT_TOKENS_NAME,
    TENSORS_NAME,
    AdapterManifest,
    read_adapter,
    require_fit,
    weights_sha256,
)
from generation.decoding.drafts.prompt_tokens import PROMPT_TOKENS, PromptTokens
from generation.decoding.loading import load_network
from generation.errors import AdapterMismatchError, ConfigError
from generation.marks.marked_text import MARK
from generation.training.checkpoints import save_tensors
from generation.training.network import AdaptedNetwork
from generation.training.storage import saying_why, writing


def write_adapter(folder: Path, tensors: Mapping[str, torch.Tensor], manifest: AdapterManifest) -> None:
    """Write the two files of an adapter folder, each in one step, the manifest last.

    Raises:
        ConfigError: the disk is full, or the folder may not be written.
    """
    halves = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in tensors.items()}
    _write_tensors(folder / TENSORS_NAME, halves)
    with writing(folder / MANIFEST_NAME) as out:
        out.write(manifest.to_json())


def write_prompt_tokens(folder: Path, found: PromptTokens) -> None:
    """Put prompt tokens into an adapter folder, in one step.

    Raises:
        ConfigError: the disk is full, or the folder may not be written.
    """
    accuracy = json.dumps(found.accuracy)
    _write_tensors(
        folder / PROMPT_TOKENS_NAME, {PROMPT_TOKENS: torch.from_numpy(found.embeddings)}, {"accuracy": accuracy}
    )


def _write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    with saying_why(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_tensors(tensors, unfinished, metadata)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def describe(network: AdaptedNetwork, name: str, base: str, model: Path, rank: int, alpha: int) -> AdapterManifest:
    """The manifest of an adapter for a network, before anything was trained or measured.

    Args:
        network: with its adapters.
        name: of the adapter.
        base: name of the model.
        model: its folder.
        rank: of the adapters.
        alpha: their scale.
    """
    names = {id(parameter): name for name, parameter in network.base.named_parameters()}
    embedding = _plain(names[id(network.base.get_input_embeddings().weight)])
    head = embedding if network.is_tied else _plain(names[id(network.base.get_output_embeddings().weight)])
    return AdapterManifest(
        name=name,
        base=base,
        base_sha256=weights_sha256(model),
        rank=rank,
        alpha=alpha,
        transposed=network.keeps_weights_transposed,
        embedding=embedding,
        head=head,
        mark_id=network.mark_id,
        tokens_seen=0,
    )


def start_from(network: AdaptedNetwork, folder: Path, model: Path, rank: int, alpha: int) -> AdapterManifest:
    """Give a network the tensors of an adapter; its manifest. A mark that the adapter lacks stays as it is.

    Raises:
        AdapterMismatchError: it is for another base, or of another rank or scale.
    """
    manifest = read_adapter(folder)
    require_fit(manifest, model)
    if (manifest.rank, manifest.alpha) != (rank, alpha):
        raise AdapterMismatchError(
            f"the adapter {manifest.name} has rank {manifest.rank} and alpha {manifest.alpha}, and this run {rank} "
            f"and {alpha}; give --rank {manifest.rank} --alpha {manifest.alpha}"
        )
    network.load_tensors({name: tensor.float() for name, tensor in load_file(folder / TENSORS_NAME).items()})
    return manifest


def carry(folder: Path, before: Path, after: Path, out: Path) -> AdapterManifest:
    """Give an adapter what another has learned since they parted: its tensors plus the change of the other's.

    Source: task arithmetic (arXiv 2212.04089), on the matrices of LoRA instead of on weights.

    Args:
        folder: the adapter.
        before: the other, when it was closest to it.
        after: the other, when it had learned more; the stages since are added to the manifest.
        out: a new adapter folder.

    Raises:
        AdapterMismatchError: they are for different bases, or of different rank or scale.
        ConfigError: ``after`` has not gone on from ``before``, or ``out`` cannot be written.
    """
    manifest, first, last = (read_adapter(one) for one in (folder, before, after))
    for other in (first, last):
        same = ("base_sha256", "rank", "alpha")
        if any(getattr(other, name) != getattr(manifest, name) for name in same):
            raise AdapterMismatchError(f"the adapters {manifest.name} and {other.name} differ in base, rank or alpha")
    stages = last.stages[len(first.stages) :]
    if not stages or list(last.stages[: len(first.stages)]) != list(first.stages):
        raise ConfigError(f"the adapter {after} was not trained from {before}, so it is not known what it has learned")
    own, old, new = (load_file(one / TENSORS_NAME) for one in (folder, before, after))
    tensors = {name: t.float() + new[name].float() - old[name].float() if name in new else t for name, t in own.items()}
    seen = manifest.tokens_seen + last.tokens_seen - first.tokens_seen
    manifest = replace(manifest, tokens_seen=seen, stages=[*manifest.stages, *stages], measured={})
    write_adapter(out, tensors, manifest)
    return manifest


def copy_adapter(folder: Path, out: Path) -> None:
    """Copy the files of an adapter folder; that of a run holds more.

    Raises:
        ConfigError: ``out`` cannot be written.
    """
    manifest = read_adapter(folder)
    with saying_why(out):
        out.mkdir(parents=True, exist_ok=True)
        for path in filter(Path.is_file, (folder / TENSORS_NAME, folder / PROMPT_TOKENS_NAME)):
            shutil.copyfile(path, out / path.name)
    with writing(out / MANIFEST_NAME) as file:
        file.write(manifest.to_json())


def keep_measures(folder: Path, measured: Mapping[str, float | int]) -> None:
    """Add figures to the manifest of an adapter.

    Raises:
        ConfigError: it cannot be written.
    """
    manifest = read_adapter(folder)
    with writing(folder / MANIFEST_NAME) as file:
        file.write(replace(manifest, measured={**manifest.measured, **measured}).to_json())


def export_merged(folder: Path, model: Path, out: Path) -> None:
    """Write a model folder in Hugging Face format with the adapter merged into the weights.

    Raises:
        AdapterMismatchError: the adapter is for another model.
        ConfigError: ``out`` exists, or cannot be written.
    """
    network = load_network(model, "float32", folder).bfloat16()
    with saying_why(out):
        out.mkdir(parents=True)
        network.save_pretrained(out)
        for path in model.glob("token*.json"):
            shutil.copy(path, out)
    if read_adapter(folder).mark_id is not None:
        _add_mark(out)


def export_gguf(folder: Path, model: Path, out: Path) -> None:
    """Write a GGUF file in 16 bits with the adapter merged into the weights.

    Raises:
        AdapterMismatchError: the adapter is for another model.
        ModelLoadError: the model is of a kind that is not known in GGUF here.
        ConfigError: ``out`` cannot be written.
    """
    from generation.decoding.gguf_export import export

    with tempfile.TemporaryDirectory() as scratch, saying_why(out):
        merged = Path(scratch, "merged")
        export_merged(folder, model, merged)
        out.parent.mkdir(parents=True, exist_ok=True)
        export(merged, out)


def _add_mark(out: Path) -> None:
    import tokenizers

    path = out / "tokenizer.json"
    backend = tokenizers.Tokenizer.from_file(str(path))
    backend.add_special_tokens([tokenizers.AddedToken(MARK, special=True, normalized=False)])
    backend.save(str(path))


def _plain(name: str) -> str:
    return name.replace("base_layer.", "")
