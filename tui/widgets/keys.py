"""Keys, pastes and the mouse as xterm sends them to a program (xterm ctlseqs; "PC-Style Function Keys")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sandtop.core.terminal import Modes

_CURSOR: Final = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
_TILDE: Final = {
    "insert": 2, "delete": 3, "pageup": 5, "pagedown": 6, "f5": 15, "f6": 17, "f7": 18, "f8": 19, "f9": 20,
    "f10": 21, "f11": 23, "f12": 24,
}  # fmt: skip
_SS3: Final = {"f1": "P", "f2": "Q", "f3": "R", "f4": "S"}
_PLAIN: Final = {"enter": "\r", "tab": "\t", "escape": "\x1b", "backspace": "\x7f", "space": " "}
_CONTROL: Final = {
    "@": 0, "space": 0, "left_square_bracket": 27, "backslash": 28, "right_square_bracket": 29,
    "circumflex_accent": 30, "underscore": 31, "slash": 31, "question_mark": 127, "2": 0, "3": 27, "4": 28, "5": 29,
    "6": 30, "7": 31, "8": 127,
}  # fmt: skip
_NAMED: Final = {
    "left_square_bracket": "[", "right_square_bracket": "]", "backslash": "\\", "circumflex_accent": "^",
    "underscore": "_", "slash": "/", "question_mark": "?", "full_stop": ".", "comma": ",", "minus": "-",
    "plus": "+", "equals_sign": "=", "less_than_sign": "<", "greater_than_sign": ">", "colon": ":",
    "semicolon": ";", "apostrophe": "'", "quotation_mark": '"', "grave_accent": "`", "tilde": "~",
    "exclamation_mark": "!", "at": "@", "number_sign": "#", "dollar_sign": "$", "percent_sign": "%",
    "ampersand": "&", "asterisk": "*", "left_parenthesis": "(", "right_parenthesis": ")", "vertical_line": "|",
    "left_curly_bracket": "{", "right_curly_bracket": "}",
}  # fmt: skip
_MODIFIERS: Final = {"shift": 1, "alt": 2, "ctrl": 4}
_PASTE_END: Final = re.compile(r"\x1b\[201~|\x9b201~")
PRESS, RELEASE, MOVE = "press", "release", "move"


def encode_key(key: str, character: str | None, modes: Modes) -> bytes:
    """What a program reads for a key as Textual names it; empty for one that no terminal sends."""
    *names, base = key.split("+") if key != "+" else ["plus"]
    modifiers = sum(_MODIFIERS.get(name, 0) for name in set(names))
    if base in _CURSOR:
        if modifiers:
            return f"\x1b[1;{modifiers + 1}{_CURSOR[base]}".encode()
        return f"\x1b{'O' if modes.application_cursor else '['}{_CURSOR[base]}".encode()
    if base in _SS3:
        return (f"\x1b[1;{modifiers + 1}{_SS3[base]}" if modifiers else f"\x1bO{_SS3[base]}").encode()
    if base in _TILDE:
        return (f"\x1b[{_TILDE[base]};{modifiers + 1}~" if modifiers else f"\x1b[{_TILDE[base]}~").encode()
    if (number := _beyond_f12(base)) is not None:
        return number
    return _encode_character(base, character, modifiers)


def _beyond_f12(base: str) -> bytes | None:
    """F13 to F24, which xterm sends as the first twelve with shift."""
    if base.startswith("f") and base[1:].isdecimal() and 13 <= int(base[1:]) <= 24:
        lower = f"f{int(base[1:]) - 12}"
        return (f"\x1b[1;2{_SS3[lower]}" if lower in _SS3 else f"\x1b[{_TILDE[lower]};2~").encode()
    return None


def _encode_character(base: str, character: str | None, modifiers: int) -> bytes:
    shift, alt, ctrl = modifiers & 1, modifiers & 2, modifiers & 4
    escape = b"\x1b" if alt else b""
    if base == "tab" and shift:
        return b"\x1b[Z"
    if base == "backspace" and ctrl:
        return escape + b"\x08"
    if base in _PLAIN and not (ctrl and base == "space"):
        return escape + _PLAIN[base].encode()
    if ctrl:
        code = _control_code(base)
        return b"" if code is None else escape + bytes([code])
    text = (
        character
        if character and character.isprintable()
        else _NAMED.get(base, base if len(base) == 1 else "")
    )
    if shift and len(text) == 1 and text.islower():
        text = text.upper()
    return escape + text.encode() if text else b""


def _control_code(base: str) -> int | None:
    if len(base) == 1 and base.isascii() and base.isalpha():
        return ord(base.lower()) & 0x1F
    return _CONTROL.get(base)


def encode_paste(text: str, modes: Modes) -> bytes:
    """Pasted text. It can never end its own bracket, and so never become keys that somebody seemed to type."""
    while _PASTE_END.search(text):  # again: what is left after a removal may be another
        text = _PASTE_END.sub("", text)
    text = text.replace("\r\n", "\r").replace("\n", "\r")
    data = text.encode(errors="replace")
    return b"\x1b[200~" + data + b"\x1b[201~" if modes.bracketed_paste else data


def encode_mouse(kind: str, button: int, column: int, row: int, modifiers: int, modes: Modes) -> bytes:
    """A mouse event, if the program asked for such. ``button``: 1 to 3, 64 and 65 for the wheel, 0 for none.

    ``modifiers``: 4 shift, 8 meta, 16 control. Columns and rows count from 0.
    """
    if not modes.mouse or (kind == MOVE and not _wants_motion(button, modes)):
        return b""
    if kind == RELEASE and (modes.mouse == "press" or button >= 64):
        return b""
    code = button if button >= 64 else button - 1 if button else 3
    code += modifiers + (32 if kind == MOVE else 0)
    if modes.mouse_encoding == "sgr":
        return f"\x1b[<{code};{column + 1};{row + 1}{'m' if kind == RELEASE else 'M'}".encode()
    if kind == RELEASE:
        code = 3 + modifiers
    if modes.mouse_encoding == "urxvt":
        return f"\x1b[{code + 32};{column + 1};{row + 1}M".encode()
    values = (code + 32, column + 33, row + 33)
    if modes.mouse_encoding == "utf8":
        return b"\x1b[M" + "".join(map(chr, values)).encode()
    return b"\x1b[M" + bytes(values) if max(values) < 256 else b""


def _wants_motion(button: int, modes: Modes) -> bool:
    return modes.mouse == "motion" or (modes.mouse == "drag" and button != 0)
