"""What a terminal sends for the keys that have names, as xterm does (its ctlseqs, "PC-Style Function Keys"). No I/O.

The console's keyboard and ``sandtop type`` have their own names of keys, and this table in common.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

CURSOR_KEYS: Final = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
"""Those that send something else when the program has asked for application cursor keys (DECCKM)."""
PLAIN_KEYS: Final = {"enter": "\r", "tab": "\t", "escape": "\x1b", "backspace": "\x7f", "space": " "}
BACK_TAB: Final = b"\x1b[Z"
MODIFIERS: Final = {"shift": 1, "alt": 2, "ctrl": 4}
"""Their sum, plus one, is the parameter that says which are down."""
_TILDE: Final = {
    "insert": 2, "delete": 3, "pageup": 5, "pagedown": 6, "f5": 15, "f6": 17, "f7": 18, "f8": 19, "f9": 20,
    "f10": 21, "f11": 23, "f12": 24,
}  # fmt: skip
_SS3: Final = {"f1": "P", "f2": "Q", "f3": "R", "f4": "S"}


def named_key(name: str, modifiers: int = 0, *, application_cursor: bool = False) -> bytes | None:
    """What is sent for a cursor, editing or function key with ``modifiers``; None for any other key."""
    if name in CURSOR_KEYS:
        if modifiers:
            return f"\x1b[1;{modifiers + 1}{CURSOR_KEYS[name]}".encode()
        return f"\x1b{'O' if application_cursor else '['}{CURSOR_KEYS[name]}".encode()
    if name in _SS3:
        return (f"\x1b[1;{modifiers + 1}{_SS3[name]}" if modifiers else f"\x1bO{_SS3[name]}").encode()
    if name in _TILDE:
        return (f"\x1b[{_TILDE[name]};{modifiers + 1}~" if modifiers else f"\x1b[{_TILDE[name]}~").encode()
    if name.startswith("f") and name[1:].isdecimal() and 13 <= int(name[1:]) <= 24:
        # F13 to F24 are sent as the first twelve with shift
        return named_key(f"f{int(name[1:]) - 12}", modifiers | MODIFIERS["shift"])
    return None
