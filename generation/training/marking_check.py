"""How much trigger insertion misses: its marks against those of asking at every name, as decoding would.

Asking at every name repairs the buffer up to it and shows Jedi nothing of what follows in the body. Start reading at
``check_marks``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from generation.config import ToolConfig
from generation.evaluation.bare_python import bare_python
from generation.evaluation.places import Places
from generation.evaluation.positions import positions
from generation.evaluation.sources import parse
from generation.evaluation.tasks import functions_of
from generation.interfaces import silent
from generation.tools.jedi_tool import JediTool
from generation.tools.member_index import MemberIndex
from generation.training.corpus import CorpusFile, read_files
from generation.training.marking import MarkedFunction, own_names, read_marked
from generation.types import NameKind, ToolQuery


@dataclass(slots=True)
class Agreement:
    """Marks found by both ways, by insertion alone, and by asking everywhere alone; and the time of the latter."""

    functions: int = 0
    both: int = 0
    only_inserted: int = 0
    only_asked: int = 0
    asked_ms: float = 0.0

    def figures(self) -> dict[str, float | int]:
        """With the share of the asked marks that insertion finds."""
        return {
            "functions": self.functions,
            "both": self.both,
            "only_inserted": self.only_inserted,
            "only_asked": self.only_asked,
            "found_share": round(self.both / max(1, self.both + self.only_asked), 4),
            "asking_everywhere_ms_per_function": round(self.asked_ms / max(1, self.functions), 1),
        }


def check_marks(
    folder: Path,
    roots: Mapping[str, Path],
    functions: int,
    seed: int = 0,
    report: Callable[[int, int], None] = silent,
) -> dict[str, float | int]:
    """Compare on functions drawn from those that are marked.

    Raises:
        ConfigError: the corpus is missing.
    """
    marked = read_marked(folder)
    everything = [(place, one) for place, group in sorted(marked.items()) if place[0] in roots for one in group]
    chosen = sorted(
        random.Random(seed).sample(everything, min(functions, len(everything))),
        key=lambda item: (item[0], item[1].start),
    )
    files = {(file.repo, file.path): file for file in read_files(folder)}
    total = Agreement()
    for repo in dict.fromkeys(place[0] for place, _ in chosen):
        root = roots[repo]
        config = ToolConfig(python=bare_python(), deadline_s=10.0, workers=1)
        tool = JediTool(root, config, index=MemberIndex.build(root))
        try:
            for place, one in chosen:
                if place[0] == repo:
                    _compare(tool, root, files[place], one, total)
                    report(total.functions, len(chosen))
        finally:
            tool.close()
    return total.figures()


def _compare(tool: JediTool, root: Path, file: CorpusFile, function: MarkedFunction, total: Agreement) -> None:
    started_s = perf_counter()
    asked = _asked_everywhere(tool, root, file, function)
    inserted = set(function.marks)
    total.asked_ms += (perf_counter() - started_s) * 1000
    total.functions += 1
    total.both += len(asked & inserted)
    total.only_inserted += len(inserted - asked)
    total.only_asked += len(asked - inserted)


def _asked_everywhere(tool: JediTool, root: Path, file: CorpusFile, function: MarkedFunction) -> set[int]:
    """Offsets of names that the tool offers and the function does not show."""
    tree = parse(file.text)
    assert tree is not None, "it was parsed when it was marked"
    node = next(node for node, site in functions_of(tree, file.text) if site.body_start == function.start)
    local = own_names(node)
    found = set()
    for one in positions(tree, node, (function.start, function.end), Places(file.text)).asked:
        if one.kind is NameKind.NAME and one.name in local:
            continue
        before, after = file.text[: one.offset], file.text[function.end :]
        answer = tool.suggest(ToolQuery(root, root / file.path, before, after, one.kind))
        if any(suggestion.name == one.name for suggestion in answer.suggestions):
            found.add(one.offset)
    return found
