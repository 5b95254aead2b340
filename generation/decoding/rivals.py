"""Ways to continue a prompt greedily, timed: our own, transformers' ``generate``, and llama.cpp.

For ``memberwise bench decode``. Everything here writes a fixed number of tokens and knows no end of text, so that all
do the same work. Start reading at ``Timing``.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from generation.decoding.drafts.drafting import drafter_for
from generation.decoding.drafts.suffix_index import SuffixIndex
from generation.decoding.tokens.logits import log_total
from generation.errors import MissingExtraError, ModelLoadError
from generation.interfaces import DecodingState, Drafter, LanguageModel
from generation.types import Draft

if TYPE_CHECKING:
    import torch

_DRAFT_TOKENS = 16
_SCORED_TOKENS = 64

_TRY_LLAMA_CPP = """
import sys, llama_cpp
next(llama_cpp.Llama(sys.argv[1], n_ctx=256, verbose=False).generate(list(range(1, 65)), temp=0.0))
"""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Timing:
    """What one continuation took.

    Attributes:
        token_ids: what was written.
        read_s: until the first token was known.
        write_s: for the others.
    """

    token_ids: tuple[int, ...]
    read_s: float
    write_s: float


class Engine(Protocol):
    """Something that continues prompts."""

    def write(self, prompt_ids: Sequence[int], count: int) -> Timing:
        """Continue a prompt by ``count`` tokens."""


class OwnEngine:
    """Our model, with or without drafts.

    Args:
        model: any of ours.
        drafts: whether to speculate.
        clock: in seconds.
    """

    def __init__(self, model: LanguageModel, *, drafts: bool, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._model = model
        self._drafts = drafts

    def write(self, prompt_ids: Sequence[int], count: int) -> Timing:
        """See ``Engine``."""
        started = self._clock()
        state = self._model.start(prompt_ids)
        read_s = self._clock() - started
        drafter = drafter_for(self._model) if self._drafts else None
        token_id, written = int(state.next_logits.argmax()), list[int]()
        while len(written) < count:
            chain = [token_id, *_guess(drafter, state, token_id)]
            following = state.score(Draft.chain(chain)).argmax(-1).tolist()
            accepted = 1
            while accepted < len(chain) and chain[accepted] == following[accepted - 1]:
                accepted += 1
            state.commit(range(accepted))
            written += chain[:accepted]
            token_id = following[accepted - 1]
        state.close()
        return Timing(tuple(written[:count]), read_s, self._clock() - started - read_s)

    def rewrite(self, prompt_ids: Sequence[int], token_ids: Sequence[int], texts: Sequence[SuffixIndex] = ()) -> Timing:
        """Write given tokens behind a prompt, whatever the model thinks of them.

        Args:
            prompt_ids: the prompt.
            token_ids: what is written, as if the model wanted it.
            texts: what drafts are taken from beside the sequence.
        """
        started = self._clock()
        state = self._model.start(prompt_ids)
        read_s = self._clock() - started
        drafter = drafter_for(self._model, texts) if self._drafts else None
        started, written = self._clock(), 0
        while written < len(token_ids):
            chain = [token_ids[written], *_guess(drafter, state, token_ids[written])]
            state.score(Draft.chain(chain)).argmax(-1)
            accepted = 1
            while chain[accepted : accepted + 1] == list(token_ids[written + accepted : written + accepted + 1]) != []:
                accepted += 1
            state.commit(range(accepted))
            written += accepted
        write_s = self._clock() - started
        state.close()
        return Timing(tuple(token_ids), read_s, write_s)


def _guess(drafter: Drafter | None, state: DecodingState, token_id: int) -> Sequence[int]:
    limit = min(_DRAFT_TOKENS, state.draft_room_tokens - 1)
    return drafter.propose([*state.token_ids, token_id], limit) if drafter else ()


def token_losses(model: LanguageModel, token_ids: Sequence[int]) -> list[float]:
    """Minus the log-probability of each token but the first."""
    state = model.start(token_ids[:1])
    losses = [log_total(state.next_logits) - float(state.next_logits[token_ids[1]])]
    for start in range(1, len(token_ids) - 1, _SCORED_TOKENS):
        chunk = token_ids[start : start + _SCORED_TOKENS]
        following = token_ids[start + 1 : start + 1 + len(chunk)]
        rows = state.score(Draft.chain(chunk))
        losses += [log_total(row) - float(row[token_id]) for row, token_id in zip(rows, following, strict=False)]
        state.commit(range(len(chunk)))
    state.close()
    return losses


class TransformersEngine:
    """transformers' ``generate`` in a dtype, its own cache and loop.

    Args:
        folder: of the model.
        dtype: of the weights.
        threads: torch's, which have another number while our own kernels run.
        clock: in seconds.
    """

    def __init__(self, folder: Path, dtype: str, threads: int, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._threads = threads
        from transformers import AutoModelForCausalLM

        self._network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
        self._network.train(False)
        self._network.generation_config.eos_token_id = None

    def write(self, prompt_ids: Sequence[int], count: int) -> Timing:
        """See ``Engine``. Reading is timed by a continuation of one token."""
        import torch

        prompt = torch.tensor([list(prompt_ids)])
        read_s, _ = self._timed(prompt, 1)
        total_s, output = self._timed(prompt, count)
        return Timing(tuple(output[0, len(prompt_ids) :].tolist()), read_s, max(total_s - read_s, 0.0))

    def _timed(self, prompt: torch.Tensor, count: int) -> tuple[float, torch.Tensor]:
        import torch

        others = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        started = self._clock()
        with torch.inference_mode():
            output = self._network.generate(
                prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=count, pad_token_id=0
            )
        took = self._clock() - started
        torch.set_num_threads(others)
        return took, output


class LlamaCppEngine:
    """llama.cpp by llama-cpp-python, with the weights of a GGUF file in the format they have or in another.

    Args:
        gguf: the file.
        threads: of a forward.
        requantised: name of a format such as ``Q4_0``, and a folder for the file in that format.
        clock: in seconds.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        ModelLoadError: it cannot run here.
    """

    def __init__(
        self,
        gguf: Path,
        threads: int,
        requantised: tuple[str, Path] | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        try:
            import llama_cpp
        except ImportError as error:
            raise MissingExtraError("llama_cpp", "bench") from error
        self._clock = clock
        path = _requantised(llama_cpp, gguf, *requantised) if requantised else gguf
        check_llama_cpp([sys.executable, "-c", _TRY_LLAMA_CPP, str(path)])
        self._model: Any = llama_cpp.Llama(
            str(path), n_ctx=8192, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def write(self, prompt_ids: Sequence[int], count: int) -> Timing:
        """See ``Engine``. Its own loop; what it read before is forgotten."""
        self._model.reset()
        started = self._clock()
        tokens = self._model.generate(list(prompt_ids), temp=0.0, top_k=1, repeat_penalty=1.0, reset=False)
        written = [next(tokens)]
        read_s = self._clock() - started
        written += [next(tokens) for _ in range(count - 1)]
        return Timing(tuple(written), read_s, self._clock() - started - read_s)


def check_llama_cpp(command: Sequence[str]) -> None:
    """Let another process read a prompt, so that its end is not ours.

    Raises:
        ModelLoadError: it came to a bad end.
    """
    code = subprocess.run(command, check=False, capture_output=True).returncode
    if code == -signal.SIGILL:
        raise ModelLoadError(
            "llama.cpp as it was compiled here ends with an illegal instruction. GCC 12 drops most of what it writes"
            " into the configuration of AMX tiles; compile it again as `make bench` does, with"
            " CXXFLAGS='-fno-dse -fno-tree-dse'"
        )
    if code:
        raise ModelLoadError(f"llama.cpp cannot read a prompt here, it ends with code {code}")


def _requantised(llama_cpp: Any, gguf: Path, kind: str, folder: Path) -> Path:
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    settings.allow_requantize = True
    path = folder / f"{kind}.gguf"
    if llama_cpp.llama_model_quantize(str(gguf).encode(), str(path).encode(), settings) != 0:
        raise ModelLoadError(f"llama.cpp cannot write {gguf} as {kind}")
    return path
