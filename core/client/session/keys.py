"""Names of keys, and the bytes that a terminal sends for them (xterm's ctlseqs, "PC-Style Function Keys"). No I/O."""

from __future__ import annotations

from sandtop.core.errors import InvalidRequest

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

_CURSOR: Final = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
_PLAIN: Final = {
    "enter": "\r", "tab": "\t", "escape": "\x1b", "esc": "\x1b", "backspace": "\x7f", "space": " ",
    "insert": "\x1b[2~", "delete": "\x1b[3~", "pageup": "\x1b[5~", "pagedown": "\x1b[6~", "shift-tab": "\x1b[Z",
    "f1": "\x1bOP", "f2": "\x1bOQ", "f3": "\x1bOR", "f4": "\x1bOS", "f5": "\x1b[15~", "f6": "\x1b[17~",
    "f7": "\x1b[18~", "f8": "\x1b[19~", "f9": "\x1b[20~", "f10": "\x1b[21~", "f11": "\x1b[23~", "f12": "\x1b[24~",
}  # fmt: skip
_CONTROL: Final = "@abcdefghijklmnopqrstuvwxyz[\\]^_"
_MODIFIERS: Final = {"shift": 1, "alt": 2, "ctrl": 4}
_HINT: Final = (
    "such as ctrl-c, alt-x, enter, tab, escape, backspace, space, up, down, left, right, home, end, pageup, "
    "pagedown, insert, delete, f1 to f12"
)


def depends_on_mode(key: str) -> bool:
    """Whether what a terminal sends for ``key`` depends on what the program has asked for."""
    return key.lower() in _CURSOR


def key_bytes(key: str, *, application_cursor: bool = False) -> bytes:
    """What a terminal sends for ``key``. Raises `InvalidRequest` for a name that is none."""
    name = key.lower()
    if name in _CURSOR:
        return f"\x1b{'O' if application_cursor else '['}{_CURSOR[name]}".encode()
    if name in _PLAIN:
        return _PLAIN[name].encode()
    if len(key) == 1 and key.isprintable():
        return key.encode()
    *modifiers, base = key.split("-") if not key.endswith("--") else [*key[:-2].split("-"), "-"]
    if modifiers and all(modifier.lower() in _MODIFIERS for modifier in modifiers):
        data = _modified({modifier.lower() for modifier in modifiers}, base)
        if data:
            return data
    raise InvalidRequest(f"there is no key {key!r:.40}", hint=_HINT)


def _modified(modifiers: set[str], base: str) -> bytes:
    """The bytes of ``base`` with ``modifiers``; empty for what no terminal sends."""
    name = base.lower()
    if name in _CURSOR:
        return f"\x1b[1;{1 + sum(_MODIFIERS[modifier] for modifier in modifiers)}{_CURSOR[name]}".encode()
    escape = b"\x1b" if "alt" in modifiers else b""
    if "ctrl" in modifiers:
        name = {"space": "@", "/": "_"}.get(name, name)
        return escape + bytes([ord(name.upper()) & 0x1F]) if len(name) == 1 and name in _CONTROL else b""
    if name in _PLAIN:
        return escape + _PLAIN[name].encode() if modifiers == {"alt"} else b""
    if len(base) != 1 or not base.isprintable():
        return b""
    return escape + (base.upper() if "shift" in modifiers else base).encode()
