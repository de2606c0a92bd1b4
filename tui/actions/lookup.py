"""The table of actions, asked: what works where, which keys it has, and how a key is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.binding import Binding

from .table import ACTIONS, SCOPES

if TYPE_CHECKING:
    from .model import Action
    from .table import ScopeName


def scopes_at(scope: ScopeName) -> tuple[ScopeName, ...]:
    """``scope`` and those below it: all whose actions work there, the nearest first."""
    return (scope, *SCOPES[scope].below)


def actions_of(*scopes: ScopeName) -> list[Action]:
    """The actions of ``scopes``, in that order."""
    return [action for scope in scopes for action in ACTIONS if action.scope == scope]


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
        Binding(",".join(action.keys), action.call, action.label, show=False, id=f"{scope}.{action.name}")
        for action in actions_of(scope)
        if action.keys
    ]


_SHOWN: Final = {
    "ctrl+right_square_bracket": "^]", "ctrl+@": "^space", "pagedown": "pgdn", "pageup": "pgup", "escape": "esc",
    "enter": "⏎", "shift+tab": "⇧tab", "backspace": "⌫", "up": "↑", "down": "↓", "left": "←", "right": "→",
    "ctrl+left": "^←", "ctrl+right": "^→", "ctrl+up": "^↑", "ctrl+down": "^↓",
}  # fmt: skip


def shown_key(key: str) -> str:
    """A key as it is printed on the screen."""
    return _SHOWN.get(key) or (f"^{key[5:]}" if key.startswith("ctrl+") else key)
