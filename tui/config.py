"""The console's own settings: the table ``console`` of ``config.toml``. An error names what is wrong there."""

from __future__ import annotations

import string
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from sandtop.tui.actions import ScopeName, actions_of, scopes_at, shown_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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


class ConfigError(ValueError):
    """``str()`` says what is wrong."""


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


@dataclass(frozen=True, slots=True)
class Config:
    """What may be set."""

    commands: tuple[CustomCommand, ...] = ()


def load(path: Path) -> Config:
    """The console's settings in ``path``; the defaults when they are not there. Raises `ConfigError`."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Config()
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    table = data.get("console", {})
    try:
        if not isinstance(table, dict):
            raise ConfigError("console must be a table: [console]")
        return _config(cast("Mapping[str, object]", table))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _config(table: Mapping[str, object]) -> Config:
    if unknown := next((name for name in table if name != "commands"), None):
        raise ConfigError(f"console: there is no setting {unknown} (known: commands)")
    data = table.get("commands", [])
    items = cast("list[object]", data) if isinstance(data, list) else None
    if items is None or not all(isinstance(item, dict) for item in items):
        raise ConfigError("console.commands must be tables: [[console.commands]] before each")
    if len(items) > _MAX_COMMANDS:
        raise ConfigError(f"console.commands: there are {len(items)}, and at most {_MAX_COMMANDS} are taken")
    commands = [_command(number, cast("Mapping[str, object]", item)) for number, item in enumerate(items, 1)]
    _check_keys(commands)
    return Config(tuple(commands))


def _command(number: int, item: Mapping[str, object]) -> CustomCommand:
    name = item.get("name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > _MAX_NAME:
        raise ConfigError(f"command {number}: name must be a text of 1 to {_MAX_NAME} printable characters")
    what = f"command {name!r}"
    if unknown := next((key for key in item if key not in _FIELDS), None):
        raise ConfigError(f"{what}: there is no setting {unknown} (known: {', '.join(_FIELDS)})")
    where = item.get("where", "sandboxes")
    if where not in WHERE:
        raise ConfigError(f"{what}: where must be one of {', '.join(WHERE)}, not {where!r:.40}")
    for field in ("key", "script", "question"):
        if not isinstance(item.get(field, ""), str):
            raise ConfigError(f"{what}: {field} must be a text")
    run = item.get("run", [])
    words = cast("list[object]", run) if isinstance(run, list) else None
    if words is None or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ConfigError(f"{what}: run must be a list of texts, the program first")
    command = CustomCommand(
        name,
        where,
        str(item.get("key", "")),
        tuple(str(word) for word in words),
        str(item.get("script", "")),
        str(item.get("question", "")),
    )
    if bool(command.run) == bool(command.script):
        raise ConfigError(f"{what}: it needs one of run (on this host) and script (in the sandbox)")
    for text in (*command.run, command.script, command.question):
        _check_values(text, where, what)
    return command


def _check_values(text: str, where: Where, what: str) -> None:
    try:
        names = [name for _, name, form, convert in string.Formatter().parse(text) if name is not None]
        plain = all(
            not form and not convert for _, name, form, convert in string.Formatter().parse(text) if name
        )
    except ValueError as error:
        raise ConfigError(f"{what}: {text!r:.60}: {error}; {{{{ is a brace") from None
    known = ", ".join([*sorted(VALUES[where]), "label.NAME"])
    for name in names:
        if not plain or not (name in VALUES[where] or name.startswith("label.")):
            raise ConfigError(
                f"{what}: there is no value {{{name}}} of {where} (known: {known}; {{{{ is a brace)"
            )


def _check_keys(commands: list[CustomCommand]) -> None:
    taken: dict[tuple[Where, str], str] = {
        (where, key): action.label
        for where, scope in WHERE.items()
        for action in actions_of(*scopes_at(scope))
        for key in action.keys
    }
    for command in commands:
        place = command.where, command.key
        if command.key and place in taken:
            raise ConfigError(
                f"command {command.name!r}: the key {shown_key(command.key)} is taken by {taken[place]!r} there"
            )
        taken[place] = command.name


def filled(text: str, values: Mapping[str, str]) -> str:
    """``text`` with the row's ``values`` in place of what stands in braces; a label that is not there is empty."""
    return "".join(
        literal + ("" if name is None else values.get(name, ""))
        for literal, name, _, _ in string.Formatter().parse(text)
    )
