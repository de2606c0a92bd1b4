"""The table of actions, asked: what works where, which keys it has, and how a key is printed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from textual.binding import Binding
from textual.keys import _character_to_key  # pyright: ignore[reportPrivateUsage]

from .table import ACTIONS, SCOPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .model import Action
    from .table import ScopeName


def scopes_at(scope: ScopeName) -> tuple[ScopeName, ...]:
    """``scope`` and those below it: all whose actions work there, the nearest first."""
    return (scope, *SCOPES[scope].below)


_own_keys: dict[str, tuple[str, ...]] = {}


def use_keys(keys: Mapping[str, tuple[str, ...]]) -> None:
    """Have actions show keys of the operator's own; ``keys`` has them by the action's `id`. The others have theirs."""
    _own_keys.clear()
    _own_keys.update(keys)


def actions_of(*scopes: ScopeName) -> list[Action]:
    """The actions of ``scopes``, in that order, with the keys that they have now."""
    found = [action for scope in scopes for action in ACTIONS if action.scope == scope]
    return [replace(one, keys=_own_keys[one.id]) if one.id in _own_keys else one for one in found]


_MOTIONS: Final = frozenset({
    "up", "down", "left", "right", "page_up", "page_down", "first", "last", "line_up", "line_down", "top", "bottom",
    "next", "previous", "go_left", "go_right", "go_up", "go_down", "larger", "smaller", "scroll_left", "scroll_right",
    "search_next", "search_previous", "cancel", "open", "mark", "mark_range",
})  # fmt: skip


def in_palette(action: Action) -> bool:
    """Whether the palette has it: nobody looks for a motion by name."""
    return action.name not in _MOTIONS


def bindings_of(scope: ScopeName) -> list[Binding]:
    """What the owner of ``scope`` binds. None has priority: a terminal gets every key first."""
    return [
        Binding(",".join(action.keys) or _NO_KEY, action.call, action.label, show=False, id=action.id)
        for action in ACTIONS
        if action.scope == scope
    ]


_NO_KEY: Final = "no_key"
"""What an action without a key is bound to, so that the operator can give it one: no key has that name."""


def keymap_of(keys: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """``keys`` of the operator's own as Textual takes a keymap."""
    return {name: ",".join(map(textual_key, values)) or _NO_KEY for name, values in keys.items()}


def textual_key(key: str) -> str:
    """A key as Textual names it in events: ``question_mark`` for ``?``."""
    return _character_to_key(key) if len(key) == 1 else key


_SAME: Final = {
    "attach": "shell", "quit": "leave", "back": "leave", "search": "look for", "filter": "look for", "first": "top",
    "last": "bottom", "line_down": "down", "line_up": "up", "forget": "remove", "stop_rest": "signal",
    "previous_trouble": "next_trouble", "search_previous": "search_next",
}  # fmt: skip
"""Actions that mean the same to a hand, by the name of one of them."""


def meaning_of(action: Action) -> str:
    """What the keys of ``action`` mean: the same word for actions that a hand takes for the same."""
    return _SAME.get(action.name, action.name)


def elsewhere(key: str, here: Sequence[ScopeName]) -> Action | None:
    """An action that ``key``, a letter or sign, has at another place than ``here``, if it has none here."""
    found = [
        one for one in actions_of(*SCOPES) if key in [textual_key(own) for own in one.keys if len(own) == 1]
    ]
    if any(one.scope in here for one in found):
        return None
    return next((one for one in found if one.scope not in ("live", "nobody")), None)


_SHOWN: Final = {
    "ctrl+right_square_bracket": "^]", "ctrl+@": "^space", "pagedown": "pgdn", "pageup": "pgup", "escape": "esc",
    "enter": "⏎", "shift+tab": "⇧tab", "backspace": "⌫", "up": "↑", "down": "↓", "left": "←", "right": "→",
    "ctrl+left": "^←", "ctrl+right": "^→", "ctrl+up": "^↑", "ctrl+down": "^↓",
}  # fmt: skip


def shown_key(key: str) -> str:
    """A key as it is printed on the screen."""
    return _SHOWN.get(key) or (f"^{key[5:]}" if key.startswith("ctrl+") else key)
