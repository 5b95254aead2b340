"""What a true body takes from its repository: DepCov, by Jedi and by syntax trees.

A dependency is a dotted expression (``self.app.config``, ``helper``, ``mod.func``) of the true body whose last name
Jedi resolves to a definition inside the repository and outside the function. Parameters do not count, also not those
of an outer function. Every node of the tree is an expression: ``self.app.config`` brings ``self.app``, if that is one.
Start reading at ``dependencies``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from generation.evaluation.metrics.bodies import chains
from generation.evaluation.places import Places
from generation.tools.references import Reference, References


@dataclass(frozen=True, slots=True)
class Dependency:
    """A dotted expression at a place: the last name of ``chain`` stands at ``offset`` of the body."""

    chain: str
    offset: int

    @property
    def name(self) -> str:
        """The last name."""
        return self.chain.rpartition(".")[2]


def dependencies(
    references: References, root: Path, path: str, text: str, header_start: int, span: tuple[int, int]
) -> list[Dependency]:
    """The dependencies of a true body, in the order of the text; the same expression may come several times.

    Args:
        references: of the repository.
        root: of the repository, resolved.
        path: of the file, below the root.
        text: of the file, as people wrote it.
        header_start: where the function begins.
        span: of the body.
    """
    in_tree = chains(text[slice(*span)])
    places = Places(text)
    own = range(places.line_of(header_start) - 1, places.line_of(max(span[1] - 1, span[0])))
    return [
        Dependency(reference.chain, places.line_start(reference.line + 1) + reference.column - span[0])
        for reference in references.of(path, text, span)
        if reference.chain in in_tree and _is_dependency(reference, root, root / path, own)
    ]


def _is_dependency(reference: Reference, root: Path, file: Path, own: range) -> bool:
    return any(
        place.path.is_relative_to(root) and place.kind != "param" and not (place.path == file and place.line in own)
        for place in reference.definitions
    )
