from __future__ import annotations

import pytest

from generation.evaluation.metrics.bodies import canonical, chains, tokens


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("    return  x # why\n", "return x"),
        ("        '''Says it again.'''\n        a = 'b'\n\n        # note\n        return a\n", "a = 'b'\nreturn a"),
        ("    return await x\n", "return await x"),
        ('    return """a\nb"""\n', "return 'a\\nb'"),
        ("    # nothing\n    return (x\n", "return (x"),
        ("    if x:\n        return 1\n    # open\n    else\n", "if x:\n    return 1\nelse"),
        ("x = 1\n", "x = 1"),
        ("", ""),
        ("    '''only'''\n", ""),
    ],
)
def test_a_body_has_one_spelling(body: str, expected: str) -> None:
    assert canonical(body) == expected


def test_a_body_that_leaves_the_function_does_not_parse() -> None:
    assert canonical("    return 1\ndef g(): pass\n") == "    return 1\ndef g(): pass"
    assert chains("    return a.b\ndef g(): pass\n") == frozenset()


def test_tokens_are_python_s() -> None:
    assert tokens("x = f('a b')  # c\nif x:\n    pass") == ["x", "=", "f", "(", "'a b'", ")", "if", "x", ":", "pass"]
    assert tokens("x = (") == ["x", "=", "("]


def test_chains_are_names_and_dots() -> None:
    body = "    self.app.config = f(key=x.y)[0].z\n    return f'{self.name!r}' + g().h\n"
    assert chains(body) == {"self", "self.app", "self.app.config", "f", "x", "x.y", "self.name", "g"}
