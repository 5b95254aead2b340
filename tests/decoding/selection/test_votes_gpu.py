"""The Triton kernels in Triton's interpreter, in a process of its own: it is chosen when triton is imported."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

CHECK = """
import torch
from generation.decoding.selection import reference, votes_gpu
torch.manual_seed(0)
for heads, key_heads, size, count in ((9, 3, 64, 300), (8, 1, 32, 128), (4, 4, 16, 5), (14, 2, 24, 1025)):
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float16, 1e-3)):
        queries, keys = 3 * torch.randn(2, heads, size, dtype=dtype), torch.randn(3, 1100, key_heads, size, dtype=dtype)
        layers, slots = torch.tensor([2, 0]), torch.randperm(1100)[:count]
        found = votes_gpu.votes(queries, keys, layers, slots)
        for one, query, layer in zip(found, queries, layers):
            torch.testing.assert_close(one, reference.votes(query, keys[layer, slots]), atol=tolerance, rtol=tolerance)
            torch.testing.assert_close(one.sum(), torch.tensor(float(heads)), atol=1e-2, rtol=0)
print("agree")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton has wheels for Linux only")
def test_the_kernels_agree_with_the_reference() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-c", CHECK], env=environment, capture_output=True, text=True, check=False, timeout=110
    )
    assert ran.stdout.strip() == "agree", ran.stderr
