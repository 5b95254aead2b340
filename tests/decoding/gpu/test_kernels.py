"""The Triton kernels: against the reference in Triton's interpreter, and compiled for a GPU that need not be there.

Each in a process of its own, for the interpreter is chosen when triton is imported. It multiplies the bits of bfloat16
as if they were integers, so what runs in bfloat16 on a GPU is interpreted in float16.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton has wheels for Linux only")

OPERATIONS = """
import random, torch
from dataclasses import replace
from generation.decoding.gpu import kernels, reference
from generation.decoding.gpu.batch import Batch, size_of
from generation.decoding.gpu.slots import SequenceSlots, SlotPool
from generation.decoding.gpu.weights import Linear
from generation.decoding.llama.network import Scoring
from generation.types import Draft
from tests.decoding.gpu.torch_networks import CPU, weights_of
from tests.decoding.llama.networks import network_of, random_tree

source, close = random.Random(0), torch.testing.assert_close
torch.manual_seed(0)
kernels._PROGRAMS = 24  # in the interpreter each takes a millisecond
for family, heads, key_heads, size in (("llama", 9, 3, 64), ("qwen3", 7, 1, 24)):
    weights = weights_of(network_of(family))
    shape = replace(weights.shape, heads=heads, key_heads=key_heads, head_size=size, layers=1)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float16, 4e-3)):
        norm = None if family == "llama" else torch.randn(size).to(dtype)
        layer = replace(weights.layers[0], query_norm=norm, key_norm=norm)
        pool = SlotPool(shape, 12, dtype, CPU)
        scorings = []
        for committed, nodes, first in ((0, 1, 0), (255, 5, 2), (530, 11, 0), (64, 3, 1)):
            cache = SequenceSlots(pool)
            cache.reserve(committed + nodes)
            cache.length = committed
            scorings.append(Scoring(cache, random_tree(source, nodes), nodes - first, first))
        for chosen in (scorings, scorings[2:3]):
            batch = Batch(size_of(chosen), 4, CPU)
            batch.fill(chosen)
            rows = sum(len(one.draft) - one.first for one in chosen)
            pool.keys.normal_(), pool.values.normal_()
            qkv = torch.randn(batch.size.rows, (heads + 2 * key_heads) * size).to(dtype)
            tables = torch.randn(2, batch.size.rows, size // 2)
            matrices = [Linear(torch.randn(*sizes).to(dtype) / 12, bias) for sizes, bias in (((9, 144), None), ((5, 144), torch.randn(5).to(dtype)))]
            hidden, added, weight = (torch.randn(*sizes, 144).to(dtype) for sizes in ((7,), (7,), ()))
            found, expected = [], []
            for module, results in ((kernels, found), (reference, expected)):
                keys, values = pool.keys[0].clone(), pool.values[0].clone()
                queries = module.place(qkv, layer, shape, tables, batch.slots, keys, values)
                results += [queries[:rows], keys[1:], values[1:]]
                results.append(module.attend(queries, keys, values, batch)[:rows])
                results += [module.times(hidden[:1], matrix) for matrix in matrices]
                results += module.add_norm(hidden, added, weight, 1e-5)
                results.append(module.gated(qkv[:, :222].contiguous()))
            for one, other in zip(found, expected, strict=True):
                close(one, other, atol=tolerance, rtol=tolerance)
print("agree")
"""

NETWORK = """
import random, torch
from generation.decoding.gpu import kernels
from generation.decoding.gpu.network import TorchNetwork
from generation.decoding.gpu.slots import SlotPool
from generation.decoding.llama.model import LlamaModel
from tests.decoding.gpu.torch_networks import CPU, weights_of
from tests.decoding.llama.networks import NoTokenizer, ancestors, network_of, random_ids, random_tree, truth

kernels._PROGRAMS = 8
weights, source = weights_of(network_of("qwen3")), random.Random(2)
network = TorchNetwork(
    weights, SlotPool(weights.shape, 8, torch.float32, CPU), record=False, read_tokens=32, operations=kernels
)
state = LlamaModel(network, NoTokenizer(), "tiny").start(random_ids(source, 40))
for _ in range(2):
    draft = random_tree(source, 6)
    logits = state.score(draft)
    for node in range(len(draft)):
        tail = [draft.token_ids[step] for step in ancestors(draft, node)]
        expected = truth("qwen3", [*state.token_ids, *tail])[-1]
        torch.testing.assert_close(logits[node], expected, atol=2e-4, rtol=2e-4)
    state.commit(ancestors(draft, 5))
print("agree")
"""

COMPILING = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from generation.decoding.gpu import kernels
from generation.decoding.selection import votes_gpu

floats = {"parts": "*fp32", "levels": "*fp32", "tables": "*fp32", "scores": "*fp32", "peaks": "*fp32", "totals": "*fp32", "epsilon": "fp32", "scale": "fp32"}
ints = {name: "*i64" for name in ("slots", "sequences", "enter", "leave")} | {name: "i32" for name in ("all_rows", "pages", "count")}
def build(kernel, changed=(), **constants):
    types = {name: "constexpr" if name in constants else (floats | ints).get(name, "*bf16") for name in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=types | dict(changed), constexprs=constants)
    assert compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]

build(kernels._place, heads=28, key_heads=4, half=64, padded=64, normed=True)
for heads, key_heads, size, rows in ((9, 3, 64, 64), (28, 4, 128, 16)):
    sizes = {"heads": heads, "key_heads": key_heads, "size": size, "padded": size}
    build(kernels._attend, {"tables": "*i64"}, **sizes, record=5, page_slots=256, block_rows=rows, block_keys=64, splits=8)
build(kernels._add_up, size=64, padded=64, splits=64)
build(kernels._times_row, channels=4608, columns=3584, biased=True, block_channels=4, block_columns=512)
build(kernels._add_norm, width=3584, padded=4096)
build(kernels._gated, width=18944, block=1024)
for group, padded in ((7, 16), (16 * 7, 128)):
    build(votes_gpu._score, key_heads=4, group=group, group_padded=padded, size=128, size_padded=128, block=128)
build(votes_gpu._vote, {"found": "*fp32", "queries": "i32"}, blocks=8, block=16)
print("agree")
"""


@pytest.mark.timeout(420)  # the interpreter is slow, and so is the compiler on a busy machine
@pytest.mark.parametrize(
    ("check", "interpreted"),
    [(OPERATIONS, True), (NETWORK, True), (COMPILING, False)],
    ids=["operations", "network", "compiling"],
)
def test_the_kernels(check: str, interpreted: bool, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TRITON_CACHE_DIR": str(tmp_path),
    }
    environment |= {"TRITON_INTERPRET": "1"} if interpreted else {}
    ran = subprocess.run([sys.executable, "-c", check], env=environment, capture_output=True, text=True, check=False, timeout=400)  # fmt: skip
    assert ran.stdout.strip() == "agree", ran.stderr
