"""Where a block ends, what of it is complete, and each filter on its own."""

from __future__ import annotations

import pytest

from generation.source.body import (
    BlockReader,
    clean,
    close_statement,
    close_tries,
    complete_statements,
    drop_comments_at_end,
    drop_leading_docstring,
    drop_what_stands_below,
    trim_blank_lines,
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("    a = 1\n\ndef g():\n", "    a = 1\n\n"),
        ("    a = 1\n  # note\n", "    a = 1\n"),
        ("    a = (\n1,\n)\n    b = 2\n", None),
        ("    a = '''\nx\n'''\n    b = 2\n", None),
        ("    if a:\n        b\n    c\n", None),
        ("    a = 1\n@d\n", "    a = 1\n"),
    ],
)
def test_a_block_ends_where_code_is_indented_less(text: str, kept: str | None) -> None:
    reader = BlockReader("    ")
    reader.feed(text)
    assert (text[: reader.end] if reader.end is not None else None) == kept


def test_only_text_that_certainly_belongs_to_the_block_is_shown() -> None:
    reader = BlockReader("    ")
    reader.feed("    a = 1\n\n")
    assert reader.shown == len("    a = 1")
    reader.feed("def")
    assert reader.shown == len("    a = 1")


def test_comments_and_strings_are_no_statements() -> None:
    reader = BlockReader("    ")
    reader.feed("    # note\n    'doc'\n")
    assert not reader.has_statement
    reader.feed("    pass")
    assert reader.has_statement


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("    a = 1\n    b = (\n", "    a = 1\n"),
        ("    a = 1\n    if b:\n", "    a = 1\n"),
        ("    a = 1\n    b = sel", "    a = 1\n"),
        ("    try:\n        a\n", ""),
        ("    await a\n    return b\n", "    await a\n    return b\n"),
        ("", ""),
    ],
)
def test_what_is_cut_off_ends_at_a_complete_statement(text: str, kept: str) -> None:
    assert complete_statements(text, "    ") == kept


def test_what_stands_below_is_not_repeated() -> None:
    assert drop_what_stands_below("    a = 1\n    return a\n", "    return a\n\ndef g(): ...\n") == "    a = 1\n"
    assert drop_what_stands_below("    f(\n    )\n", "    )\n") == "    f(\n    )\n"
    inner = "        value = f(a)\n        return value\n"
    assert drop_what_stands_below(inner, "    return value\n") == inner, "the return of an inner block is its own"


def test_a_second_docstring_goes() -> None:
    assert drop_leading_docstring('    """Doc."""\n    return 1\n', "    ") == "    return 1\n"
    assert drop_leading_docstring('    """Only."""\n', "    ") == '    """Only."""\n'
    decorated = "    @wraps(f)\n    def inner(): ...\n"
    assert drop_leading_docstring(f'    """Doc."""\n{decorated}', "    ") == decorated


def test_blank_lines_around_a_block_go() -> None:
    assert trim_blank_lines("\n\n    a  \n\n") == "    a\n"
    assert trim_blank_lines("   \n\t\n") == ""
    assert trim_blank_lines("    a = '\u2028'\n") == "    a = '\u2028'\n", "which ends no line in Python"


def test_comments_behind_the_last_statement_go() -> None:
    text = "    # first\n    a = 1  # why\n"
    assert drop_comments_at_end(f"{text}    # then\n\n    # more\n", "    ") == text
    string = '    return """\n# title\n"""\n'
    assert drop_comments_at_end(f"{string}    # then\n", "    ") == string
    assert drop_comments_at_end("    # only\n", "    ") == "    # only\n"


def test_clean_leaves_good_text_alone() -> None:
    text = "    if a:\n        return 1\n    return 2\n"
    assert clean(text, "    ", "\ndef g(): ...\n") == text


def test_a_header_needs_a_block() -> None:
    reader = BlockReader("    ")
    for piece, needed in [
        ("    if a[b:c]:  # why\n", True),
        ("\n        # only a comment\n", True),
        ("        pass\n", False),
        ("    x = {1:\n", False),
        ("        2}\n    else:\n", True),
    ]:
        reader.feed(piece)
        assert reader.needs_block is needed


@pytest.mark.parametrize(
    ("text", "may_end"),
    [
        ("    x = 1\n", True),
        ("    try:\n        x = 1\n", False),
        ("    try:\n        x = 1\n    except E:\n        pass\n", True),
        (
            "    try:\n        try:\n            x\n        except E:\n            pass\n        else:\n            y\n",
            False,
        ),
        ("    for x in y:\n        try:\n            x\n        finally:\n            y\n", True),
        ("    try:\n        x = 1\n    y = 2\n", True),  # nothing that follows can make it right
        ('    x = """\n    try:\n    """\n', True),
    ],
)
def test_a_try_needs_its_handler(text: str, may_end: bool) -> None:
    reader = BlockReader("    ")
    reader.feed(text)
    assert reader.may_end is may_end


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("    return f(a, g(b, c), d", "    return f(a, g(b, c))\n"),
        ("    x = {\n        'a': [1, 2, 3", "    x = {\n        'a': [1, 2]}\n"),
        ("    return f(a + b\n    # c\n    return f(a + b\n\n\ndef g():\n", "    return f(a + b)\n"),
        ("    return f('a, b", ""),  # a comma in a string
        ("    if f(a, b", ""),  # the header of a block that is not there
    ],
)
def test_a_first_statement_is_closed_behind_its_last_argument_or_line(text: str, closed: str) -> None:
    assert close_statement(text, "    ") == closed


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("    try:\n        a\n        b(", "    try:\n        a\n    finally:\n        pass\n"),
        (
            "    try:\n        a\n        try:\n            b\n",
            "    try:\n        a\n        try:\n            b\n        finally:\n            pass\n    finally:\n        pass\n",
        ),
        ("    try:\n        a\n    b\n", "    try:\n        a\n    finally:\n        pass\n"),
        ("    a\n", ""),
    ],
)
def test_a_try_that_stops_before_its_handler_gets_one_that_does_nothing(text: str, closed: str) -> None:
    assert close_tries(text, "    ") == closed
