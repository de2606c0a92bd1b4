"""What an operator may set, and what is wrong with what was set."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.errors import InvalidRequest, from_os_error
from sandtop.tui.screens.changes import LOSING
from sandtop.tui.screens.fleet_rows import COLUMNS, ORDERS
from sandtop.tui.store import parse_filter
from sandtop.tui.theme import THEMES, ThemeName

from .commands import CustomCommand, read_commands
from .keys import read_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TABLE: Final = "console"
_MAX_BYTES: Final = 1 << 20
"""The most that is read of the file: a mistake such as a log under its name is not taken in whole."""
_NAMES: Final = ("theme", "columns", "filter", "sort", "confirm", "keys", "commands")
_COLUMN_NAMES: Final = tuple(column.key for column in COLUMNS)


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of the console.

    Attributes:
        theme: the colours.
        columns: the columns of the list of sandboxes, in their order.
        filter: what the list is filtered by when the console opens.
        sort: the column that the list is sorted by when the console opens.
        confirm: what comes with a question first.
        keys: the keys of actions that have others than those of the table of actions: by scope and name, with a dot.
        commands: commands of the operator's own.
        named: which of these the file names. For the others, what was last seen in the console comes first.
    """

    theme: ThemeName = "dark"
    columns: tuple[str, ...] = _COLUMN_NAMES
    filter: str = ""
    sort: str = "need"
    confirm: tuple[str, ...] = LOSING
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    commands: tuple[CustomCommand, ...] = ()
    named: frozenset[str] = frozenset()


def read(path: Path) -> Config:
    """The settings in the file at ``path``; the defaults where it is not there. Raises `InvalidRequest`."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise InvalidRequest(f"{path} has more than {_MAX_BYTES} bytes", hint="mend or remove it")
        table = tomllib.loads(text.decode()).get(TABLE, {})
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise from_os_error(error, "cannot read the settings") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} is not valid: {error}", hint="mend or remove it") from error
    try:
        return _config(table)
    except _Wrong as wrong:
        raise InvalidRequest(f"{path}: {wrong}", hint=wrong.hint) from None


class _Wrong(ValueError):
    """What is wrong with a setting."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


def _config(table: object) -> Config:
    if not isinstance(table, dict):
        raise _Wrong(f"{TABLE} must be a table, not {table!r}", f"write [{TABLE}], and its settings below it")
    items = cast("dict[str, object]", table)
    for name in items:
        if name not in _NAMES:
            raise _Wrong(f"there is no setting {TABLE}.{name}", f"known: {', '.join(_NAMES)}")
    try:
        keys = read_keys(items.get("keys", {}))
        commands = read_commands(items.get("commands", []), keys)
    except ValueError as error:
        raise _Wrong(str(error), "docs/console.md has the names of actions and keys") from None
    return Config(
        theme=cast("ThemeName", _one_of(items, "theme", THEMES, "dark")),
        columns=_some_of(items, "columns", _COLUMN_NAMES) or _COLUMN_NAMES,
        filter=_filter(items),
        sort=_one_of(items, "sort", tuple(ORDERS), "need"),
        confirm=_some_of(items, "confirm", LOSING) if "confirm" in items else LOSING,
        keys=keys,
        commands=commands,
        named=frozenset(items),
    )


def _one_of(items: dict[str, object], name: str, known: Sequence[str], default: str) -> str:
    value = items.get(name, default)
    if not isinstance(value, str) or value not in known:
        raise _Wrong(f"{TABLE}.{name} must be one of {', '.join(known)}, not {value!r}")
    return value


def _some_of(items: dict[str, object], name: str, known: Sequence[str]) -> tuple[str, ...]:
    value = items.get(name, [])
    if not isinstance(value, list):
        raise _Wrong(f"{TABLE}.{name} must be a list of names, not {value!r}", f"known: {', '.join(known)}")
    names = [str(one) for one in cast("list[object]", value)]
    for one in names:
        if one not in known:
            raise _Wrong(f"{TABLE}.{name}: there is no {one!r}", f"known: {', '.join(known)}")
    if len(set(names)) != len(names):
        raise _Wrong(f"{TABLE}.{name} names one twice: {', '.join(names)}")
    return tuple(names)


def _filter(items: dict[str, object]) -> str:
    value = items.get("filter", "")
    if not isinstance(value, str) or "\n" in value:
        raise _Wrong(f"{TABLE}.filter must be a line of text, not {value!r}")
    parse_filter(value)
    return value
