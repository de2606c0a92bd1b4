"""The action table: each entry is carried out by somebody, no key means two things, and the docs have them all."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from sandtop.tui.actions import ACTIONS, TITLES, Context, actions_of, shown_key
from sandtop.tui.app import Console
from sandtop.tui.screens.fleet import FleetScreen
from sandtop.tui.screens.panes import PanesScreen
from sandtop.tui.screens.sandbox import SandboxScreen
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.row_list import RowList
from sandtop.tui.widgets.terminal import TerminalView

README = Path(__file__).parents[2] / "README.md"
DOCS = Path(__file__).parents[2] / "docs" / "console.md"
OWNERS: dict[str, type[object]] = {
    "app": Console, "list": RowList, "fleet": FleetScreen, "sandbox": SandboxScreen, "panes": PanesScreen,
    "log": LogPane, "live": TerminalView, "nobody": TerminalView, "terminal": TerminalView,
}  # fmt: skip
CHAINS: list[tuple[Context, ...]] = [
    ("list", "fleet", "app"), ("list", "sandbox", "app"), ("log", "panes", "app"), ("terminal", "panes", "app"),
]  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: f"{action.context}.{action.id}")
def test_somebody_carries_it_out(action: object) -> None:
    assert hasattr(action, "context")
    found = next(one for one in ACTIONS if one is action)
    assert hasattr(OWNERS[found.context], f"action_{found.id.partition('(')[0]}")


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_no_key_means_two_things(chain: tuple[Context, ...]) -> None:
    """But for the same action by another word: a log's ``w`` and ``f`` are k9s's, and its arrows its own."""
    seen: dict[str, str] = {}
    for action in actions_of(*chain):
        for key in action.keys:
            assert key not in seen, f"{key}: {seen.get(key)} and {action.context}.{action.id}"
            seen[key] = f"{action.context}.{action.id}"


def test_the_docs_have_every_key() -> None:
    text = DOCS.read_text()
    for context, title in TITLES.items():
        section = text.partition(f"### {title}\n")[2].partition("\n### ")[0]
        for action in actions_of(context):
            keys = " ".join(f"`{shown_key(key)}`".replace("|", "\\|") for key in action.keys) or "–"
            cli = f"`sandtop {action.cli}`" if action.cli else ""
            assert f"| {keys} | {action.help} | {cli} |" in section


def test_the_readme_has_the_keys_of_the_last_line_and_its_pictures_are_there() -> None:
    text = README.read_text()
    table = text.partition("| where | keys | what |\n|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
    shown = [action for context in TITLES for action in actions_of(context) if action.footer and action.keys]
    found = [tuple(cell.strip() for cell in row.replace("\\|", "¦").split("|")[2:4]) for row in table]
    assert [help for _, help in found] == [action.help for action in shown if action.context != "list"]
    assert [keys for keys, _ in found] == [
        " ".join(f"`{shown_key(key)}`" for key in action.keys).replace("|", "¦")
        for action in shown if action.context != "list"
    ]  # fmt: skip
    pictures = re.findall(r"\]\((snapshots/[^)]*)\)", text)
    assert pictures
    assert all((README.parent / unquote(picture)).is_file() for picture in pictures)
