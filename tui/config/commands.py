"""Commands of the operator's own: ``[[console.commands]]`` of config.toml."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from sandtop.tui.actions import ACTIONS, ScopeName, scopes_at, shown_key

from .keys import key_name

if TYPE_CHECKING:
    from collections.abc import Mapping

Where = Literal["sandboxes", "sessions"]
WHERE: Final[dict[Where, ScopeName]] = {"sandboxes": "fleet", "sessions": "sandbox"}
"""The lists in which a command may be, and the scope of each."""
VALUES: Final[dict[Where, frozenset[str]]] = {
    "sandboxes": frozenset({"name", "uuid", "state", "image", "cause", "session"}),
    "sessions": frozenset({"name", "uuid", "session", "command", "state", "cause"}),
}
"""What of a row may stand in braces, beside ``label.NAME``."""
_FIELDS: Final = ("name", "key", "where", "run", "script", "question")
_MAX_COMMANDS: Final = 50
_MAX_NAME: Final = 40


@dataclass(frozen=True, slots=True)
class CustomCommand:
    """A command of the user's own.

    Attributes:
        name: what ``?`` and the palette call it.
        key: as Textual names keys; empty for none.
        where: in which list.
        run: a program of this host and its arguments, with a row's values in braces; or
        script: for the shell of the sandbox, the same way.
        question: asked before; empty for none. ``{name}`` is what it is about.
    """

    name: str
    where: Where
    key: str = ""
    run: tuple[str, ...] = ()
    script: str = ""
    question: str = ""

    @property
    def shown(self) -> str:
        """What it runs."""
        return self.script or " ".join(self.run)


def read_commands(data: object, keys: Mapping[str, tuple[str, ...]]) -> tuple[CustomCommand, ...]:
    """The commands in ``data``, a list of tables; ``keys`` are those that the operator gave to actions.

    Raises ValueError saying what is wrong.
    """
    items = cast("list[object]", data) if isinstance(data, list) else None
    if items is None or not all(isinstance(item, dict) for item in items):
        raise ValueError("console.commands must be tables: [[console.commands]] before each")
    if len(items) > _MAX_COMMANDS:
        raise ValueError(f"console.commands: there are {len(items)}, and at most {_MAX_COMMANDS} are taken")
    commands = [_command(number, cast("Mapping[str, object]", item)) for number, item in enumerate(items, 1)]
    _check_keys(commands, keys)
    return tuple(commands)


def _command(number: int, item: Mapping[str, object]) -> CustomCommand:
    name = item.get("name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > _MAX_NAME:
        raise ValueError(f"command {number}: name must be a text of 1 to {_MAX_NAME} printable characters")
    what = f"command {name!r}"
    if unknown := next((key for key in item if key not in _FIELDS), None):
        raise ValueError(f"{what}: there is no setting {unknown} (known: {', '.join(_FIELDS)})")
    where = item.get("where", "sandboxes")
    if where not in WHERE:
        raise ValueError(f"{what}: where must be one of {', '.join(WHERE)}, not {where!r:.40}")
    for field in ("key", "script", "question"):
        if not isinstance(item.get(field, ""), str):
            raise ValueError(f"{what}: {field} must be a text")
    run = item.get("run", [])
    words = cast("list[object]", run) if isinstance(run, list) else None
    if words is None or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ValueError(f"{what}: run must be a list of texts, the program first")
    command = CustomCommand(
        name,
        where,
        _key(item, what),
        tuple(str(word) for word in words),
        str(item.get("script", "")),
        str(item.get("question", "")),
    )
    if bool(command.run) == bool(command.script):
        raise ValueError(f"{what}: it needs one of run (on this host) and script (in the sandbox)")
    for text in (*command.run, command.script, command.question):
        _check_values(text, where, what)
    return command


def _key(item: Mapping[str, object], what: str) -> str:
    if not (written := str(item.get("key", ""))):
        return ""
    try:
        return key_name(written)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def _check_values(text: str, where: Where, what: str) -> None:
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
        plain = all(
            not form and not convert for _, name, form, convert in string.Formatter().parse(text) if name
        )
    except ValueError as error:
        raise ValueError(f"{what}: {text!r:.60}: {error}; {{{{ is a brace") from None
    known = ", ".join([*sorted(VALUES[where]), "label.NAME"])
    for name in names:
        if not plain or not (name in VALUES[where] or name.startswith("label.")):
            raise ValueError(
                f"{what}: there is no value {{{name}}} of {where} (known: {known}; {{{{ is a brace)"
            )


def _check_keys(commands: list[CustomCommand], keys: Mapping[str, tuple[str, ...]]) -> None:
    taken: dict[tuple[Where, str], str] = {
        (where, key): action.label
        for where, scope in WHERE.items()
        for action in ACTIONS
        if action.scope in scopes_at(scope)
        for key in keys.get(action.id, action.keys)
    }
    for command in commands:
        place = command.where, command.key
        if command.key and place in taken:
            raise ValueError(
                f"command {command.name!r}: the key {shown_key(command.key)} is taken by {taken[place]!r} there"
            )
        taken[place] = command.name


def filled(text: str, values: Mapping[str, str]) -> str:
    """``text`` with the row's ``values`` in place of what stands in braces; a label that is not there is empty."""
    return "".join(
        literal + ("" if name is None else values.get(name, ""))
        for literal, name, _, _ in string.Formatter().parse(text)
    )
