"""The network that is trained: a frozen base, low-rank adapters on all its linear layers (peft), and the mark's row.

The base keeps its vocabulary: the mark's embedding lives beside it and is put in where the mark's id stands, so that
neither the embedding nor the head, the two largest matrices, ever needs a gradient. Knows no text, no files of a corpus
and no optimizer. Start reading at ``load_network``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from generation.decoding.adapter import MARK_EMBEDDING, MARK_HEAD
from generation.decoding.loading import load_network as load_base
from generation.errors import ConfigError, MissingExtraError, ModelLoadError
from generation.training.examples import TrainingExample
from generation.training.loss import cross_entropy


class AdaptedNetwork:
    """A base with trainable adapters. Made by ``load_network``.

    Args:
        base: a causal model of transformers; frozen and changed in place.
        rank: of the adapters.
        alpha: the adapters' output is scaled by ``alpha / rank``.
        mark_id: id of the mark; None trains without one.
        seed: of the adapters' first values.
    """

    def __init__(self, base: Any, rank: int, alpha: int, mark_id: int | None, seed: int) -> None:
        peft = _require_peft()
        torch.manual_seed(seed)
        base.requires_grad_(False)
        base.config.use_cache = False
        config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", lora_dropout=0.0, bias="none")
        self.base = base
        self.model: Any = peft.get_peft_model(base, config)
        if base.dtype == torch.bfloat16:
            _keep_inputs_as_they_are(self.model)
        self.body: Any = base.base_model
        self.head: torch.Tensor = base.get_output_embeddings().weight
        self.embedding: torch.Tensor = base.get_input_embeddings().weight
        self.mark_id = mark_id
        self.mark: dict[str, torch.nn.Parameter] = {}
        if mark_id is not None:
            self.set_mark(self.embedding.float().mean(0), self.head.float().mean(0))
        self._check_head()

    @property
    def is_tied(self) -> bool:
        """Whether the base reads and writes with the same matrix."""
        return self.head.data_ptr() == self.embedding.data_ptr()

    @property
    def keeps_weights_transposed(self) -> bool:
        """Whether linear weights are (in, out), as in GPT-2."""
        return any(type(module).__name__ == "Conv1D" for module in self.base.modules())

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.head.device

    def set_mark(self, embedding: torch.Tensor, head: torch.Tensor) -> None:
        """Give the mark's rows (D,) their first values; a tied base has one row for both."""
        self.mark = {MARK_EMBEDDING: torch.nn.Parameter(embedding.float().clone())}
        if not self.is_tied:
            self.mark[MARK_HEAD] = torch.nn.Parameter(head.float().clone())

    def compile(self) -> None:
        """Let torch compile the layers: a minute and a C++ compiler to begin with, then up to twice the speed.

        Raises:
            ConfigError: the layers are not where a transformer of this library has them.
        """
        layers = next((child for child in self.body.children() if isinstance(child, torch.nn.ModuleList)), None)
        if layers is None:
            raise ConfigError(f"the layers of {type(self.base).__name__} are not to be found; train without --compile")
        # Attention in plain operations is what the compiler can fuse; the library's own kernel is slower backwards.
        self.base.set_attn_implementation("eager")
        for layer in layers:
            layer.compile(dynamic=True)

    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained, in a fixed order."""
        adapters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return [*adapters, *self.mark.values()]

    def tensors(self) -> dict[str, torch.Tensor]:
        """What is trained, by name, on the CPU: peft's names, and ``mark.embedding`` (and ``mark.head`` if untied)."""
        from peft import get_peft_model_state_dict

        adapters: Mapping[str, torch.Tensor] = get_peft_model_state_dict(self.model)
        both = {**adapters, **self.mark}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in both.items()}

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over what ``tensors`` of another network of this shape gave; a mark that is not there stays as it is.

        Raises:
            ModelLoadError: the tensors do not fit.
        """
        from peft import set_peft_model_state_dict

        adapters = {name: tensor for name, tensor in tensors.items() if not name.startswith("mark.")}
        try:
            report: Any = set_peft_model_state_dict(self.model, adapters)
        except RuntimeError as error:
            raise ModelLoadError(f"these adapters do not fit this base and rank: {error}") from error
        missing = [name for name in report.missing_keys if "lora_" in name]
        if missing or report.unexpected_keys:
            raise ModelLoadError(f"these adapters are for another base: {[*missing, *report.unexpected_keys][0]}")
        with torch.no_grad():
            for name, parameter in self.mark.items():
                parameter.copy_(tensors.get(name, parameter))

    def loss(self, examples: Sequence[TrainingExample], mark_weight: float = 1.0) -> tuple[torch.Tensor, int]:
        """The summed loss of some examples, in nats, and how many positions counted."""
        ids, targets, counted = _padded(examples, self.device)
        hidden = self.hidden(ids)[counted]
        wanted = targets[counted]
        weights = torch.ones(len(wanted), device=self.device)
        if self.mark_id is not None:
            weights[wanted == self.mark_id] = mark_weight
        row = self.mark.get(MARK_HEAD, self.mark.get(MARK_EMBEDDING))
        mark_id = -1 if self.mark_id is None else self.mark_id
        return cross_entropy(hidden, self.head, row, mark_id, wanted, weights), len(wanted)

    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """What the body says, (B, T, D), about ids (B, T)."""
        embedded = torch.nn.functional.embedding(ids.clamp(max=len(self.embedding) - 1), self.embedding)
        if self.mark_id is not None:
            row = self.mark[MARK_EMBEDDING].to(embedded.dtype)
            embedded = torch.where((ids == self.mark_id)[..., None], row, embedded)
        with self._precision():
            hidden: torch.Tensor = self.body(inputs_embeds=embedded, use_cache=False)[0]
        return hidden

    def _precision(self) -> torch.autocast:
        """A base in bfloat16 computes with its adapters in bfloat16, too."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.base.dtype == torch.bfloat16)

    def _check_head(self) -> None:
        """Applying the head here must give what the base gives.

        Raises:
            ModelLoadError: the base does more than multiply by its head.
        """
        ids = torch.arange(4, device=self.device)[None]
        with torch.no_grad(), self._precision():
            expected = self.base(input_ids=ids, use_cache=False).logits.float()
            found = (self.body(input_ids=ids, use_cache=False)[0] @ self.head.T).float()
        if not torch.allclose(expected, found, atol=1e-2, rtol=1e-2):
            raise ModelLoadError(f"{type(self.base).__name__} scales or caps its logits, which training does not know")


def load_network(folder: Path, dtype: str, rank: int, alpha: int, mark_id: int | None, seed: int) -> AdaptedNetwork:
    """A base from its folder, on the GPU if there is one, with fresh adapters.

    Raises:
        MissingExtraError: peft or torch is not installed.
        ModelLoadError: the base cannot be loaded, or its head is of a kind that training does not know.
    """
    _require_peft()
    base = load_base(folder, dtype).to(training_device())
    with _quiet():
        return AdaptedNetwork(base, rank, alpha, mark_id, seed)


def training_device() -> torch.device:
    """The GPU of this process, if there is one."""
    return torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu")


def training_dtype() -> str:
    """bfloat16 on a GPU and where the processor computes with it, else float32."""
    from generation.decoding.loading import cpu_dtype

    return "bfloat16" if torch.cuda.is_available() else cpu_dtype()


def _keep_inputs_as_they_are(model: Any) -> None:
    """Adapters are float32 so that small steps add up; peft would also compute with them so, at half of the speed."""
    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.cast_input_dtype_enabled = False


def _padded(
    examples: Sequence[TrainingExample], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs and targets (B, T), and which targets count; attention is causal, so what pads the end is never seen."""
    longest = max(len(example.token_ids) for example in examples) - 1
    ids = torch.zeros(len(examples), longest, dtype=torch.int64)
    targets = torch.zeros_like(ids)
    counted = torch.zeros_like(ids, dtype=torch.bool)
    for row, example in enumerate(examples):
        length = len(example.token_ids) - 1
        tokens = torch.tensor(example.token_ids)
        ids[row, :length], targets[row, :length] = tokens[:-1], tokens[1:]
        counted[row, max(0, example.counted_from - 1) : length] = True
    return ids.to(device), targets.to(device), counted.to(device)


def _require_peft() -> Any:
    try:
        with _quiet():
            import peft
    except ImportError as error:
        raise MissingExtraError("peft", "train") from error
    return peft


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The library calls what transformers deprecates; that is nothing a user could mend."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
