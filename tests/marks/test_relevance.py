from __future__ import annotations

from pathlib import Path

from generation.marks.context import PromptContext, look_around
from generation.marks.relevance import rank, wanted
from generation.types import Definition

BEFORE = '''from .models import Request, prepare
import pkg.hooks

def fetch(session: Session, url: str) -> Response:
    """Send a ``Request`` for the url; see `retry_policy` and merge_settings()."""
'''
CONTEXT = PromptContext("pkg/api.py", BEFORE)


def define(qualname: str, module: str = "pkg.other", kind: str = "function") -> Definition:
    name = qualname.rpartition(".")[2]
    return Definition(name, qualname, module, kind, f"def {name}()", Path("x.py"), 0)


def ranked(*definitions: Definition) -> list[str]:
    return [found.qualname for found in rank(definitions, look_around(CONTEXT), CONTEXT)]


def test_types_come_first_among_the_wanted_names() -> None:
    names = wanted(CONTEXT).names
    assert set(names[:2]) == {"Session", "Response"}
    assert {"Request", "prepare", "retry_policy", "merge_settings"} < set(names)
    assert not {"str", "self", "for"} & set(names)


def test_classes_of_the_signature_are_wanted_with_their_members() -> None:
    assert wanted(CONTEXT).classes == ("Response", "Session")


def test_relative_imports_are_resolved() -> None:
    assert wanted(CONTEXT).modules == ("pkg.api", "pkg.hooks", "pkg.models")


def test_relative_imports_of_a_package_are_resolved_from_the_package() -> None:
    context = PromptContext("pkg/__init__.py", "from .a import b\nfrom . import c\nfrom .. import d\n")
    assert wanted(context).modules == ("pkg", "", "pkg", "pkg.a")


def test_a_type_of_the_signature_outranks_an_import_and_prose() -> None:
    assert ranked(define("url"), define("prepare", "pkg.models"), define("Session")) == ["Session", "prepare"]


def test_members_of_an_annotated_parameter_are_likely_and_others_are_not() -> None:
    assert ranked(define("Session.send"), define("Other.send")) == ["Session.send"]


def test_a_name_in_backticks_is_likely() -> None:
    assert ranked(define("retry_policy"), define("unrelated")) == ["retry_policy"]


def test_private_and_special_names_of_other_modules_are_not_offered() -> None:
    assert ranked(define("Session.__init__"), define("_private", "pkg.models")) == []


def test_names_called_nearby_are_likely() -> None:
    before = "def other():\n    return connect_pool(1)\n\ndef target():\n"
    context = PromptContext("pkg/api.py", before)
    pool = define("connect_pool")
    assert rank([pool, define("close")], look_around(context), context) == [pool]


def test_a_definition_given_twice_is_ranked_once() -> None:
    assert ranked(define("Session"), define("Session")) == ["Session"]


def test_order_of_candidates_does_not_matter() -> None:
    candidates = [define(name, f"pkg.m{number}") for number in range(3) for name in ("Session", "Response", "prepare")]
    assert ranked(*candidates) == ranked(*reversed(candidates))
