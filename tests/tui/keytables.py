"""The tables of keys in docs/console.md, made from the table of actions: ``just generate`` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

from sandtop.tui.actions import SCOPES, ScopeName, actions_of, shown_key

DOCS = Path(__file__).parents[2] / "docs" / "console.md"
_HEAD = "| keys | what | the command that does the same |\n|---|---|---|\n"


def shown_keys(keys: tuple[str, ...]) -> str:
    """Keys as a table in Markdown has them."""
    return " ".join(f"`{shown_key(key)}`" for key in keys).replace("|", "\\|")


def table(scope: ScopeName) -> str:
    """The actions of ``scope``, a row each."""
    rows: list[str] = []
    for action in actions_of(scope):
        cli = f"`sandtop {action.cli}`" if action.cli else ""
        rows.append(f"| {shown_keys(action.keys) or '–'} | {action.help} | {cli} |\n")
    return _HEAD + "".join(rows)


def renewed(text: str) -> str:
    """``text`` with the table below each scope's heading made anew. A heading that is missing is a ValueError."""
    for scope, entry in SCOPES.items():
        section = re.compile(rf"(^### {re.escape(entry.title)}\n\n)(?:\|.*\n)*", re.MULTILINE)
        text, count = section.subn(lambda found, scope=scope: found[1] + table(scope), text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"docs/console.md needs one heading '### {entry.title}'")
    return text


if __name__ == "__main__":
    DOCS.write_text(renewed(DOCS.read_text()))
