"""The accelerated core with the default model's weights: against transformers, and int8 against float32."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from generation.decoding import loading
from generation.decoding.llama.model import LlamaModel
from generation.decoding.loading import load_model
from generation.models import resolve
from generation.models.store import models_folder
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Logits

pytestmark = pytest.mark.model
SOURCE = (Path(__file__).parents[3] / "generation" / "tools" / "repair.py").read_text(encoding="utf-8")


def loaded(dtype: str) -> LlamaModel:
    model = load_model(resolve("default"), dtype, threads=1)
    assert isinstance(model, LlamaModel)
    return model


def all_logits(model: LlamaModel, token_ids: list[int]) -> Logits:
    return model.network.forward(model.network.new_cache(), Draft.chain(token_ids), len(token_ids))


def loss(logits: Logits, token_ids: list[int]) -> float:
    return float(torch.nn.functional.cross_entropy(torch.from_numpy(logits[:-1]), torch.tensor(token_ids[1:])))


def test_float32_matches_transformers_and_int8_is_close() -> None:
    """Logits within 1e-3, the same greedy choices, and a perplexity in int8 within 1 % of the one in float32."""
    from transformers import AutoModelForCausalLM

    exact = loaded("float32")
    token_ids = exact.tokenizer.encode(SOURCE)[:400]
    found = all_logits(exact, token_ids)
    network = AutoModelForCausalLM.from_pretrained(resolve("default"), dtype=torch.float32)
    with torch.inference_mode():
        expected = network(torch.tensor([token_ids])).logits[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-3)
    assert np.array_equal(found.argmax(-1), expected.argmax(-1))
    rounded = all_logits(loaded("int8"), token_ids)
    assert abs(loss(rounded, token_ids) - loss(found, token_ids)) < 0.01


def test_rows_of_the_default_model_do_not_depend_on_their_neighbours() -> None:
    model = loaded("int8")
    token_ids = model.tokenizer.encode(SOURCE)[:140]
    together = all_logits(model, token_ids)
    state = model.start(token_ids[:120])
    assert np.array_equal(state.next_logits, together[119])
    for width in (1, 2, 5, 12):
        assert np.array_equal(state.score(Draft.chain(token_ids[120 : 120 + width])), together[120 : 120 + width])


def run_apart(code: str, cache: Path) -> str:
    (cache / "models").symlink_to(models_folder())
    command, environment = [sys.executable, "-c", code], {**os.environ, "MEMBERWISE_CACHE": str(cache)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(loading._has_cuda(), reason="torch says whether the GPU can be used")
def test_torch_need_not_be_installed(tmp_path: Path) -> None:
    """It takes a second to import, and a gigabyte or more to install."""
    code = """
import sys
sys.modules.update(torch=None, transformers=None, accelerate=None)
from generation.config import GeneratorConfig
from generation.service import load_model
shares = []
model = load_model(GeneratorConfig(threads=1, adapter="none"), shares.append)  # as people start it
model.start(model.tokenizer.encode("def add(a, b):"))
print(len(shares) > 9, shares == sorted(shares))
"""
    assert run_apart(code, tmp_path).strip() == "True True"
    assert len(list((tmp_path / "packed").glob("*.safetensors"))) == 1


def test_damaged_weights_are_told(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((resolve("default") / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    code = f"""
from generation.config import GeneratorConfig
from generation.errors import ModelLoadError
from generation.service import load_model
try:
    load_model(GeneratorConfig(model={str(tmp_path)!r}, dtype="int8"))
except ModelLoadError as error:
    print(error)
"""
    (tmp_path / "cache").mkdir()
    assert run_apart(code, tmp_path / "cache").startswith(f"{tmp_path / 'model.safetensors'} is damaged")
