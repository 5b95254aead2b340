from __future__ import annotations

from pathlib import Path

import pytest

from generation.evaluation.sources import KeptNames
from generation.evaluation.tasks import Task, collect_tasks, open_hole
from generation.evaluation.validity.pylint_client import PylintProcess
from generation.evaluation.validity.verdicts import Check, Verdict, is_empty, judge_all

TINY = Path(__file__).parents[3] / "benchmark_repos" / "tiny"
LEND = {
    "good": "        loan = Loan(self.catalog.find(isbn), reader, today)\n        return loan\n",
    "invented member": "        book = self.fetch(isbn)\n        return Loan(book, reader, today)\n",
    "member of an object": "        return Loan(self.catalog.find(isbn), reader, today).starts\n",
    "wrong name": "        return Loaning(isbn, reader)\n",
    "wrong argument": "        return self.available(isbn, exact=True)\n",
    "too many arguments": "        return self.available(isbn, 1)\n",
    "syntax": "        return self.available(isbn\n",
    "pragma": "        # pylint: disable=all\n        return self.nothing_here  # pylint: disable=no-member\n",
    "sets what it invents": "        catalog = Catalog()\n        catalog.invented = 1\n        return catalog.invented\n",
    "uses what another body set": "        return Catalog().invented\n",
    "pass": "        pass\n",
}


def task(qualname: str) -> Task:
    return next(task for task in collect_tasks(TINY, "tiny") if task.qualname == qualname)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """Every body of ``LEND`` in its place, and the true one."""
    lend = task("Desk.lend")
    text = (TINY / lend.path).read_text()
    opened = open_hole(lend, text, KeptNames(TINY))
    start = opened.before.rindex("    def lend")
    checks = [
        Check(
            lend.id, name, lend.path, opened.before + body + opened.after,
            (start, len(opened.before + body)), body, opened.text,
        )
        for name, body in LEND.items()
    ]  # fmt: skip
    checks.append(
        Check(lend.id, "true", lend.path, text, (lend.start, lend.end), text[lend.start : lend.end], opened.text)
    )
    cache = tmp_path_factory.mktemp("pylint")
    found = judge_all({TINY: checks}, cache)
    assert len(list(cache.iterdir())) == len(checks)
    assert judge_all({TINY: checks}, cache) == found
    return {check.config: verdict for check, verdict in found.items()}


@pytest.mark.parametrize(
    ("name", "symbols"),
    [
        ("good", set()),
        ("true", set()),
        ("invented member", {"no-member"}),
        ("member of an object", {"no-member"}),
        ("wrong name", {"undefined-variable"}),
        ("wrong argument", {"unexpected-keyword-arg"}),
        ("too many arguments", {"too-many-function-args"}),
        ("syntax", {"syntax-error"}),
        ("pragma", {"no-member"}),
        ("uses what another body set", {"no-member"}),
        ("pass", set()),
    ],
)
def test_what_is_found(verdicts: dict[str, Verdict], name: str, symbols: set[str]) -> None:
    assert verdicts[name].error is None
    assert verdicts[name].symbols == symbols


def test_what_counts_as_valid(verdicts: dict[str, Verdict]) -> None:
    valid = {name for name, verdict in verdicts.items() if verdict.valid}
    assert valid == {"good", "true", "wrong argument", "too many arguments", "sets what it invents"}
    assert not verdicts["wrong argument"].strictly_valid
    assert verdicts["good"].strictly_valid
    assert verdicts["invented member"].has_unknown_name
    assert not verdicts["syntax"].has_unknown_name
    assert verdicts["pass"].empty


def test_messages_outside_the_function_do_not_count(tmp_path: Path) -> None:
    source = "def f():\n    a = 1\n    return a\n\nprint(nothing_here)\n"
    (tmp_path / "mod.py").write_text(source)
    check = Check("t", "c", "mod.py", source, (0, source.index("\nprint")), "    a = 1\n    return a\n", source)
    assert judge_all({tmp_path: [check]}, tmp_path / "cache")[check].valid


def test_a_check_that_takes_too_long_says_so() -> None:
    with PylintProcess(TINY) as pylint:
        pylint.warm("shelf/desk.py", "import shelf\n")
        assert pylint.check("shelf/desk.py", "import shelf.desk\n", timeout_s=0.001)["error"] == "timeout"
        assert pylint.check("shelf/desk.py", "nothing_here\n")["found"][0]["symbol"] == "undefined-variable"


@pytest.mark.parametrize(
    ("body", "empty"),
    [
        ("    pass\n", True),
        ("    ...\n", True),
        ("    return\n", True),
        ("    return None\n", True),
        ("    '''Only words.'''\n", True),
        ("    # a comment\n", True),
        ("", True),
        ("    import re\n    x: int\n    self\n", True),
        ("    raise NotImplementedError\n", True),
        ("    return 1\n", False),
        ("    raise ValueError\n", False),
        ("    await f()\n", False),
        ("    pass\n    f()\n", False),
        ("    def g():\n        return 1\n    return g\n", False),
        ("    return (\n", False),
    ],
)
def test_empty_bodies(body: str, empty: bool) -> None:
    assert is_empty(body) is empty
