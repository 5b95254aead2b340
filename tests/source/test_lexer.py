"""The scanner against hand-made cases and against Python's own tokenizer on real source."""

from __future__ import annotations

import argparse
import inspect
import io
import json.decoder
import textwrap
import tokenize
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.source.lexer import Scanner
from generation.types import NameKind

ATTRIBUTE, IMPORT, NAME = NameKind.ATTRIBUTE, NameKind.IMPORT, NameKind.NAME


@pytest.mark.parametrize(
    ("text", "closers"),
    [
        ("f(a, [b, {c", "}])"),
        ("x = 'abc", "'"),
        ("x = '''abc", "'''"),
        ("x = '''abc'", "''"),
        ('x = "', '"'),
        ('x = ""', ""),
        ('x = f"{a', '}"'),
        ('x = f"{a:{w', '}}"'),
        ('x = f"{{a', '"'),
        ('f(f"{g(', ')}")'),
        ("x = r'\\'", "'"),
        ("# it's (", ""),
        ("x = 'it\n", ""),
        ("(a)", ""),
    ],
)
def test_closers(text: str, closers: str) -> None:
    assert Scanner(text).closers == closers


@pytest.mark.parametrize(
    ("text", "kind", "may_bind"),
    [
        ("", NAME, True),
        ("x = ", NAME, False),
        ("return ", NAME, False),
        ("self.", ATTRIBUTE, True),
        ("self.a.", ATTRIBUTE, True),
        ("x = self.", ATTRIBUTE, False),
        ("f(self.", ATTRIBUTE, False),
        ("f().", ATTRIBUTE, False),
        ("'a'.", ATTRIBUTE, False),
        ("f(", NAME, True),
        ("[x for ", None, None),
        ("[x for x in ", NAME, True),
        ("for ", None, None),
        ("for a, ", None, None),
        ("for a in ", NAME, False),
        ("a, ", NAME, True),
        ("return a, ", NAME, False),
        ("lambda ", None, None),
        ("lambda a, ", None, None),
        ("lambda a: ", NAME, False),
        ("lambda a=", NAME, False),
        ("def ", None, None),
        ("def f(", None, None),
        ("def f(a, *", None, None),
        ("def f(a: ", NAME, True),
        ("def f(a=g(", NAME, True),
        ("import ", IMPORT, False),
        ("import a.", IMPORT, False),
        ("import a as ", None, None),
        ("from ", IMPORT, False),
        ("from .", IMPORT, False),
        ("from a ", None, None),
        ("from a import ", IMPORT, False),
        ("from a import (b as c, ", IMPORT, False),
        ("yield from ", NAME, False),
        ("global ", None, None),
        ("with a as ", None, None),
        ("except ", NAME, False),
        ("if a: ", NAME, True),
        ("a ", None, None),
        ("a and ", NAME, False),
        ("a = 1.", None, None),
        ("x = ...", None, None),
        ("'text ", None, None),
        ("# note ", None, None),
        ("f'{", NAME, True),
        ("f'{a.", ATTRIBUTE, False),
        ("f'{{", None, None),
        ("f'{a:", None, None),
        ("f'{a!", None, None),
        ("a != ", NAME, False),
        ("x = a\\\n.", ATTRIBUTE, False),
        ("@", NAME, False),
        ("x: ", NAME, False),
    ],
)
def test_expected_name(text: str, kind: NameKind | None, may_bind: bool | None) -> None:
    expected = Scanner(text).expected_name()
    assert (expected and expected.kind) == kind
    assert (expected and expected.may_bind) == may_bind


# From Python 3.12 on the tokenizer looks into such strings.
_FIELDS_BEGIN, _FIELDS_END = (getattr(tokenize, name, None) for name in ("FSTRING_START", "FSTRING_END"))


@pytest.mark.parametrize("module", [json.decoder, argparse, textwrap])
def test_agrees_with_the_tokenizer_of_python(module: ModuleType) -> None:
    source = inspect.getsource(module)
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    scanner, read, depth = Scanner(), 0, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        begin = starts[token.start[0] - 1] + token.start[1]
        scanner.feed(source[read:begin])
        read = max(read, begin)
        if token.type == tokenize.NAME:
            assert scanner.in_code
            assert scanner.depth == depth
        depth += (token.type == _FIELDS_BEGIN) - (token.type == _FIELDS_END)
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        end = starts[token.end[0] - 1] + token.end[1]
        if token.type == tokenize.STRING and not token.string.lower().startswith(("f", "rf", "fr")):
            middle = end - 1 if token.string[-3:] not in ('"""', "'''") else end - 3
            assert not scanner.copy().feed(source[read:middle]).in_code
    assert Scanner(source).closers == ""


@given(st.text(alphabet="ab.'\"{}()[]:=\\\n f#,", max_size=40), st.integers(0, 40))
def test_reading_in_pieces_changes_nothing(text: str, cut: int) -> None:
    whole, pieces = Scanner(text), Scanner(text[:cut]).copy().feed(text[cut:])
    assert (whole.frames, whole.previous, whole.word) == (pieces.frames, pieces.previous, pieces.word)
    assert whole.expected_name() == pieces.expected_name()


def test_a_copy_is_independent() -> None:
    scanner = Scanner("f(")
    scanner.copy().feed("'a")
    assert scanner.closers == ")"


def test_indentation_of_the_current_line() -> None:
    scanner = Scanner("if a:\n    b = (\n  1)\n\t")
    assert (scanner.line_indent, scanner.line_is_blank) == ("\t", True)
    assert not scanner.feed("x").line_is_blank


@pytest.mark.parametrize(
    ("text", "mismatched"),
    [
        ("f(a[1])", False),
        ("f(a[1))", True),
        ("a]", True),
        ("f'{a}'", False),
        ("'a]'", False),
        ("# a]", False),
        ("f'{a]}'", True),
    ],
)
def test_brackets_that_do_not_match(text: str, mismatched: bool) -> None:
    assert Scanner(text).mismatched is mismatched
