"""Keys of the operator's own: how they are written, and which action has them."""

from __future__ import annotations

from typing import Final, cast

from sandtop.tui.actions import ACTIONS, SCOPES, textual_key

_NAMED: Final = frozenset({
    "enter", "escape", "tab", "backspace", "space", "insert", "delete", "home", "end", "pageup", "pagedown",
    "up", "down", "left", "right", *(f"f{number}" for number in range(1, 13)),
})  # fmt: skip
_MODIFIERS: Final = frozenset({"ctrl", "shift", "alt"})
_OTHER_NAMES: Final = {"ctrl+space": "ctrl+@"}


def key_name(written: str) -> str:
    """The key ``written`` as in ``x``, ``?``, ``ctrl+x``, ``f5``, as the table of actions has it.

    Raises ValueError when there is no such key.
    """
    if len(written) == 1 and written.isprintable() and written != " ":
        return written
    *modifiers, last = written.lower().split("+")
    if len(last) == 1 and last.isprintable() and last != " " and modifiers != ["shift"]:
        last = textual_key(last)
    elif last not in _NAMED:
        raise ValueError(f"there is no key {written!r}")
    if len(set(modifiers)) != len(modifiers) or not set(modifiers) <= _MODIFIERS:
        raise ValueError(f"there is no key {written!r}")
    return _OTHER_NAMES.get(name := "+".join([*modifiers, last]), name)


def read_keys(table: object) -> dict[str, tuple[str, ...]]:
    """The keys that ``table`` gives to actions: a table of lists of keys for each scope.

    Raises ValueError saying what is wrong: an action or a key that there is not, two actions with one key.
    """
    if not isinstance(table, dict):
        raise ValueError(f"console.keys must be a table, not {table!r}")
    found: dict[str, tuple[str, ...]] = {}
    known = {action.id for action in ACTIONS}
    for scope, actions in cast("dict[str, object]", table).items():
        if scope not in SCOPES:
            raise ValueError(f"console.keys: there is no scope {scope}; known: {', '.join(SCOPES)}")
        if not isinstance(actions, dict):
            raise ValueError(f"console.keys.{scope} must be a table of actions, not {actions!r}")
        for name, keys in cast("dict[str, object]", actions).items():
            action = f"{scope}.{name}"
            if action not in known:
                raise ValueError(f"console.keys.{scope}: there is no action {name}")
            found[action] = _keys(action, keys)
    _check_unique(found)
    return found


def _keys(action: str, value: object) -> tuple[str, ...]:
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise ValueError(f"console.keys.{action} must be a key or a list of keys, not {value!r}")
    try:
        return tuple(key_name(cast("str", one)) for one in values)
    except ValueError as error:
        raise ValueError(f"console.keys.{action}: {error}") from None


def _check_unique(changed: dict[str, tuple[str, ...]]) -> None:
    """A key of a changed action must mean nothing else where that action works."""
    for one in ACTIONS:
        for other in ACTIONS:
            if other is one or (other.scope != one.scope and other.scope not in SCOPES[one.scope].below):
                continue
            if both := set(changed.get(one.id, ())) & set(changed.get(other.id, other.keys)):
                raise ValueError(f"console.keys: {one.id} and {other.id} both have the key {min(both)}")
