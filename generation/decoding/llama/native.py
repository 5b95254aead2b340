"""The kernels of ``decoding/kernels``, called by ctypes: compiled on first use for this processor, kept in the cache.

A compiler writes into a temporary file that is then renamed, so processes that start together do not harm each other.
Where no compiler works, not even one that pip has installed, there are no kernels, and models run through transformers.
Knows no models. Start at ``find_kernels``.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from ctypes import POINTER, c_char_p, c_float, c_int, c_int32, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from generation.cache import cache_root

SOURCES = Path(__file__).parent.parent / "kernels"
STOP = ctypes.CFUNCTYPE(c_int)
STEP_PARTS = ("norms", "qkv", "placing", "attention", "attention_out", "gate_up", "gate", "down", "head")
_COMPILERS = ("c++", "g++", "clang++")
_PACKAGED = "ziglang"  # a Clang that comes as a wheel for every system
_FLAGS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fPIC", "-shared", "-pthread", "-w")
_LESS = {
    "without tiles": ("-DMEMBERWISE_NO_TILES",),
    "without bfloat16": ("-mno-avx512bf16",),
    "without AVX512": ("-mno-avx512f",),
}
_COMPILE_LIMIT_S = 300
Build = Literal["native", "without tiles", "without bfloat16", "without AVX512", "portable"]


class Matrix(ctypes.Structure):
    """``Matrix`` of matrix.h."""

    _fields_ = (
        ("data", c_void_p), ("scale", c_void_p), ("bias", c_void_p), ("channels", c_int32), ("columns", c_int32),
    )  # fmt: skip


class Layer(ctypes.Structure):
    """``Layer`` of forward.cpp."""

    _fields_ = (
        ("qkv", Matrix), ("attention_out", Matrix), ("gate_up", Matrix), ("down", Matrix),
        ("attention_norm", c_void_p), ("mlp_norm", c_void_p), ("query_norm", c_void_p), ("key_norm", c_void_p),
    )  # fmt: skip


class Shape(ctypes.Structure):
    """``Shape`` of sequences.h."""

    _fields_ = (
        ("layers", c_int32), ("hidden", c_int32), ("heads", c_int32), ("key_heads", c_int32), ("head_size", c_int32),
        ("intermediate", c_int32), ("vocabulary", c_int32), ("is_int8", c_int32), ("norm_epsilon", c_float),
    )  # fmt: skip


class Choice(ctypes.Structure):
    """``Choice`` of selection.h."""

    _fields_ = tuple((name, c_int32) for name in ("start", "sink", "chosen", "window", "far_window", "trained"))


class Cache(ctypes.Structure):
    """``Cache`` of sequences.h."""

    _fields_ = (
        ("keys", c_void_p), ("values", c_void_p), ("slots", c_int32), ("length", c_int32),
        ("choice", POINTER(Choice)), ("codes", c_void_p), ("code_scales", c_void_p),
    )  # fmt: skip


class Tree(ctypes.Structure):
    """``Tree`` of sequences.h."""

    _fields_ = (
        ("count", c_int32), ("first", c_int32), ("tokens", POINTER(c_int32)), ("parents", POINTER(c_int32)),
        ("logits", c_int32),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kernels:
    """The loaded library: what its multiplication is made of, and a key that tells it from other versions."""

    library: ctypes.CDLL
    instructions: str
    key: str


@dataclass(frozen=True, slots=True)
class NoKernels:
    """Why there is no library."""

    reason: str


@cache
def find_kernels(build: Build = "native") -> Kernels | NoKernels:
    """The kernels, compiled if they are not in the cache.

    Args:
        build: for this processor; as if it had no tiles, no products of bfloat16, or no AVX512; or without any of its
            instructions, as on one that the kernels do not know.
    """
    compilers, failures = _compilers(), []
    for flags in _flag_sets(build):
        for made in _made_before(compilers, flags):
            with suppress(OSError):
                return _loaded(made)
        for compiler in compilers:
            try:
                return _loaded(_compiled(compiler, flags))
            except subprocess.CalledProcessError as error:
                failures.append(f"{' '.join(compiler)} failed: {error.stderr.strip().splitlines()[-1:]}")
            except (OSError, subprocess.TimeoutExpired) as error:
                failures.append(f"{' '.join(compiler)} cannot be used: {error}")
    looked = f"there is no C++ compiler (looked for $CXX, {', '.join(_COMPILERS)})"
    packaged = importlib.util.find_spec(_PACKAGED) is not None
    return NoKernels((failures or [looked])[0] + ("" if packaged else f"; pip install {_PACKAGED} brings one"))


def _compilers() -> Sequence[Sequence[str]]:
    """Commands: the one that is named, or those of the system, which may be there in name only, then that of pip."""
    if named := shutil.which(os.environ.get("CXX", "")):
        return [[named]]
    system = dict.fromkeys(str(Path(path).resolve()) for path in map(shutil.which, _COMPILERS) if path)
    packaged = [[sys.executable, "-m", _PACKAGED, "c++", "-g0"]] if importlib.util.find_spec(_PACKAGED) else []
    return [*([path] for path in system), *packaged]


def _made_before(compilers: Sequence[Sequence[str]], flags: Sequence[str]) -> list[Path]:
    """Libraries that one of these compilers has made, or one that is gone."""
    if compilers:
        return [target for target in (_target(compiler, flags) for compiler in compilers) if target.is_file()]
    return list(_folder().glob(f"{_key(flags)}-*.so"))


def _flag_sets(build: Build) -> list[Sequence[str]]:
    """From the fastest to what every compiler takes."""
    if build == "portable":
        return [(*_FLAGS, "-DMEMBERWISE_PORTABLE")]
    native = "-mcpu=native" if platform.machine() in {"arm64", "aarch64"} else "-march=native"
    less = _LESS.get(build, ())
    return [(*_FLAGS, native, *less), (*_FLAGS, *less)]


def _folder() -> Path:
    return cache_root() / "kernels"


def _compiled(compiler: Sequence[str], flags: Sequence[str]) -> Path:
    target = _target(compiler, flags)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        output = Path(scratch) / target.name
        command = [*compiler, *flags, *map(str, sorted(SOURCES.glob("*.cpp"))), "-o", str(output)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_COMPILE_LIMIT_S)
        output.replace(target)
    return target


def _target(compiler: Sequence[str], flags: Sequence[str]) -> Path:
    by = hashlib.sha256(repr([str(Path(compiler[0]).resolve()), *compiler[1:]]).encode()).hexdigest()[:8]
    return _folder() / f"{_key(flags)}-{by}.so"


def _key(flags: Sequence[str]) -> str:
    """Of what decides what the library is, but the compiler: a home folder may be shared by several machines."""
    digest = hashlib.sha256(repr((flags, platform.machine(), processor())).encode())
    for source in sorted(SOURCES.glob("*.*")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:24]


def processor() -> str:
    """What tells this processor from another kind."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.is_file() else []
    named = [line for line in lines if line.startswith(("flags", "Features", "model name"))]
    return "\n".join(dict.fromkeys(named)) or platform.processor()


def _loaded(path: Path) -> Kernels:
    library = ctypes.CDLL(str(path))
    library.memberwise_instructions.restype = c_char_p
    library.memberwise_create.restype = c_void_p
    library.memberwise_create.argtypes = [
        POINTER(Shape), POINTER(Layer), POINTER(Matrix), POINTER(Matrix), c_void_p, c_int,
    ]  # fmt: skip
    library.memberwise_prompt_tokens.argtypes = [c_void_p, c_void_p]
    library.memberwise_prompt_tokens.restype = None
    library.memberwise_destroy.argtypes = [c_void_p]
    library.memberwise_destroy.restype = None
    library.memberwise_forward.argtypes = [
        c_void_p, POINTER(Cache), POINTER(Tree), c_int, c_void_p, c_void_p, c_void_p, c_void_p,
    ]  # fmt: skip
    library.memberwise_block_numbers.argtypes = [POINTER(Shape)]
    library.memberwise_times.argtypes = [c_void_p, c_void_p]
    library.memberwise_times.restype = None
    library.memberwise_keep.argtypes = [c_void_p, POINTER(Cache), POINTER(c_int32), c_int]
    library.memberwise_keep.restype = None
    library.memberwise_blocks.argtypes = [
        POINTER(Shape), POINTER(Cache), c_int, c_int, c_void_p, c_void_p, c_void_p, c_void_p,
    ]  # fmt: skip
    library.memberwise_index_create.restype = c_void_p
    library.memberwise_index_destroy.argtypes = [c_void_p]
    library.memberwise_index_destroy.restype = None
    library.memberwise_index_update.argtypes = [c_void_p, c_int, c_void_p, c_int]
    library.memberwise_index_update.restype = None
    library.memberwise_index_find.argtypes = [c_void_p, c_void_p, c_int, POINTER(c_int32)]
    return Kernels(library, library.memberwise_instructions().decode(), path.stem)
