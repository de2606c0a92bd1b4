"""What an operator can do in the console: one table, and what is read out of it."""

from __future__ import annotations

from .lookup import (
    actions_of,
    bindings_of,
    elsewhere,
    in_palette,
    keymap_of,
    meaning_of,
    scopes_at,
    shown_key,
    textual_key,
    use_keys,
)
from .model import Action, Scope
from .table import ACTIONS, SCOPES, ScopeName

__all__ = [
    "ACTIONS", "SCOPES", "Action", "Scope", "ScopeName", "actions_of", "bindings_of", "elsewhere", "in_palette",
    "keymap_of", "meaning_of",
    "scopes_at", "shown_key", "textual_key", "use_keys",
]  # fmt: skip
