"""The tables of keys in docs/console.md and README.md, made from that of the actions: ``just generate`` writes them."""

from __future__ import annotations

import re
from pathlib import Path

from sandtop.tui.actions import SCOPES, Action, ScopeName, actions_of, meaning_of, shown_key

DOCS = Path(__file__).parents[2] / "docs" / "console.md"
README = Path(__file__).parents[2] / "README.md"
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


EXCEPTIONS = {("l", "terminal"): "hjkl move, as in vi and tmux"}
"""A key that means something else at one place, and why."""


def meanings() -> dict[str, dict[str, list[Action]]]:
    """What each key of one character means, and the actions that mean it; without the exceptions."""
    found: dict[str, dict[str, list[Action]]] = {}
    for action in actions_of(*SCOPES):
        for key in action.keys:
            if len(key) == 1 and (key, action.scope) not in EXCEPTIONS:
                found.setdefault(key, {}).setdefault(meaning_of(action), []).append(action)
    return found


def letters() -> str:
    """The table of what each letter means."""
    rows = ["| key | means | where |\n|---|---|---|\n"]
    for key, by_meaning in sorted(meanings().items(), key=lambda item: (item[0].lower(), item[0])):
        for actions in by_meaning.values():
            labels = dict.fromkeys(action.label for action in actions)
            places = dict.fromkeys(action.scope for action in actions)
            shown = "`` | ``" if key == "|" else f"`{key}`"
            rows.append(
                f"| {shown.replace('|', chr(92) + '|')} | {', '.join(labels)} | {', '.join(places)} |\n"
            )
    return "".join(rows)


def renewed(text: str) -> str:
    """``text`` with the table below each scope's heading made anew. A heading that is missing is a ValueError."""
    section = re.compile(r"(<!-- letters -->\n)(?:\|.*\n)*")
    text, count = section.subn(lambda found: found[1] + letters(), text)
    if count != 1:
        raise ValueError("docs/console.md needs one <!-- letters -->")
    for scope, entry in SCOPES.items():
        section = re.compile(rf"(^### {re.escape(entry.title)}\n\n)(?:\|.*\n)*", re.MULTILINE)
        text, count = section.subn(lambda found, scope=scope: found[1] + table(scope), text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"docs/console.md needs one heading '### {entry.title}'")
    return text


def readme(text: str) -> str:
    """``text``, README's, with its table of the keys in the last lines made anew."""
    rows: list[str] = []
    for scope, entry in SCOPES.items():
        where = entry.title.partition(":")[0]
        for action in actions_of(scope) if scope != "list" else ():
            if action.footer and action.keys:
                rows.append(f"| {where} | {shown_keys(action.keys)} | {action.help} |\n")
                where = ""
    return re.sub(
        r"(\| where \| keys \| what \|\n\|---\|---\|---\|\n)(?:\|.*\n)*",
        lambda found: found[1] + "".join(rows),
        text,
    )


if __name__ == "__main__":
    DOCS.write_text(renewed(DOCS.read_text()))
    README.write_text(readme(README.read_text()))
