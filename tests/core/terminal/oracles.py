# ruff: noqa: ANN401 - cffi's objects have no types
"""Other terminal emulators to compare with: a real tmux pane, and Ghostty's engine from PyPI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyghostty  # pyright: ignore[reportMissingTypeStubs]
import wcwidth

from sandtop.core.terminal import Cell, Emulator, Style

if TYPE_CHECKING:
    from types import TracebackType

_ffi: Any = pyghostty.ffi
_lib: Any = pyghostty.lib
_Terminal: Any = pyghostty.Terminal

UNKNOWN = Cell("?", 1, Style())
"""A cell that an oracle does not tell."""

_UNDERLINES = ("", "single", "double", "curly", "dotted", "dashed")
_GRAPHICS = dict(zip(map(chr, range(0x60, 0x7F)), "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True))

# Run in the pane. DSR 5 after the data: its answer says that tmux has read everything before it.
# capture-pane leaves out what follows the last character written in a row, whatever its background; so each row is
# captured again after its last column was written.
_PANE = r"""
import os, select, sys, termios, tty
tty.setraw(0)
data = open(sys.argv[1], "rb").read()
while data:
    data = data[os.write(1, data):]
os.write(1, b"\x18\x1b[5n")
seen = b""
while b"\x1b[0n" not in seen:
    seen += os.read(0, 4096)
open(sys.argv[2], "w").close()
open(sys.argv[2]).close()
rows, columns = map(int, sys.argv[3:])
marks = "".join(f"\x1b[{row};{columns}Hx" for row in range(1, rows + 1))
os.write(1, f"\x18\x1b[r\x1b[?6l\x1b[4l\x1b[m{marks}\x1b[5n".encode())
seen = b""
while b"\x1b[0n" not in seen:
    seen += os.read(0, 4096)
open(sys.argv[2], "w").close()
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Screen:
    """What an emulator shows, in a form that compares: a cell a column, no links, blanks as spaces."""

    cells: list[list[Cell]]
    cursor: tuple[int, int]
    """Row and column; a pending wrap counts as the last column."""

    def text(self) -> str:
        return "\n".join("".join(cell.text for cell in row).rstrip() for row in self.cells)


def ours(data: bytes, columns: int, rows: int) -> Screen:
    """What our emulator makes of ``data``."""
    emulator = Emulator(columns, rows)
    emulator.feed(data)
    return of(emulator)


def of(emulator: Emulator) -> Screen:
    """What ``emulator`` shows."""
    cells = [[_without_link(cell) for cell in emulator.cells(row)] for row in range(emulator.rows)]
    return Screen(cells, (emulator.cursor.row, emulator.cursor.column))


def _without_link(cell: Cell) -> Cell:
    return replace(cell, style=replace(cell.style, link="", link_id="")) if cell.style.link else cell


class Tmux:
    """A tmux server of its own. Each `show` gets a pane of its own, with nothing around it."""

    def __init__(self) -> None:
        if shutil.which("tmux") is None:
            raise RuntimeError("these tests compare with tmux: install tmux")
        self._folder = Path(tempfile.mkdtemp())
        self._socket = str(self._folder / "s")
        self._number = 0
        self.told = ""
        (self._folder / "pane.py").write_text(_PANE)

    def __enter__(self) -> Tmux:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, *arguments: str) -> bytes:
        environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
        environment.pop("TMUX", None)
        command = ["tmux", "-u", "-f", "/dev/null", "-S", self._socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, env=environment, timeout=30).stdout

    def show(self, data: bytes, columns: int, rows: int, ask: str = "") -> Screen:
        """What a pane shows after a program wrote ``data``; `told` is what it answers then to ``ask``, a format."""
        self._number += 1
        name = f"p{self._number}"
        given, taken = self._folder / f"{name}.in", self._folder / f"{name}.out"
        given.write_bytes(data)
        os.mkfifo(taken)
        size = ("-x", str(columns), "-y", str(rows))
        self._run("new-session", "-d", "-s", name, *size, ";", "set", "-g", "status", "off", ";",
                  "set", "-g", "remain-on-exit", "on", ";", "respawn-pane", "-k",
                  sys.executable, "-IS", str(self._folder / "pane.py"), str(given), str(taken),
                  str(rows), str(columns))  # fmt: skip
        taken.read_bytes()
        capture = ("capture-pane", "-p", "-e", "-N", "-t", name)
        say = ("display-message", "-p", "-t", name)
        told = self._run(*capture, ";", *say, "#{cursor_y} #{cursor_x}", *((";", *say, ask) if ask else ()))
        captured = told.decode().split("\n")
        place = captured[rows].split()
        self.told = "\n".join(captured[rows + 1 :]) if ask else ""
        taken.write_bytes(b"")
        taken.read_bytes()
        # the first one stays, and keeps the server alive
        gone = (";", "kill-session", "-t", name) if self._number > 1 else ()
        marked = self._run(*capture, *gone).decode().split("\n")
        cells = [
            [*row, *full[len(row) : columns - 1], *[UNKNOWN] * (columns - max(len(row), columns - 1))]
            for row, full in zip(_cells(captured[:rows]), _cells(marked[:rows]), strict=True)
        ]
        return Screen(cells, (int(place[0]), min(int(place[1]), columns - 1)))


_ESCAPES = re.compile(r"\x1b\[([0-9;:]*)m|([\x0e\x0f])|(.)", re.DOTALL)


def _cells(lines: list[str]) -> list[list[Cell]]:
    """The cells of what capture-pane printed."""
    style, graphics = Style(), False
    screen: list[list[Cell]] = []
    for line in lines:
        row: list[Cell] = []
        for sgr, shift, character in _ESCAPES.findall(line):
            if shift:
                graphics = shift == "\x0e"
            elif not character:
                style = _sgr(style, sgr)
            else:
                graphic = _GRAPHICS.get(character) or character
                _add(row, graphic if graphics else character, style)
        screen.append(row)
    return screen


def _add(row: list[Cell], character: str, style: Style) -> None:
    """Put one character of captured text into its cell. tmux 3.3a knows widths by the C library, near enough."""
    width = wcwidth.wcwidth(character)
    joined = row and (width == 0 or row[-1 if row[-1].width else -2].text.endswith("\u200d"))
    if joined:
        at = -1 if row[-1].width else -2
        text = row[at].text + character
        wide = 2 if character == "\ufe0f" or row[at].width == 2 else 1
        if wide > row[at].width:
            row.append(Cell("", 0, row[at].style))
            at -= 1
        row[at] = Cell(text, wide, row[at].style)
        return
    row.append(Cell(character, width, style))
    if width == 2:
        row.append(Cell("", 0, style))


def _sgr(style: Style, parameters: str) -> Style:
    """Only what capture-pane writes, read by rules of its own."""
    changes: dict[str, object] = {}
    codes = parameters.split(";")
    while codes:
        code = codes.pop(0)
        if code in ("", "0"):
            style, changes = Style(), {}
        elif code in ("38", "48", "58"):
            name = {"38": "foreground", "48": "background", "58": "underline_color"}[code]
            if codes.pop(0) == "5":
                changes[name] = f"color({codes.pop(0)})"
            else:
                changes[name] = "#{:02x}{:02x}{:02x}".format(*(int(codes.pop(0)) for _ in range(3)))
        elif code.startswith("58:"):
            parts = [part for part in code.split(":") if part]
            five = parts[1] == "5"
            changes["underline_color"] = (
                f"color({parts[2]})" if five else "#{:02x}{:02x}{:02x}".format(*map(int, parts[2:]))
            )
        elif code == "5:3":
            changes["overline"] = True  # as tmux 3.3a writes 53, by the rule that it has for 4:3
        elif code.startswith("4:"):
            changes["underline"] = _UNDERLINES[int(code[2:])]
        else:
            changes.update(_simple(int(code)))
    return replace(style, **cast("dict[str, Any]", changes))


def _simple(code: int) -> dict[str, object]:
    names = {
        1: "bold",
        2: "dim",
        3: "italic",
        5: "blink",
        7: "reverse",
        8: "conceal",
        9: "strike",
        53: "overline",
    }
    if code in names:
        return {names[code]: True}
    if code == 4:
        return {"underline": "single"}
    for start, name, first in (
        (30, "foreground", 0),
        (40, "background", 0),
        (90, "foreground", 8),
        (100, "background", 8),
    ):
        if start <= code < start + 8:
            return {name: f"color({first + code - start})"}
    if code in (39, 49):
        return {"foreground" if code == 39 else "background": "default"}
    raise ValueError(f"capture-pane wrote SGR {code}")


class Ghostty:
    """Ghostty's engine, with grapheme clustering (mode 2027) on, as Ghostty itself has it."""

    def show(self, data: bytes, columns: int, rows: int, resized: tuple[int, int] | None = None) -> Screen:
        """What it shows after ``data``, and after being ``resized`` then."""
        with _Terminal(columns, rows, 1000) as terminal:
            terminal.feed(b"\x1b[?2027h" + data.replace(b"\x1bc", b"\x1bc\x1b[?2027h"))
            if resized:
                terminal.resize(*resized)
                columns, rows = resized
            known: dict[tuple[int, int], Cell] = {}
            cells = [self._row(terminal, y, columns, known) for y in range(rows)]
            column, row = terminal.cursor
            return Screen(cells, (row, column))

    def _row(self, terminal: Any, y: int, columns: int, known: dict[tuple[int, int], Cell]) -> list[Cell]:
        """A row's cells. Those in ``known`` are not asked for again.

        Ghostty keeps a cell as a number that means the same all over its page of memory, but for the further code
        points of a cluster, which are elsewhere.
        """
        ref = terminal.ref(0, y)
        page = int(_ffi.cast("uintptr_t", ref.node))
        found = _ffi.new("GhosttyCell*")
        row: list[Cell] = []
        for x in range(columns):
            ref.x = x
            _lib.ghostty_grid_ref_cell(ref, found)
            key = (page, found[0])
            cell = known.get(key)
            if cell is None:
                tag = self._value(found[0], "CONTENT_TAG", "GhosttyCellContentTag")
                cell = self._cell(terminal, ref, found[0], tag, (x, y))
                if tag != _lib.GHOSTTY_CELL_CONTENT_CODEPOINT_GRAPHEME:
                    known[key] = cell
            row.append(cell)
        return row

    def _cell(self, terminal: Any, ref: Any, found: Any, tag: Any, place: tuple[int, int]) -> Cell:
        wide = self._value(found, "WIDE", "GhosttyCellWide")
        style = self._style(terminal.style(*place))
        if tag == _lib.GHOSTTY_CELL_CONTENT_BG_COLOR_PALETTE:
            return Cell(" ", 1, Style(background=f"color({self._value(found, 'COLOR_PALETTE', 'uint8_t')})"))
        if tag == _lib.GHOSTTY_CELL_CONTENT_BG_COLOR_RGB:
            rgb = self._value(found, "COLOR_RGB", "GhosttyColorRgb")
            return Cell(" ", 1, Style(background=f"#{rgb.r:02x}{rgb.g:02x}{rgb.b:02x}"))
        if wide == _lib.GHOSTTY_CELL_WIDE_SPACER_TAIL:
            return Cell("", 0, style)
        buffer, length = _ffi.new("uint32_t[64]"), _ffi.new("size_t*")
        _lib.ghostty_grid_ref_graphemes(ref, buffer, 64, length)
        text = "".join(chr(buffer[number]) for number in range(length[0])) or " "
        return Cell(text, 2 if wide == _lib.GHOSTTY_CELL_WIDE_WIDE else 1, style)

    def _value(self, cell: Any, name: str, ctype: str) -> Any:
        out = _ffi.new(ctype + "*")
        _lib.ghostty_cell_get(cell, getattr(_lib, f"GHOSTTY_CELL_DATA_{name}"), out)
        return out[0]

    def _style(self, given: dict[str, Any]) -> Style:
        underline: int = given["underline"]

        def colour(value: Any) -> str:
            if value is None:
                return "default"
            kind, number = value
            return f"color({number})" if kind == "palette" else "#{:02x}{:02x}{:02x}".format(*number)

        return Style(
            foreground=colour(given["fg"]), background=colour(given["bg"]),
            underline_color=colour(given["underline_color"]), underline=_UNDERLINES[underline],
            bold=given["bold"], dim=given["faint"], italic=given["italic"], blink=given["blink"],
            reverse=given["inverse"], conceal=given["invisible"], strike=given["strikethrough"],
            overline=given["overline"],
        )  # fmt: skip


def differences(left: Screen, right: Screen) -> list[str]:
    """Where two screens differ, a line a cell, and where their cursors do."""
    found: list[str] = []
    for y, (ours_row, theirs_row) in enumerate(zip(left.cells, right.cells, strict=True)):
        for x, (one, other) in enumerate(zip(ours_row, theirs_row, strict=False)):
            if one != other and other is not UNKNOWN:
                found.append(f"{y},{x}: {describe(one)} | {describe(other)}")
    if left.cursor != right.cursor:
        found.append(f"cursor: {left.cursor} | {right.cursor}")
    return found


def describe(cell: Cell) -> str:
    """A cell in a few words."""
    changed = [
        f"{name}={value}"
        for name in Style.__slots__
        if (value := getattr(cell.style, name)) != getattr(Style(), name)
    ]
    return f"{cell.text!r}/{cell.width} {' '.join(changed)}".rstrip()
