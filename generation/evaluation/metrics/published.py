"""DepCov as published, for comparison with published numbers: a regular expression over marked text.

Source: ToolGen (arXiv 2401.06391) and its published evaluation. The true function carries a mark before every name that
Jedi completes there, the function being cut off at the name. What stands after a mark, with at most one name before its
dot, is a dependency unless the text makes it look like a local or a parameter; it is hit when the generated text holds
it as a word. Quirks are kept: a match eats the character after it, so of two neighbours the second may be missed.
Changed: Jedi sees the file under another path, so that it does not take the cut-off text for the module on disk. Start
reading at ``mark_names`` and ``marked_names``.
"""

from __future__ import annotations

import builtins
import io
import keyword
import re
import tokenize
from collections.abc import Collection, Iterator

from generation.evaluation.places import Places
from generation.marks.marked_text import MARK
from generation.tools.references import References

_NEVER_MARKED = frozenset({*keyword.kwlist, *dir(builtins)})
_MARKED_NAME = re.compile(rf"\W(?P<receiver>\w+\.)*{re.escape(MARK)}(?P<name>\w+)\s*(?:[^\w.=]|$)")
_STRINGS = (re.compile(r"'(.*?)'"), re.compile(r'"(.*?)"'))
_LOCAL = (r"\s+{name}(\W+\w+)*\s*=", r"as\s+{name}\s*:", r"for\s+{name}(\W+\w+)*\s+in")


def mark_names(references: References, path: str, text: str, span: tuple[int, int]) -> str:
    """The true body with its marks.

    Args:
        references: of the repository.
        path: of the file, below the root.
        text: of the file.
        span: of the body.
    """
    start, end = span
    marked, last = "", start
    for offset, name in _names(text, span):
        if name in references.offered(path, f"{text[:offset]}\n{text[end:]}", offset):
            marked, last = f"{marked}{text[last:offset]}{MARK}", offset
    return marked + text[last:end]


def _names(text: str, span: tuple[int, int]) -> Iterator[tuple[int, str]]:
    """Identifiers of the body that are neither keywords nor builtins."""
    places = Places(text)
    try:
        found = list(tokenize.generate_tokens(io.StringIO(text, newline="").readline))
    except (tokenize.TokenError, SyntaxError):
        return
    for token in found:
        offset = places.line_start(token.start[0]) + token.start[1]
        if token.type == tokenize.NAME and token.string not in _NEVER_MARKED and span[0] <= offset < span[1]:
            yield offset, token.string


def marked_names(marked: str, header: str) -> frozenset[str]:
    """The dependencies of a true body with marks; ``header`` is the function's."""
    whole = f"{header}\n{marked}"
    plain = _clean(whole.replace(MARK, ""))
    found = ((match["receiver"] or "") + match["name"] for match in _MARKED_NAME.finditer(_clean(whole)))
    return frozenset(name for name in found if not _is_own(name, plain, header))


def _is_own(name: str, plain: str, header: str) -> bool:
    """Whether it looks like a local variable, an import of the body, or a parameter."""
    first = re.escape(name.partition(".")[0])
    if any(re.search(pattern.format(name=first), plain) for pattern in _LOCAL):
        return True
    if re.search(rf"from\s+{re.escape(name)}(\W+\w+)*\s+import", plain):
        return True
    return "." not in name and bool(re.search(rf"(\W|^){first}(\W|$)", header))


def hits(body: str, names: Collection[str]) -> frozenset[str]:
    """Those of ``names`` that stand in a generated body."""
    plain = _clean(body)
    return frozenset(name for name in names if re.search(rf"(\W|^){re.escape(name)}(\W|$)", plain))


def _clean(text: str) -> str:
    """Without the content of strings, as far as a line goes."""
    for pattern in _STRINGS:
        text = pattern.sub("''", text)
    return text.strip()
