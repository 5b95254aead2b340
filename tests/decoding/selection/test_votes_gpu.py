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
for heads, key_heads, size, count in ((9, 3, 64, 300), (8, 1, 32, 128), (4, 4, 16, 5), (14, 2, 64, 1025)):
    for dtype in (torch.float32, torch.bfloat16):
        queries, keys = 3 * torch.randn(heads, size, dtype=dtype), torch.randn(count, key_heads, size, dtype=dtype)
        found = votes_gpu.votes(queries, keys)
        torch.testing.assert_close(found, reference.votes(queries, keys), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.sum(), torch.tensor(float(heads)), atol=1e-3, rtol=0)
print("agree")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton has wheels for Linux only")
def test_the_kernels_agree_with_the_reference() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-c", CHECK], env=environment, capture_output=True, text=True, check=False, timeout=110
    )
    assert ran.stdout.strip() == "agree", ran.stderr
