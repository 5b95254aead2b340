"""On the GPU path, too, drafts, their width and reuse change no text; in float32 on the CPU no tie is near enough."""

from __future__ import annotations

import pytest

from generation.decoding.llama.model import LlamaModel
from tests.decoding.drafts import FREE, Garbage, lookup
from tests.decoding.gpu.torch_networks import torch_network
from tests.decoding.llama.test_exactness import PROMPT, WRITTEN, bytes_network, written
from tests.decoding.llama.test_exactness import model as kernels_model
from tests.decoding.scripted import ByteTokenizer


def model(prefix_bytes: int) -> LlamaModel:
    return LlamaModel(torch_network(bytes_network(), pages=64), ByteTokenizer(), "torch", prefix_bytes)


@pytest.mark.parametrize(("preset", "temperature"), [("off", 0.0), ("dot", 0.0), ("dot", 1.0)])
def test_no_draft_width_or_reuse_changes_text(preset: str, temperature: float) -> None:
    plain = written(model(prefix_bytes=0), None, preset, temperature, 0, 0)
    assert written(kernels_model(int8=False), None, preset, temperature, 0, 0) == plain
    reusing = model(prefix_bytes=1 << 20)
    for width in (1, 2, 3, 7, 8, 13, 16):
        for drafter in (lookup(FREE, list(PROMPT.encode())), Garbage(WRITTEN)):
            assert written(reusing, drafter, preset, temperature, width, 0) == plain
    assert len(plain[0]) > 12
    assert bool(plain[1]) == (preset == "dot")
