"""A tool that writes down what another one answers, and one that answers from such a record.

For tests and for benchmarks that must not depend on Jedi's speed. A record is JSON lines; a question is found by a
hash of its text and of its path inside the repository, so a record is valid wherever the repository lies.
Start reading at ``RecordingTool``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from generation.errors import ToolError
from generation.interfaces import CompletionTool
from generation.types import ImportNeeded, Suggestion, SuggestionSource, ToolAnswer, ToolQuery


def query_hash(query: ToolQuery) -> str:
    """What identifies a question: where the file lies in the repository, the text around the hole, the kind."""
    path = query.path.relative_to(query.root) if query.path.is_relative_to(query.root) else query.path
    digest = hashlib.sha256()
    for part in (path.as_posix(), query.before, query.after, str(query.kind)):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


class RecordingTool:
    """Answers as ``inner`` does and appends every answer to the file."""

    def __init__(self, inner: CompletionTool, path: Path) -> None:
        self._inner = inner
        self._file = path.open("a", encoding="utf-8")

    def suggest(self, query: ToolQuery) -> ToolAnswer:
        """The answer of the inner tool."""
        answer = self._inner.suggest(query)
        plain = replace(answer, importable=dict(answer.importable))
        self._file.write(json.dumps({"query": query_hash(query), "answer": asdict(plain)}) + "\n")
        self._file.flush()
        return answer

    def prefetch(self, query: ToolQuery) -> None:
        """Passed on."""
        self._inner.prefetch(query)

    def close(self) -> None:
        """Close the record and the inner tool."""
        self._file.close()
        self._inner.close()


class ReplayTool:
    """Answers from a record; the last answer to a question counts. An unknown question is answered with an error.

    Raises:
        ToolError: the file is missing or is not a record.
    """

    def __init__(self, path: Path) -> None:
        try:
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            self._answers = {line["query"]: _answer(line["answer"]) for line in lines}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ToolError(f"{path} is not a record of answers ({error}); write one with RecordingTool") from error

    def suggest(self, query: ToolQuery) -> ToolAnswer:
        """The recorded answer."""
        return self._answers.get(query_hash(query), ToolAnswer(error="not recorded"))

    def prefetch(self, query: ToolQuery) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def _answer(data: dict[str, Any]) -> ToolAnswer:
    suggestions = tuple(map(_suggestion, data.pop("suggestions")))
    importable = {name: _suggestion(value) for name, value in data.pop("importable").items()}
    return ToolAnswer(suggestions=suggestions, importable=importable, **data)


def _suggestion(data: dict[str, Any]) -> Suggestion:
    needed = data["import_needed"]
    return Suggestion(
        data["name"], data["kind"], SuggestionSource(data["source"]), ImportNeeded(**needed) if needed else None
    )
