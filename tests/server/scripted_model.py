"""A model that writes what the test's document tells it to; given to the server by ``--model-from``.

What stands in ``SCRIPTS`` after its key is written; a script may end with a control word: ``SLOW`` takes its time for
every token, ``BROKEN`` raises, ``MEMORY`` is out of memory. Text after which no key was seen ends at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from generation.config import GeneratorConfig
from generation.interfaces import ReportShare
from tests.decoding.scripted import EOS, MARK, SIZE, ScriptedModel, ScriptedState

if TYPE_CHECKING:
    from generation.interfaces import Logits

SLOW_S = 0.02
SCRIPTS = {
    "def total(self):\n": "        return self.price_of(self.count)\n",
    "def slow(self):\n": "        return self.price_of(self.count) + self.price_of(self.count)\n",
    "def long(self):\n": "".join(f"        value_{i} = {i}\n" for i in range(40)) + "        return value_1\n",
    "def broken(self):\n": "        boom\n",
    "def memory(self):\n": "        boom\n",
    "def fresh(self):\n": "        return just_written()\n",
    "def decoded(self):\n": "        return json.loads(self.count)\n",
    "def pieces(self):\n": "        first = self.count\n        return first + 1\n",
    "def quoted(self):\n": '        return "a b"\n',
    "def call(self):\n": "        return self.price_of(self.count)\n",
    "value = ": "Basket().price_of(3)\n",
    "größe = '🎉'; wert = ": "Basket().count\n",
    "number = ": "41 + 1\n",
    "def repeated(self):\n": "        self.count = 0\n",
    "def spaces(self):\n": "        ",
}


class Model(ScriptedModel):
    """Finds the script by the last key in the text."""

    def __init__(self) -> None:
        super().__init__(lambda text: {})
        self.name = "scripted"
        self.context_tokens = 100_000

    def start(self, prompt_ids: Sequence[int], stop: Callable[[], bool] | None = None) -> ScriptedState:
        text = bytes(i for i in prompt_ids if i < 256).decode(errors="replace")
        if "def memory(self):\n" in text[-60:]:
            raise MemoryError("no memory for the prompt")
        return ScriptedState(self, prompt_ids)

    def logits(self, token_ids: Sequence[int]) -> Logits:
        text = bytes(i for i in token_ids[-3000:] if i < 256).decode(errors="replace")
        weights = np.full(SIZE, 1e-9, np.float32)
        key = max(SCRIPTS, key=text.rfind)
        at = text.rfind(key)
        if at >= 0:
            if key.startswith("def slow"):
                time.sleep(SLOW_S)
            if key.startswith("def broken"):
                raise RuntimeError("the model broke")
            written, script = text[at + len(key) :].encode(), SCRIPTS[key].encode()
            if script.startswith(written) and len(written) < len(script):
                weights[script[len(written)]] += 1
                return np.log(weights)
        weights[EOS] += 1
        return np.log(weights)


def make(config: GeneratorConfig, report: ReportShare) -> Model:
    """The model; the name ``missing`` stands for one that cannot be loaded; ``slow and ...`` takes its time."""
    from generation.errors import ModelLoadError

    if config.model.startswith("slow and"):
        time.sleep(1.5)
    if config.model.endswith("missing"):
        raise ModelLoadError("there is no model called missing; see memberwise model list")
    if config.model == "slow to load":
        time.sleep(1.5)
        report(0.5)
        time.sleep(1.5)
    model = Model()
    model.name = config.model if config.model.startswith("slow and") else model.name
    assert model.tokenizer.mark_id == MARK
    model.tokenizer.mark_id = None
    return model
