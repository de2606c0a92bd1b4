"""Names of keys, and the bytes that a terminal sends for them (xterm's ctlseqs, "PC-Style Function Keys"). No I/O."""

from __future__ import annotations

from sandtop.core.errors import InvalidRequest
from sandtop.core.keys import BACK_TAB, CURSOR_KEYS, MODIFIERS, PLAIN_KEYS, named_key

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

_SHORT: Final = {"esc": "escape"}
_CONTROL: Final = "@abcdefghijklmnopqrstuvwxyz[\\]^_"
_HINT: Final = (
    "such as ctrl-c, alt-x, enter, tab, escape, backspace, space, up, down, left, right, home, end, pageup, "
    "pagedown, insert, delete, f1 to f12"
)


def depends_on_mode(key: str) -> bool:
    """Whether what a terminal sends for ``key`` depends on what the program has asked for."""
    return key.lower() in CURSOR_KEYS


def key_bytes(key: str, *, application_cursor: bool = False) -> bytes:
    """What a terminal sends for ``key``. Raises `InvalidRequest` for a name that is none."""
    name = key.lower()
    if (data := named_key(name, application_cursor=application_cursor)) is not None:
        return data
    name = _SHORT.get(name, name)
    if name in PLAIN_KEYS:
        return PLAIN_KEYS[name].encode()
    if len(key) == 1 and key.isprintable():
        return key.encode()
    *modifiers, base = key.split("-") if not key.endswith("--") else [*key[:-2].split("-"), "-"]
    if modifiers and all(modifier.lower() in MODIFIERS for modifier in modifiers):
        data = _modified({modifier.lower() for modifier in modifiers}, base)
        if data:
            return data
    raise InvalidRequest(f"there is no key {key!r:.40}", hint=_HINT)


def _modified(modifiers: set[str], base: str) -> bytes:
    """The bytes of ``base`` with ``modifiers``; empty for what no terminal sends."""
    name = _SHORT.get(base.lower(), base.lower())
    if (data := named_key(name, sum(MODIFIERS[modifier] for modifier in modifiers))) is not None:
        return data
    if name == "tab" and modifiers == {"shift"}:
        return BACK_TAB
    escape = b"\x1b" if "alt" in modifiers else b""
    if "ctrl" in modifiers:
        name = {"space": "@", "/": "_"}.get(name, name)
        return escape + bytes([ord(name.upper()) & 0x1F]) if len(name) == 1 and name in _CONTROL else b""
    if name in PLAIN_KEYS:
        return escape + PLAIN_KEYS[name].encode() if modifiers == {"alt"} else b""
    if len(base) != 1 or not base.isprintable():
        return b""
    return escape + (base.upper() if "shift" in modifiers else base).encode()
