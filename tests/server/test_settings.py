"""Settings: defaults, spelling, and what is said of a bad value."""

from __future__ import annotations

import os
from dataclasses import fields, replace

import pytest

from generation.config import PRESETS
from lsp_server.repositories import configuration
from lsp_server.settings import Settings, camel, read_settings


def test_nothing_sent_means_the_defaults() -> None:
    assert read_settings(None, {}, {"memberwise": None}) == (Settings(), ())


def test_later_sources_win_and_null_is_no_value() -> None:
    found, problems = read_settings({"lineTokens": 5, "model": "m"}, {"memberwise": {"lineTokens": 7, "model": None}})
    assert (found.line_tokens, found.model, problems) == (7, "m", ())


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"lineTokens": "many"}, "memberwise.lineTokens: 'many' is not a whole number; 48 is used"),
        ({"lineTokens": True}, "memberwise.lineTokens: True is not a whole number; 48 is used"),
        ({"lineTokens": 0}, "memberwise.lineTokens: 0 is not from 1 to 1024; 48 is used"),
        ({"threads": 10**6}, f"memberwise.threads: 1000000 is not from 1 to {os.cpu_count()}; None is used"),
        ({"trigger": "always"}, "memberwise.trigger: 'always' is none of auto, off, dot, mark; 'auto' is used"),
        ({"trusted": 1}, "memberwise.trusted: 1 is not true or false; True is used"),
        ({"temperature": float("nan")}, "memberwise.temperature: nan is not from 0 to 5; 0.0 is used"),
        ("fast", "settings must be an object, not 'fast'"),
    ],
)
def test_a_bad_value_is_one_problem_and_the_default(section: object, problem: str) -> None:
    assert read_settings(section) == (Settings(), (problem,))


def test_an_empty_table_of_lua_is_no_settings() -> None:
    assert read_settings([]) == (Settings(), ())


def test_a_bad_value_spoils_no_other() -> None:
    found, problems = read_settings({"lineTokens": -1, "blockTokens": 9, "unknown": 1})
    assert (found.block_tokens, len(problems)) == (9, 1)


def test_whole_numbers_are_numbers() -> None:
    assert read_settings({"temperature": 1})[0].temperature == 1


def test_every_field_has_a_default_and_a_line_of_its_own() -> None:
    for field in fields(Settings):
        assert f"        {field.name}: " in (Settings.__doc__ or "")
    assert camel("line_tokens") == "lineTokens"


def test_a_longer_context_is_filled_by_prompts() -> None:
    settings, problems = read_settings({"contextTokens": 32_768, "trigger": "dot"})
    config = configuration(settings)
    assert (config.context_tokens, config.decoding.prompt_tokens, problems) == (32_768, 32_768, ())
    usual = configuration(replace(settings, context_tokens=None))
    assert (usual.context_tokens, usual.decoding.prompt_tokens) == (None, PRESETS["dot"].prompt_tokens)
    assert read_settings({"contextTokens": 7})[1] == (
        "memberwise.contextTokens: 7 is not from 1024 to 1048576; None is used",
    )
