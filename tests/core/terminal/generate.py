"""Streams of control functions that all terminals claim to understand, made from a seed."""

from __future__ import annotations

import random

_WORDS = ("a", "hello", "the quick brown", "x" * 11, "中", "文字", "é", "e\u0301", "👍", "│─┼")
_GRAPHEMES = ("👩\u200d👩\u200d👧", "❤\ufe0f", "🇩🇪")
_RENDITIONS = (
    "0", "1", "2", "3", "4", "4:3", "7", "9", "31", "42", "38;5;200", "48;2;1;2;3", "58:5:3", "53", "21", "22", "24",
    "39", "49", "95", "104", "0;1;33;44",
)  # fmt: skip
_COUNTED = {
    "CUU": "A", "CUD": "B", "CUF": "C", "CUB": "D", "CNL": "E", "CPL": "F", "ECH": "X", "ICH": "@", "DCH": "P",
    "IL": "L", "DL": "M", "SU": "S", "SD": "T", "CBT": "Z", "CHT": "I", "HPR": "a", "VPR": "e",
}  # fmt: skip
_FIXED = {
    "CR LF": ("\r\n",), "LF": ("\n",), "CR": ("\r",), "BS": ("\b",), "HT": ("\t",), "RI": ("\x1bM",), "IND": ("\x1bD",),
    "NEL": ("\x1bE",), "DECSC": ("\x1b7",), "DECRC": ("\x1b8",), "HTS": ("\x1bH",), "IRM": ("\x1b[4h", "\x1b[4l"),
    "DECAWM": ("\x1b[?7h", "\x1b[?7l", "\x1b[?7h"), "DECOM": ("\x1b[?6h", "\x1b[?6l"),
    "1049": ("\x1b[?1049h", "\x1b[?1049l"), "TBC": ("\x1b[g", "\x1b[3g"), "SCOSC": ("\x1b[s",), "SCORC": ("\x1b[u",),
    "DECSTBM": ("\x1b[2;5r", "\x1b[r", "\x1b[3;6r", "\x1b[1;4r"), "EL": ("\x1b[K", "\x1b[1K", "\x1b[2K"),
    "ED": ("\x1b[J", "\x1b[1J", "\x1b[2J"), "SGR": tuple(f"\x1b[{parameters}m" for parameters in _RENDITIONS),
    "graphics": ("\x1b(0lqk\x1b(B",), "RIS": ("\x1bc",), "DECSTR": ("\x1b[!p",),
}  # fmt: skip

COLUMNS, ROWS = 20, 6


def stream(seed: int, without: frozenset[str] = frozenset()) -> bytes:
    """Some thirty functions and words. ``without``: names of functions left out, and ``graphemes``, ``margin``.

    Without ``margin`` nothing comes near the last column.
    """
    chooser = random.Random(seed)
    return "".join(_step(chooser, without) for _ in range(chooser.randint(5, 45))).encode()


def _step(chooser: random.Random, without: frozenset[str]) -> str:
    names = [*_COUNTED, *_FIXED, "SGR", "SGR", "CUP", "CUP", "CHA", "VPA", "REP", *["words"] * 14]
    name = chooser.choice([name for name in names if name not in without])
    count = chooser.choice((1, 1, 2, 3, 5))
    if name == "words":
        words = _WORDS if "graphemes" in without else _WORDS + _GRAPHEMES
        if "margin" not in without:
            return chooser.choice(words)
        return f"\x1b[{chooser.randint(1, ROWS)};{chooser.randint(1, 3)}H{chooser.choice(words)}"
    if name in _FIXED:
        return chooser.choice(_FIXED[name])
    if name in _COUNTED:
        return f"\x1b[{count}{_COUNTED[name]}"
    row, column = chooser.randint(1, ROWS), chooser.randint(1, COLUMNS if "margin" not in without else 9)
    return {
        "CUP": f"\x1b[{row};{column}H",
        "CHA": f"\x1b[{column}G",
        "VPA": f"\x1b[{row}d",
        "REP": f"z\x1b[{count}b",
    }[name]
