"""Keys, pastes and the mouse as xterm sends them to a program (xterm ctlseqs; "PC-Style Function Keys")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sandtop.core.keys import BACK_TAB, MODIFIERS, PLAIN_KEYS, named_key

if TYPE_CHECKING:
    from sandtop.core.terminal import Modes

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
_PASTE_END: Final = re.compile(r"\x1b\[201~|\x9b201~")
PRESS, RELEASE, MOVE = "press", "release", "move"


def encode_key(key: str, character: str | None, modes: Modes) -> bytes:
    """What a program reads for a key as Textual names it; empty for one that no terminal sends."""
    *names, base = key.split("+") if key != "+" else ["plus"]
    modifiers = sum(MODIFIERS.get(name, 0) for name in set(names))
    if (data := named_key(base, modifiers, application_cursor=modes.application_cursor)) is not None:
        return data
    return _encode_character(base, character, modifiers)


def _encode_character(base: str, character: str | None, modifiers: int) -> bytes:
    shift, alt, ctrl = modifiers & 1, modifiers & 2, modifiers & 4
    escape = b"\x1b" if alt else b""
    if base == "tab" and shift:
        return BACK_TAB
    if base == "backspace" and ctrl:
        return escape + b"\x08"
    if base in PLAIN_KEYS and not (ctrl and base == "space"):
        return escape + PLAIN_KEYS[base].encode()
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
