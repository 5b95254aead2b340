"""An incremental scanner of Python source: what is open, and what kind of name may come next.

``Scanner`` reads text piece by piece (a model writes it that way) and is cheap to copy. It answers the four questions
that everything else asks of unfinished code: which brackets and strings are open, where the line is indented, whether
the position is code at all, and which kind of name could start here. It builds no tree, checks no grammar and never
fails: nonsense in, best effort out. Replacement fields of f-strings are code, as in the language.

Start reading at ``Scanner.feed`` and ``Scanner.expected_name``.
"""

from __future__ import annotations

import keyword
from copy import copy
from dataclasses import dataclass

from generation.types import NameKind

_OPENERS = {"(": ")", "[": "]", "{": "}"}
_CLOSERS = frozenset(")]}")
_EXPRESSION_KEYWORDS = frozenset({"None", "True", "False"})  # keywords an expression can end with
_BINDING_KEYWORDS = frozenset({"def", "class", "import", "as", "global", "nonlocal", "lambda", "for"})
_NAMELESS_STATEMENTS = frozenset({"global", "nonlocal"})
STRING_PREFIXES = frozenset({"r", "u", "b", "f", "br", "rb", "fr", "rf"})


@dataclass(frozen=True, slots=True)
class ExpectedName:
    """The kind of name that may start at a position.

    Attributes:
        kind: attribute, name, or what an import statement names.
        may_bind: the name may also be a new one here: an assignment target, a keyword argument, the variable of a
            comprehension that follows.
        bracket: the innermost open bracket, or "" outside of all.
    """

    kind: NameKind
    may_bind: bool
    bracket: str


@dataclass(frozen=True, slots=True)
class OpenString:
    """A string literal that has not ended yet."""

    quote: str  # the one or three characters that end it
    formatted: bool  # an f-string: `{` opens code


@dataclass(frozen=True, slots=True)
class OpenField:
    """A replacement field of an f-string; after its top-level colon comes the format, which is text again."""

    in_format: bool = False


@dataclass(frozen=True, slots=True)
class OpenBracket:
    """An open bracket of code, and where names in it are bound rather than used."""

    opener: str
    parameters: bool = False  # the parameter list of a def


Frame = OpenString | OpenField | OpenBracket


class Scanner:
    """State after the text fed so far.

    Attributes:
        frames: what is open, outermost first.
        previous: the last complete token that is neither space nor comment; "" at the start of a statement.
        word: the identifier, keyword or number that is being read, or "".
        in_comment: inside a comment.
        line_indent: whitespace at the start of the current physical line.
        line_is_blank: nothing but whitespace stands on the current line so far.
        statement: the keyword that starts the current statement, or "".
        mismatched: a bracket was closed that was not the innermost open one.
    """

    __slots__ = (
        "_after_backslash",
        "_before_previous",
        "_chain_starts_statement",
        "_field_just_opened",
        "_for_depths",
        "_lambda_depths",
        "_pending_quotes",
        "frames",
        "in_comment",
        "line_indent",
        "line_is_blank",
        "mismatched",
        "previous",
        "statement",
        "word",
    )

    def __init__(self, text: str = "") -> None:
        self.frames: list[Frame] = []
        self.previous = ""
        self.word = ""
        self.in_comment = False
        self.line_indent = ""
        self.line_is_blank = True
        self.statement = ""
        self.mismatched = False
        self._before_previous = ""
        self._after_backslash = False
        self._pending_quotes = ""  # quotes read so far that may open, close or triple a string
        self._lambda_depths: list[int] = []
        self._for_depths: list[int] = []
        self._chain_starts_statement = False  # the dotted chain being read starts its statement, so it may be a target
        self._field_just_opened = False
        self.feed(text)

    def copy(self) -> Scanner:
        """An independent scanner in the same state."""
        other = copy(self)
        other.frames = self.frames.copy()
        other._lambda_depths = self._lambda_depths.copy()
        other._for_depths = self._for_depths.copy()
        return other

    def feed(self, text: str) -> Scanner:
        """Read more text; returns self."""
        for char in text:
            self._read(char)
        return self

    # ------------------------------------------------------------------------------------------ questions

    @property
    def string(self) -> OpenString | None:
        """The string literal the position is inside of (its text, not a field of it), or None."""
        frame = self.frames[-1] if self.frames else None
        if isinstance(frame, OpenField) and frame.in_format:
            return next(f for f in reversed(self.frames) if isinstance(f, OpenString))
        return frame if isinstance(frame, OpenString) else None

    @property
    def in_code(self) -> bool:
        """Neither in a comment nor in the text of a string."""
        return not self.in_comment and (self.string is None) and not self._opens_string

    @property
    def depth(self) -> int:
        """How many brackets, strings and fields are open."""
        return len(self.frames) + self._opens_string

    @property
    def closers(self) -> str:
        """The text that closes everything open, innermost first."""
        if self._opens_string:
            return self._pending_quotes + "".join(map(_closer, reversed(self.frames)))
        text = "".join(map(_closer, reversed(self.frames)))
        return text[len(self._pending_quotes) :] if self.string is not None else text

    @property
    def at_statement_start(self) -> bool:
        """A new statement would start here."""
        return self.in_code and not self.frames and not self.word and not self._pending_quotes and not self.previous

    @property
    def in_lambda_parameters(self) -> bool:
        """Between ``lambda`` and its colon, outside of brackets there."""
        return bool(self._lambda_depths) and self._lambda_depths[-1] == len(self.frames)

    def expected_name(self) -> ExpectedName | None:
        """The kind of name that may start exactly here; None in text, in a name, or where only keywords fit."""
        if not self.in_code or self.word or self._after_backslash or self._pending_quotes:
            return None
        bracket = self._bracket
        if self.statement in ("from", "import"):
            imports = self.previous in ("from", "import", ",", "(") or self.previous.startswith(".")
            return ExpectedName(NameKind.IMPORT, may_bind=False, bracket=bracket) if imports else None
        if self.previous == ".":
            chained = _ends_expression(self._before_previous)
            may_bind = self._chain_starts_statement and not bracket
            return ExpectedName(NameKind.ATTRIBUTE, may_bind, bracket) if chained else None
        if self.statement in _NAMELESS_STATEMENTS or self._binds_here() or _ends_expression(self.previous):
            return None
        if self.previous == "!":  # the conversion of a replacement field: `{x!r}`
            return None
        target = not self.statement and self.previous in ("", ",")  # of an assignment, alone or in a tuple
        return ExpectedName(NameKind.NAME, bool(bracket) or target or self.statement == "case", bracket)

    def _binds_here(self) -> bool:
        """The name that starts here is certainly a new one."""
        if self.previous in _BINDING_KEYWORDS:
            return True
        depth = len(self.frames)
        if self._for_depths and self._for_depths[-1] <= depth:
            return True
        after_separator = self.previous in (",", "*", "**", "(")
        frame = self.frames[-1] if self.frames else None
        if isinstance(frame, OpenBracket) and frame.parameters:
            return after_separator
        return self.in_lambda_parameters and after_separator

    @property
    def _bracket(self) -> str:
        frame = self.frames[-1] if self.frames else None
        if isinstance(frame, OpenBracket):
            return frame.opener
        return "{" if isinstance(frame, OpenField) else ""

    @property
    def _opens_string(self) -> bool:
        """Quotes were read that may already have opened a string whose kind the next character decides."""
        return bool(self._pending_quotes) and self.string is None and len(self._pending_quotes) != 2

    # ------------------------------------------------------------------------------------------ reading

    def _read(self, char: str) -> None:
        if self._pending_quotes and not self._settle_quotes(char):
            return
        if self.string is not None:
            self._read_in_string(char)
        elif self.in_comment:
            if char == "\n":
                self.in_comment = False
                self._end_line()
        else:
            self._read_code(char)

    def _settle_quotes(self, char: str) -> bool:
        """Decide what pending quotes mean, now that ``char`` follows. Returns whether ``char`` is still unread."""
        quotes = self._pending_quotes
        if char == quotes[0] and len(quotes) < 3:
            self._pending_quotes = quotes + char
            if len(self._pending_quotes) == 3:
                self._open_or_close_triple()
            return False
        self._pending_quotes = ""
        if self.string is None:
            if len(quotes) == 1:
                self._open_string(quotes)
            else:  # an empty literal
                self._take_prefix()
                self._finish('""')
        return True  # inside a triple-quoted string one or two quotes are text

    def _open_or_close_triple(self) -> None:
        quotes, self._pending_quotes = self._pending_quotes, ""
        if self.string is None:
            self._open_string(quotes)
        else:
            self._close_string()

    def _open_string(self, quote: str) -> None:
        prefix = self._take_prefix()
        self.frames.append(OpenString(quote, "f" in prefix))

    def _take_prefix(self) -> str:
        prefix = self.word.lower() if self.word.lower() in STRING_PREFIXES else ""
        if not prefix:
            self._end_word()
        self.word = ""
        return prefix

    def _close_string(self) -> None:
        while not isinstance(self.frames.pop(), OpenString):
            pass
        self._finish('""')

    def _read_in_string(self, char: str) -> None:
        string = self.string
        assert string is not None
        if char == "\n":
            self.line_indent, self.line_is_blank = "", False
        if self._after_backslash:
            self._after_backslash = char == "\r"
        elif char == "\\":
            self._after_backslash = True
        elif char == string.quote[0]:
            if len(string.quote) == 3:
                self._pending_quotes = char
            else:
                self._close_string()
        elif char == "\n" and len(string.quote) == 1:
            self._close_string()  # unterminated: an error of the text; the next line is code again
            self._end_line()
        elif string.formatted and char in "{}":
            self._read_brace(char)

    def _read_brace(self, char: str) -> None:
        """A brace in the text of an f-string."""
        if char == "{":
            self.frames.append(OpenField())
            self._finish("{")
            self._field_just_opened = True
        elif isinstance(self.frames[-1], OpenField):
            self.frames.pop()

    def _read_code(self, char: str) -> None:
        if self._field_just_opened:
            self._field_just_opened = False
            if char == "{":  # an escaped brace, so text after all
                self.frames.pop()
                return
        if self._after_backslash:
            self._after_backslash = char == "\r"
            if char == "\n":
                self.line_indent, self.line_is_blank = "", True
                return
        if char == "_" or char.isalnum() or (self.word and (self.word + char).isidentifier()):
            self.line_is_blank = False
            self.word += char
        elif char in "'\"":
            self._read_quote(char)
        else:
            if char == "." and self.word[:1].isdigit():
                return  # the point of a number
            self._end_word()
            self._read_separator(char)

    def _read_quote(self, char: str) -> None:
        self.line_is_blank = False
        strings = [frame for frame in self.frames if isinstance(frame, OpenString)]
        if strings and strings[-1].quote == char:  # before Python 3.12 a field cannot hold its own string's quote
            self._close_string()
        else:
            self._pending_quotes = char

    def _read_separator(self, char: str) -> None:
        if char == "\n":
            self._end_line()
        elif char.isspace():
            if self.line_is_blank:
                self.line_indent += char
        elif char == "#":
            self.in_comment = True
        elif char == "\\":
            self._after_backslash = True
        else:
            self.line_is_blank = False
            self._read_operator(char)

    def _read_operator(self, char: str) -> None:
        if char in _OPENERS:
            self.frames.append(OpenBracket(char, self.statement in ("def", "async def") and not self.frames))
        elif char in _CLOSERS:
            self._close(char)
        if (char == ":" and self._read_colon()) or (char == ";" and not self.frames):
            self._start_statement()
        else:
            self._finish(char)

    def _close(self, char: str) -> None:
        for index in range(len(self.frames) - 1, -1, -1):
            frame = self.frames[index]
            if isinstance(frame, OpenString):
                break
            if _closer(frame) == char:
                self.mismatched |= index < len(self.frames) - 1
                del self.frames[index:]
                self._drop_inner_depths()
                return
        self.mismatched = True

    def _drop_inner_depths(self) -> None:
        depth = len(self.frames)
        self._for_depths = [d for d in self._for_depths if d <= depth]
        self._lambda_depths = [d for d in self._lambda_depths if d <= depth]

    def _read_colon(self) -> bool:
        """Whether this colon ends the header of a statement, so that another statement may follow on its line."""
        depth = len(self.frames)
        if self._lambda_depths and self._lambda_depths[-1] == depth:
            self._lambda_depths.pop()
            return False
        if self.frames and isinstance(self.frames[-1], OpenField):
            self.frames[-1] = OpenField(in_format=True)
        return not self.frames and bool(self.statement)

    def _finish(self, token: str) -> None:
        """A complete token. Operators of several characters arrive one by one; only dots and stars are joined."""
        if token in (".", "*") and self.previous in (token, 2 * token):
            self.previous += token
            return
        self._chain_starts_statement = self._chain_starts_statement and token == "."
        self._before_previous, self.previous = self.previous, token

    def _end_word(self) -> None:
        word, self.word = self.word, ""
        if not word:
            return
        if not self.frames and self.previous == "":
            self._chain_starts_statement = not keyword.iskeyword(word)
            self.statement = word if keyword.iskeyword(word) or word == "case" else ""
        elif self.statement == "async":
            self.statement = f"async {word}"
        if word == "lambda":
            self._lambda_depths.append(len(self.frames))
        elif word == "for":
            self._for_depths.append(len(self.frames))
        elif word == "in" and self._for_depths and self._for_depths[-1] >= len(self.frames):
            self._for_depths.pop()
        self._before_previous, self.previous = self.previous, word

    def _start_statement(self) -> None:
        self.statement = ""
        self.previous = self._before_previous = ""
        self._for_depths.clear()
        self._lambda_depths.clear()
        self._chain_starts_statement = False

    def _end_line(self) -> None:
        self._end_word()
        self.line_indent, self.line_is_blank = "", True
        if not self.frames:
            self._start_statement()


def _closer(frame: Frame) -> str:
    if isinstance(frame, OpenString):
        return frame.quote
    return "}" if isinstance(frame, OpenField) else _OPENERS[frame.opener]


def _ends_expression(token: str) -> bool:
    if not token:
        return False
    if token[0] == "_" or token[0].isalnum():
        return token in _EXPRESSION_KEYWORDS or not keyword.iskeyword(token)
    return token in (")", "]", "}", '""', "...")
