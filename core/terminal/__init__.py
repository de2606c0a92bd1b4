"""The terminal emulator that the screen worker, the CLI and the console share: pyte, made right and made fast."""

from sandtop.core.terminal._emulator import Cursor, Emulator, Line, Modes, State
from sandtop.core.terminal._style import Cell, Style

__all__ = ["Cell", "Cursor", "Emulator", "Line", "Modes", "State", "Style"]
