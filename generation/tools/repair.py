"""Unfinished code made whole: the buffer Jedi is asked about while a function is still being written.

``repair`` puts a dummy name at the cursor, closes strings and brackets, finishes the statement, its ``try:`` and its
decorators, and appends the rest of the file. It reads only what it must: the statement at the cursor and the block
headers around it. It asks no questions of Jedi and changes nothing above the statement it completes.

Start reading at ``repair``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from generation.source import parsing
from generation.source.lexer import Scanner
from generation.tools.receiver import receiver_of

DUMMY = "mw_"  # continues any unfinished word and is no keyword

_HEADER = re.compile(  # a line inside brackets can start with `if` too, but does not end with a colon
    r"^([ \t]*)(?:async[ \t]+)?"
    r"(?:(def|class)\b|(if|elif|else|try|except|finally|for|while|with|match|case)\b(?=[^\n]*:[ \t]*(?:\#[^\n]*)?$))",
    re.MULTILINE,
)
_TOKEN = re.compile(
    r'"""(?:[^"\\]++|\\(?:.|\Z)|"(?!""))*+(?:"""|\Z)'
    r"|'''(?:[^'\\]++|\\(?:.|\Z)|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]++|\\.)*+"?'
    r"|'(?:[^'\\\n]++|\\.)*+'?"
    r"|\#[^\n]*|\\\n|\n|[()\[\]{}]",
    re.DOTALL,
)
_INDENT = re.compile(r"[ \t\f]*")
_KEYWORD = re.compile(r"(?:async[ \t]+)?([^\W\d]\w*|@)?")
_FIRST_STATEMENT = re.compile(r"^([ \t]*)(?:(\w+)|[^\s#\\])", re.MULTILINE)
_REMAINDER = re.compile(r"[ \t]*[)\]}:,'\"][)\]}:,'\" \t]*(?:\n|\Z)")
_CLAUSE_CONTEXTS = {  # what must stand before a clause so that it parses alone
    "elif": "if 1: pass\n",
    "else": "if 1: pass\n",
    "except": "try: pass\n",
    "finally": "try: pass\n",
    "case": "match 1:\n ",
}
_LINE_STARTS = "([-+*'\"@"  # what could continue the line at the cursor, but also be a statement of its own
_CLAUSES = {  # the shortest clause that holds a name
    "except": ("except ", ": pass"),
    "finally": ("finally: ", ""),
    "try": ("try: ", ""),
    "@": ("@", ""),
}
_ENDINGS = (
    "",
    ": pass",
    " in x: pass",
    " else x",
    "=x",
    ": x",
    " in x",
    " import x",
    ": x: pass",
    "():pass",
    ":\n{indent} case _: pass",
    " case _: pass",
)


@dataclass(frozen=True, slots=True)
class RepairedBuffer:
    """A whole file.

    Attributes:
        text: the file, with line feeds only.
        offset: where the name that is asked for starts, in code points.
        end: where the text after the hole starts.
    """

    text: str
    offset: int
    end: int


@dataclass(frozen=True, slots=True)
class Statement:
    """The first line of a statement or clause: where its code starts, its indentation, its first word."""

    start: int
    indent: str
    keyword: str
    opens_block: bool = False


@dataclass(frozen=True, slots=True)
class _Completed:
    """A statement that parses; ``cursor`` is where in it the name starts."""

    text: str
    cursor: int


def repair(before: str, after: str) -> RepairedBuffer:
    """A file that parses, provided that the code around the statement at the cursor does.

    Args:
        before: the file up to the cursor.
        after: what follows the hole. The rest of a broken line stays when the line parses with it, and is dropped when
            it only closes brackets.
    """
    before, after = _clean(before), _clean(after)
    remainder = _REMAINDER.match(after) if _mid_line(before) else None
    after = after[remainder.end() :] if remainder else after
    before = _leave_comment(before)
    *above, current = statements(before)
    blocks = open_blocks(above)
    if current.start == len(before):
        before, current = _indented(before, current, blocks, above, _first_indent(after))
    inserted = _handlers(blocks, current.indent, current.keyword)
    enclosing = [block for block in blocks if len(block.indent) < len(current.indent)]
    decorated = bool(above) and above[-1].keyword == "@" and current.keyword not in ("def", "class", "@")
    parent = "@" if decorated else enclosing[-1].keyword if enclosing else ""
    text, rest = before[current.start :], after.partition("\n")[0] if _mid_line(before) else ""
    if _continues_line(rest) and _parses(text + DUMMY + rest):
        completed, after = _Completed(text + DUMMY + rest, len(text)), after[len(rest) + 1 :]
    else:
        completed = next(_candidates(text, current, parent))
    line_start = current.start - len(current.indent)
    head = before[:line_start] + inserted + current.indent
    tail = "\n" + _tail(current, decorated, enclosing, after)
    end = len(head) + len(completed.text) + len(tail)
    return RepairedBuffer(head + completed.text + tail + after, len(head) + completed.cursor, end)


@lru_cache(maxsize=4)  # every part of a question asks about its text
def statements(text: str) -> tuple[Statement, ...]:
    """The block headers around the end of ``text``, then every statement from the last one on, last the unfinished one.

    When a new statement would start at the end, the last element is empty and starts there.
    """
    line_start = text.rfind("\n") + 1
    while True:
        header = _HEADER.match(text, line_start)
        if header and header[2] and header.end() < len(text):
            around = _around(text[:line_start], header[1])
            if around is not None:
                return (*around, *_scan(text, line_start))
        if line_start == 0:
            return tuple(_scan(text, 0))
        line_start = text.rfind("\n", 0, line_start - 1) + 1


@lru_cache(maxsize=16)  # while a function is written, what is above it stays
def _around(above: str, indent: str) -> tuple[Statement, ...] | None:
    """The headers whose blocks hold a line with this indentation behind ``above``; None if that line is no code."""
    if not _is_code(above, len(above)):
        return None
    found: list[Statement] = []
    for match in reversed(list(_HEADER.finditer(above))):
        if len(match[1]) < len(indent) and _is_code(above, match.start()):
            indent = match[1]
            found.append(Statement(match.end(1), indent, match[2] or match[3], opens_block=True))
        if not indent:
            break
    return tuple(reversed(found))


def _is_code(text: str, line_start: int) -> bool:
    """The line is not inside a triple-quoted string, as far as counting quotes can tell."""
    return text.count('"""', 0, line_start) % 2 == 0 and text.count("'''", 0, line_start) % 2 == 0


def _scan(text: str, start: int) -> Iterator[Statement]:
    """Statements of ``text`` from ``start``, which is the start of a line outside strings and brackets."""
    depth, code_end = 0, 0
    current = _statement_at(text, start)
    for match in _TOKEN.finditer(text, start):
        lexeme = match[0]
        if lexeme in ")]}":
            depth = max(0, depth - 1)
        elif lexeme in "([{":
            depth += 1
        elif lexeme[0] == "#" and depth == 0:
            code_end = match.start()
        elif lexeme == "\n" and depth == 0:
            if current is not None:
                code = text[current.start : code_end if code_end > current.start else match.start()]
                yield Statement(current.start, current.indent, current.keyword, code.rstrip().endswith(":"))
            current = _statement_at(text, match.end())
    if current is not None:
        yield current
    else:
        line = text[text.rfind("\n") + 1 :]
        yield Statement(len(text), line[: len(line) - len(line.lstrip())], "")


def _statement_at(text: str, line_start: int) -> Statement | None:
    """The statement on a line, or None when it is blank or a comment."""
    indent = _INDENT.match(text, line_start)
    assert indent is not None
    if indent.end() == len(text) or text[indent.end()] in "\n#":
        return None
    word = _KEYWORD.match(text, indent.end())
    assert word is not None
    unfinished = word.end() == len(text) and word[0] != "@"
    return Statement(indent.end(), indent[0], "" if unfinished else word[1] or "")


def _clean(text: str) -> str:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", " ").replace("\ufeff", "")


def _mid_line(before: str) -> bool:
    return bool(before.rpartition("\n")[2].strip())


def _continues_line(rest: str) -> bool:
    """The rest of a line may belong to the statement at the cursor: it is no name and no statement of its own."""
    return bool(rest.strip()) and not rest[0].isidentifier() and rest.lstrip()[0] not in _LINE_STARTS


def _leave_comment(before: str) -> str:
    """A comment or a line continuation ends with its line, so the name goes to the next one."""
    line_start = before.rfind("\n") + 1
    if "#" not in before[line_start:] and not before.endswith("\\"):
        return before
    current = statements(before)[-1]
    scanner = Scanner(before[min(current.start, line_start) :])
    if scanner.in_comment:
        return before + "\n" + current.indent
    return before + "\n" if before.endswith("\\") and scanner.string is None else before


def open_blocks(above: list[Statement]) -> list[Statement]:
    """Headers of the blocks that are open after the last statement, outermost first."""
    blocks: list[Statement] = []
    for statement in above:
        while blocks and len(blocks[-1].indent) >= len(statement.indent):
            blocks.pop()
        if statement.opens_block:
            blocks.append(statement)
    return blocks


def _indented(
    before: str, current: Statement, blocks: list[Statement], above: list[Statement], following: str
) -> tuple[str, Statement]:
    """Indent an empty last line so that a statement can stand there; without any, the last block goes on."""
    levels = [block.indent for block in blocks]
    if above and above[-1].keyword == "@":
        levels = [above[-1].indent]
    elif above and above[-1].opens_block:
        levels = [above[-1].indent + ("\t" if above[-1].indent.endswith("\t") else "    ")]
        if len(current.indent) > len(above[-1].indent):
            levels = [current.indent]
    elif above:
        levels.append(above[-1].indent)
    wanted = max(len(current.indent), len(following)) if current.indent else len(before)
    indent = next((level for level in levels if len(level) >= wanted), levels[-1] if levels else "")
    before = before[: len(before) - len(current.indent)] + indent
    return before, Statement(len(before), indent, "")


def _first_indent(after: str) -> str:
    following = _FIRST_STATEMENT.search(after)
    return following[1] if following else ""


def _handlers(blocks: list[Statement], indent: str, keyword: str) -> str:
    """Handlers for every open ``try:`` that ends at a statement with this indentation and first word."""
    lines = [
        f"{block.indent}except Exception: pass\n"
        for block in reversed(blocks)
        if block.keyword == "try"
        and len(block.indent) >= len(indent)
        and not (block.indent == indent and keyword in ("except", "finally"))
    ]
    return "".join(lines)


def _tail(current: Statement, decorated: bool, enclosing: list[Statement], after: str) -> str:
    """What must stand between the completed statement and the rest of the file."""
    following = _FIRST_STATEMENT.search(after)
    indent, keyword = (following[1], following[2] or "") if following else ("", "")
    if current.keyword == "@" or decorated:
        return f"{current.indent}def {DUMMY}(): pass\n" + _handlers(enclosing, indent, keyword)
    if len(indent) > len(current.indent):
        return f"{current.indent}if True:\n"
    here = [Statement(0, current.indent, "try")] if current.keyword == "try" else []
    return _handlers([*enclosing, *here], indent, keyword)


def _candidates(text: str, current: Statement, parent: str) -> Iterator[_Completed]:
    """The statement with a name at its end and whatever it lacks, then the bare question, which always parses."""
    if parent == "@" or (parent == "match" and current.keyword != "case"):
        yield _question(text, current, parent)
    context = _CLAUSE_CONTEXTS.get(current.keyword, "")
    following = {"try": "\nfinally: pass", "@": "\ndef f(): pass"}.get(current.keyword, "")
    closers = Scanner(text + DUMMY).closers
    for filler in (DUMMY, "", " " + DUMMY):
        for ending in _ENDINGS:
            candidate = text + filler + closers + ending
            if _parses(context + candidate.replace("{indent}", "") + following):
                cursor = len(text) + len(filler) - len(DUMMY) if filler else len(text)
                yield _Completed(candidate.replace("{indent}", current.indent), cursor)
    yield _question(text, current, parent)


def _question(text: str, current: Statement, parent: str) -> _Completed:
    """Only what is asked: the receiver and the name, in a clause where the block needs one."""
    receiver = receiver_of(text)
    prefix, suffix = f"{receiver}." if receiver and _parses(receiver) else "", ""
    if parent == "@":
        prefix = "@"
    elif parent == "match":
        prefix, suffix = "case _ if " + prefix, ": pass"
    elif current.keyword in ("def", "class"):  # decorators may stand above
        prefix, suffix = "@" + prefix, f"\n{current.indent}def {DUMMY}(): pass"
    elif current.keyword in _CLAUSES:
        clause, suffix = _CLAUSES[current.keyword]
        prefix = clause + prefix
    return _Completed(prefix + DUMMY + suffix, len(prefix))


def _parses(code: str) -> bool:
    try:
        parsing.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
