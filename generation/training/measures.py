"""What an adapter has learned, on whole bodies of held-back repositories, with the true text before every token.

* ``body_loss``: nats per visible token; what the marks cost is in ``mark_loss``, also per visible token.
* ``mark_recall``: share of true marks at which the mark is the likeliest token.
* ``mark_precision``: share of the places where the mark is the likeliest token at which the tool has the true name: a
  true mark, or a name that the tool lists because the function has shown it or Python has it built in.
* ``mark_need``: share of these places at which a mark is true, so that asking was of use.
* ``weighed_recall``, ``weighed_precision``: the same of the places where decoding thinks of a mark, because it is
  likely enough beside the likeliest token (``DecodingConfig.mark_share``). Places where then no name follows do not
  count: there nobody is asked.

Places right behind a mark do not count: decoding never writes two.

Start reading at ``measure``.
"""

from __future__ import annotations

import keyword
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from generation.adapters import read_adapter
from generation.config import DecodingConfig
from generation.decoding.loading import load_network
from generation.decoding.loop.triggers import is_familiar
from generation.decoding.tokens.tokenizer import load_tokenizer
from generation.errors import ConfigError
from generation.interfaces import Tokenizer
from generation.training.bodies import Hole, HoleKind, read_holes, tokens_of
from generation.training.corpus import Split
from generation.training.examples import TrainingExample
from generation.training.network import training_dtype
from generation.types import NameKind

_LENGTH_TOKENS = 768
_SHARE = DecodingConfig().mark_share or 1.0
_NAME = re.compile(r"[ ]?([^\W\d]\w*)")


@dataclass(slots=True)
class Marks:
    """Marks by one rule of where they come: at a true one, needlessly, and of these where the tool lists the name."""

    found: int = 0
    needless: int = 0
    listed: int = 0

    @property
    def written(self) -> int:
        """In all."""
        return self.found + self.needless

    @property
    def precision(self) -> float:
        """Share at which the tool has the true name."""
        return (self.found + self.listed) / max(1, self.written)


@dataclass(slots=True)
class Tally:
    """Sums over examples."""

    visible: int = 0
    loss: float = 0.0
    mark_loss: float = 0.0
    true_marks: int = 0
    likeliest: Marks = field(default_factory=Marks)
    weighed: Marks = field(default_factory=Marks)

    def add(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        previous: torch.Tensor,
        mark_id: int,
        is_listed: Callable[[int], bool],
        is_name: Callable[[int], bool],
    ) -> None:
        """Count some positions.

        Args:
            logits: (N, V) what the network says.
            targets: (N,) what should come.
            previous: (N,) what came before.
            mark_id: of the mark.
            is_listed: whether the tool lists the name that starts at one of the positions without being marked.
            is_name: whether a name starts there.
        """
        losses = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        is_mark = targets == mark_id
        behind = logits[:, mark_id] - logits.max(-1).values if mark_id >= 0 else torch.full((len(targets),), -torch.inf)
        behind[previous == mark_id] = -torch.inf
        self.visible += int((~is_mark).sum())
        self.loss += float(losses[~is_mark].sum())
        self.mark_loss += float(losses[is_mark].sum())
        self.true_marks += int(is_mark.sum())
        for marks, least in ((self.likeliest, 0.0), (self.weighed, math.log(_SHARE))):
            marks.found += int((is_mark & (behind >= least)).sum())
            needless = (~is_mark & (behind >= least)).nonzero()[:, 0].tolist()
            asked = [place for place in needless if behind[place] == 0 or is_name(place)]
            marks.needless += len(asked)
            marks.listed += sum(map(is_listed, asked))

    def figures(self) -> dict[str, float | int]:
        """The measures; those of marks only where there were any."""
        found: dict[str, float | int] = {"body_loss": round(self.loss / max(1, self.visible), 4)}
        found["body_tokens"] = self.visible
        if self.true_marks:
            found["mark_loss"] = round(self.mark_loss / max(1, self.visible), 4)
            found["mark_recall"] = round(self.likeliest.found / self.true_marks, 4)
            found["mark_precision"] = round(self.likeliest.precision, 4)
            found["mark_need"] = round(self.likeliest.found / max(1, self.likeliest.written), 4)
            found["weighed_recall"] = round(self.weighed.found / self.true_marks, 4)
            found["weighed_precision"] = round(self.weighed.precision, 4)
            found["true_marks"] = self.true_marks
        return found


def measure(data: Path, model: Path, adapter: Path | None, functions: int) -> dict[str, float | int]:
    """Measure a base, or a base with an adapter.

    Args:
        data: a corpus with holes.
        model: folder of the base.
        adapter: folder of the adapter.
        functions: how many bodies; the same ones for every adapter.

    Raises:
        ConfigError: the corpus has no held-back bodies.
        AdapterMismatchError: the adapter is for another model.
    """
    network = load_network(model, training_dtype(), adapter)
    mark_id = read_adapter(adapter).mark_id if adapter is not None else None
    tokenizer = load_tokenizer(model)
    tally = Tally()
    chosen = held_back(data, functions)
    for hole in chosen:
        example = tokens_of(hole, tokenizer, mark_id, _LENGTH_TOKENS)
        _tally(network, tokenizer, example, -1 if mark_id is None else mark_id, tally)
    return {"bodies": len(chosen), **tally.figures()}


def held_back(data: Path, count: int) -> Sequence[Hole]:
    """Whole bodies of the held-back repositories, in an order drawn once and for all.

    Raises:
        ConfigError: there are none.
    """
    bodies = [hole for hole in read_holes(data, Split.VALIDATION) if hole.kind is HoleKind.BODY]
    if not bodies:
        raise ConfigError(f"{data} has no bodies of held-back repositories; mark some and run memberwise corpus holes")
    return random.Random("measure").sample(bodies, min(count, len(bodies)))


def _tally(network: Any, tokenizer: Tokenizer, example: TrainingExample, mark_id: int, tally: Tally) -> None:
    ids = torch.tensor(example.token_ids)
    first = max(1, example.counted_from)
    with torch.no_grad():
        logits = network(input_ids=ids[None, :-1], use_cache=False, logits_to_keep=len(ids) - first).logits[0]

    spelled = [b"" if one == mark_id else tokenizer.token_bytes[one] for one in example.token_ids]

    def around(position: int) -> tuple[str, str]:
        parts = (spelled[: first + position], spelled[first + position :])
        before, after = (b"".join(part).decode(errors="replace") for part in parts)
        return before, after

    def is_listed(position: int) -> bool:
        return is_shown(*around(position))

    def is_name(position: int) -> bool:
        return bool(name_at(around(position)[1]))

    tally.add(logits, ids[first:], ids[first - 1 : -1], mark_id, is_listed, is_name)


def name_at(after: str) -> str:
    """The name that ``after`` starts with, behind a space or not; "" when it is none."""
    name = _NAME.match(after)
    return name[1] if name is not None and not keyword.iskeyword(name[1]) else ""


def is_shown(before: str, after: str) -> bool:
    """Whether ``after`` starts with a name, not an attribute, that Python has built in or the function above has shown.

    The function is what stands since the last ``def`` of ``before``.
    """
    name = name_at(after)
    if not name or before.rstrip(" ").endswith("."):
        return False
    return is_familiar(name, NameKind.NAME, before, before[before.rfind("def ") :])
