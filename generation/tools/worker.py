"""The process that runs Jedi: one question per line of JSON on stdin, one answer per line of JSON on stdout.

Jedi is not thread-safe, can take seconds and can crash, so it lives alone in here. This file is started by its path, in
an isolated interpreter that looks at neither the working directory nor ``PYTHONPATH``: where Jedi is, it is told, and
of ours it takes the files beside it. Start reading at ``main``; a question is what ``jedi_answers.answer`` reads.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # the client's folders of Jedi: behind the standard library, before other versions
    _at = next((at for at, entry in enumerate(sys.path) if entry.endswith("-packages")), len(sys.path))
    sys.path[_at:_at] = [folder for folder in sys.argv[5:] if folder not in sys.path]

import jedi
import jedi.settings
import parso.cache
from jedi.api.environment import InterpreterEnvironment, InvalidPythonEnvironment

IDLE_S = 5.0  # without a question; then rubbish is collected, which takes some tenths of a second
COLLECTED_QUESTIONS = 300  # after so many it is collected in any case
MINIMUM_JEDI = (0, 20, 1)  # older versions run an interpreter that the repository names
_QUICKER = ("0.20.", "0.8.")  # versions of Jedi and parso whose parts ``quicker_jedi`` replaces

Question = dict[str, Any]
Answer = dict[str, Any]


def open_environment(python: str | None) -> Any:
    """The environment whose packages Jedi knows: another interpreter, which is executed, or this process's own."""
    if python is None:
        return InterpreterEnvironment()
    try:
        return jedi.create_environment(python, safe=False)
    except InvalidPythonEnvironment as problem:
        print(f"cannot use {python}: {problem}", file=sys.stderr)
        return InterpreterEnvironment()


def read_questions(stream: Any) -> queue.Queue[Question]:
    """Read on in a thread; when the client closes the stream or dies, so does this process, even inside Jedi."""
    questions: queue.Queue[Question] = queue.Queue()

    def read() -> None:
        for line in stream:
            questions.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return questions


def serve(attempt: Callable[[Question], Answer], questions: queue.Queue[Question], out: Any) -> None:
    """Answer until the process ends.

    Rubbish is collected between questions: by itself Python would do it within answers, for a third of their time.
    """
    gc.set_threshold(0)  # parso enables collection again whenever it has read a file
    answered = 0  # since rubbish was collected
    while True:
        try:
            question = questions.get(timeout=IDLE_S if answered else None)
        except queue.Empty:
            gc.collect()
            answered = 0
            continue
        reply = attempt(question)
        if "error" in reply:  # another worker may have been writing the cache file that parso was reading
            reply = attempt(question)
        reply["id"] = question["id"]
        out.write(json.dumps(reply).encode() + b"\n")
        out.flush()
        answered += 1
        if answered >= COLLECTED_QUESTIONS:
            gc.collect()
            answered = 0


def forgive_broken_cache_files() -> None:
    """A process that was killed while it wrote one leaves a file that parso would fail on for ever."""
    load: Any = parso.cache._load_from_file_system

    def load_or_parse(*args: Any, **kwargs: Any) -> Any:
        try:
            return load(*args, **kwargs)
        except (EOFError, pickle.UnpicklingError, AttributeError, ImportError, IndexError, ValueError):
            return None  # is parsed again, and written again

    parso.cache._load_from_file_system = load_or_parse


def confine(root: str) -> None:
    """Let source be read from the repository and from this interpreter's own folders alone, whatever links lead out."""
    own = (root, sys.prefix, sys.base_prefix, jedi.__path__[0], parso.__path__[0], *filter(None, sys.path))
    allowed = tuple(os.path.realpath(folder) + os.sep for folder in own)

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith((".py", ".pyi")):
            path = os.path.realpath(arguments[0])
            if not path.startswith(allowed):
                raise PermissionError(f"{path} is outside of {root}, which is not trusted")

    sys.addaudithook(check)


def _beside(name: str) -> Any:
    """A module next to this file, which no import finds in an isolated interpreter."""
    spec = spec_from_file_location(f"memberwise_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Serve one repository: ``worker.py ROOT [PYTHON [CACHE [confined [FOLDER...]]]]``.

    An empty word stands for what Jedi uses by itself; with ``confined``, nothing outside of the repository is read.
    In the folders are Jedi and parso.
    """
    version = tuple(int(part) for part in jedi.__version__.split(".")[:3])
    if version < MINIMUM_JEDI:
        sys.exit(f"jedi {jedi.__version__} is not safe; install jedi>=0.20.1")
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not reach the protocol
    questions = read_questions(sys.stdin.buffer)
    # A call in another file refers to the function on disk, never to the buffer's: the search would only cost time.
    jedi.settings.dynamic_params_for_other_modules = False
    jedi.settings.auto_import_modules = []  # would be imported, that is executed
    forgive_broken_cache_files()
    answers, kept_lists = _beside("jedi_answers"), _beside("kept_lists")
    if all(map(str.startswith, (jedi.__version__, parso.__version__), _QUICKER)):
        _beside("quicker_jedi").install()
    sys.setrecursionlimit(3000)
    root, python, cache, confined = [*sys.argv[1:], "", "", ""][:4]
    if cache:
        jedi.settings.cache_directory = cache
    code = hashlib.sha256(Path(answers.__file__).read_bytes()).hexdigest()
    if confined:
        confine(root)
    environment = open_environment(python or None)
    interpreter = (os.path.realpath(environment.executable), environment.version_info)  # one for all that link to it
    made_by = (jedi.__version__, parso.__version__, *interpreter, sys.platform, confined, code)
    kept = kept_lists.KeptLists(Path(jedi.settings.cache_directory), made_by)
    serve(partial(answers.attempt, answers.JediState(Path(root), environment, kept)), questions, out)


if __name__ == "__main__":
    main()
