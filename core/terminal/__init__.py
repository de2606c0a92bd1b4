"""The terminal emulator that the screen worker, the CLI and the console share: pyte, made right and made fast."""

from sandtop.core.terminal._emulator import (
    MAX_CELLS,
    MAX_SIDE,
    SCROLLBACK,
    Cursor,
    Emulator,
    Line,
    Modes,
    State,
)
from sandtop.core.terminal._style import Cell, Style, sgr

__all__ = [
    "MAX_CELLS", "MAX_SIDE", "SCROLLBACK", "Cell", "Cursor", "Emulator", "Line", "Modes", "State", "Style", "sgr",
]  # fmt: skip
