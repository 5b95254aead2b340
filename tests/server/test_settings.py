"""Settings: defaults, spelling, what is said of a bad value, and what a change of them means to a server that runs."""

from __future__ import annotations

import inspect
import os
from dataclasses import fields, replace
from pathlib import Path

import pytest

from generation.config import PRESETS
from lsp_server.repositories import configuration
from lsp_server.settings import Settings, camel, read_settings
from tests.server.client import Client

STATUS, REFRESH = "memberwise/didChangeStatus", "workspace/codeLens/refresh"


def test_nothing_sent_means_the_defaults() -> None:
    assert read_settings(None, {}, {"memberwise": None}) == (Settings(), ())


def test_later_sources_win_and_null_is_the_default() -> None:
    found, problems = read_settings(
        {"lineTokens": 5, "threads": 1, "model": "m"}, {"memberwise": {"lineTokens": 7, "threads": None}}
    )
    assert (found.line_tokens, found.threads, found.model, problems) == (7, None, "m", ())


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
    lines = inspect.cleandoc(Settings.__doc__ or "").splitlines()
    for field in fields(Settings):
        assert any(line.startswith(f"    {field.name}: ") for line in lines)
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


def change(client: Client, settings: dict[str, object]) -> None:
    """Say that the settings are others now; the server asks for them."""
    client.configuration = settings
    client.notify("workspace/didChangeConfiguration", {"settings": None})


def test_a_null_takes_back_what_the_server_was_started_with(repository: Path) -> None:
    with Client() as client:
        client.initialize(repository, options={"threads": 1})
        change(client, {"threads": None})
        client.until(lambda: times_loaded(client) == 2, 20, "the model, loaded again with the default")


def times_loaded(client: Client) -> int:
    """How often the server has begun to load its model."""
    said = client.notifications(STATUS)
    return sum(status["message"] == "loading the model default" and status["percent"] == 0 for status in said)


def test_lenses_are_asked_for_again_where_settings_bring_or_take_them() -> None:
    with Client() as client:
        client.initialize(ready=False, capabilities=with_lenses(refresh=True))
        change(client, {"codeLens": False})
        client.until(lambda: len(client.notifications(REFRESH)) == 1, 20, "a refresh")
        change(client, {"codeLens": False, "enabled": False})
        client.until(lambda: len(client.notifications(REFRESH)) == 2, 20, "a refresh")


def test_a_client_that_cannot_refresh_its_lenses_is_not_asked_to() -> None:
    with Client() as client:
        client.initialize(ready=False, capabilities=with_lenses(refresh=False))
        change(client, {"enabled": False})
        client.until(
            lambda: any(status["kind"] == "paused" for status in client.notifications(STATUS)), what="the pause"
        )
        assert client.notifications(REFRESH) == []


def with_lenses(*, refresh: bool) -> dict[str, object]:
    """The capabilities of a client."""
    return {"workspace": {"configuration": True, "codeLens": {"refreshSupport": refresh}}}
