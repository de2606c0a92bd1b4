"""The terminal emulator that the screen worker, the CLI and the console share: built on pyte, but exact and fast."""

from sandtop.core.terminal._emulator import SCROLLBACK, Cursor, Emulator, Line, Modes, State, fitting
from sandtop.core.terminal._style import Cell, Style, sgr

__all__ = ["SCROLLBACK", "Cell", "Cursor", "Emulator", "Line", "Modes", "State", "Style", "fitting", "sgr"]
