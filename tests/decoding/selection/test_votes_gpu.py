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
for rows, heads, key_heads, size, count in ((1, 9, 3, 64, 300), (3, 8, 1, 32, 128), (2, 4, 4, 16, 25), (1, 14, 2, 24, 1025)):
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float16, 1e-3)):
        queries, keys = 3 * torch.randn(rows, heads, size).to(dtype), torch.randn(1100, key_heads, size).to(dtype)
        slots = torch.randperm(1100)[:count]
        found, expected = votes_gpu.block_votes(queries, keys, slots), reference.block_votes(queries, keys[slots])
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
        assert len(found) == count // 16 and (count % 16 or abs(found.sum() - rows * heads) < 1e-2)
print("agree")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton has wheels for Linux only")
def test_the_kernels_agree_with_the_reference() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-c", CHECK], env=environment, capture_output=True, text=True, check=False, timeout=110
    )
    assert ran.stdout.strip() == "agree", ran.stderr
