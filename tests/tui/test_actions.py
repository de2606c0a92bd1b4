"""The action table: each entry is carried out by somebody, no key means two things, and the docs have them all."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

import pytest

from sandtop.tui.actions import ACTIONS, SCOPES, Action, ScopeName, actions_of, meaning_of, scopes_at

from .keytables import DOCS, EXCEPTIONS, meanings, renewed, shown_keys

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: f"{action.scope}.{action.name}")
def test_somebody_carries_it_out(action: Action) -> None:
    module, _, owner = SCOPES[action.scope].owner.partition(":")
    found = getattr(import_module(f"sandtop.tui.{module}"), owner)
    assert hasattr(found, f"action_{action.call.partition('(')[0]}")


def test_no_two_have_one_name() -> None:
    names = [(action.scope, action.name) for action in ACTIONS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("scope", SCOPES)
def test_no_key_means_two_things_at_one_place(scope: ScopeName) -> None:
    seen: dict[str, str] = {}
    for action in actions_of(*scopes_at(scope)):
        for key in action.keys:
            assert key not in seen, f"{key}: {seen.get(key)} and {action.scope}.{action.name}"
            seen[key] = f"{action.scope}.{action.name}"


def test_a_letter_means_one_thing() -> None:
    two = {key: sorted(found) for key, found in meanings().items() if len(found) > 1}
    assert two == {}


def test_exceptions_are_needed() -> None:
    for key, scope in EXCEPTIONS:
        here = next(action for action in actions_of(*SCOPES) if action.scope == scope and key in action.keys)
        assert {meaning_of(here)} != set(meanings()[key])


def test_the_docs_have_every_key() -> None:
    text = DOCS.read_text()
    assert text == renewed(text), "the tables are not those of the actions: `just generate` writes them anew"


def test_the_readme_has_the_keys_of_the_last_line_and_its_pictures_are_there() -> None:
    text = README.read_text()
    table = text.partition("| where | keys | what |\n|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
    found = [tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", row)[2:4]) for row in table]
    shown = [one for one in actions_of(*SCOPES) if one.footer and one.keys and one.scope != "list"]
    assert found == [(shown_keys(action.keys), action.help) for action in shown]
    pictures = re.findall(r"!\[[^]]*\]\(([^)]*)\)", text)
    assert pictures
    assert all((README.parent / unquote(picture)).is_file() for picture in pictures)
