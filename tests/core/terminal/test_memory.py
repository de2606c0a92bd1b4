"""What a screen takes in memory and in a dump, whatever its program writes: docs/terminal.md has the budget."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop.core.terminal import SCROLLBACK, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY = 40 << 20
DUMP = 8 << 20

LONG = 2000 * "x"


def _colours(n: int) -> str:
    return "".join(
        f"\x1b[38;2;{k >> 16};{k >> 8 & 255};{k & 255}mx" for k in range(1000 * n, 1000 * n + 1000)
    )


def _links(n: int) -> str:
    return "".join(f"\x1b]8;;http://{k:09}{LONG}\x07y" for k in range(20 * n, 20 * n + 20))


def _two_links(_n: int) -> str:
    return "".join(f"\x1b]8;;http://{k % 2}{LONG}\x07y" for k in range(20))


def _marks(n: int) -> str:
    return "".join("a" + "".join(chr(0x300 + (n * k * j) % 111) for j in range(15)) for k in range(60))


def _unseen(_n: int) -> str:
    return 200 * ("\x1b[" + 120 * "1;" + "31m") + "\U0001f600\r\n"


def _pens(n: int) -> str:
    return "".join(
        f"\x1b[38;5;{k % 256};4:{k % 5}m{chr(0x4E00 + (n * 31 + k * 7) % 20000)}" for k in range(300)
    )


def _titles(n: int) -> str:
    return f"\x1b]2;{n}" + 1000 * "\U0001f600" + "\x07\x1b[22;2t"


HOSTILE: dict[str, tuple[Callable[[int], str], float]] = {
    "a colour a cell": (_colours, 2.0),
    "a link a cell": (_links, 25.0),
    "two links by turns": (_two_links, 15.0),
    "marks on every cell": (_marks, 1.5),
    "renditions that nobody sees": (_unseen, 4.0),
    "many pens and many characters": (_pens, 2.0),
    "titles": (_titles, 4.0),
}
"""What each piece of output is, by its number, and how many megabytes of it."""


def measure(what: str) -> None:
    """Print by how much the process grew, and the size of the dump; in a process of its own."""
    piece, megabytes = HOSTILE[what]
    emulator = Emulator(80, 24, SCROLLBACK)
    before, fed, n = _resident(), 0, 0
    while fed < megabytes * 1e6:
        data = piece(n).encode()
        emulator.feed(data)
        fed, n = fed + len(data), n + 1
    sys.stdout.write(f"{_resident() - before} {len(emulator.dump(DUMP))}")


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.parametrize("what", HOSTILE)
def test_a_screen_has_a_budget(what: str) -> None:
    script = f"from tests.core.terminal.test_memory import measure; measure({what!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    grown, dumped = map(int, done.stdout.split())
    assert grown < MEMORY
    assert dumped <= DUMP


def test_a_row_has_room_for_so_many_links_and_no_more() -> None:
    emulator = Emulator(80, 2)
    for number in range(10):
        emulator.feed(f"\x1b]8;;http://host/{number}{1000 * 'x'}\x07y\x1b]8;;\x07".encode())
    links = [cell.style.link for cell in emulator.cells(0)[:10]]
    assert [bool(link) for link in links] == [True] * 4 + [False] * 6
    # overwritten ones make room again, and one that is there has its room already
    emulator.feed(f"\r  \x1b]8;;{links[3]}\x07z\x1b]8;;http://new{1000 * 'x'}\x07z".encode())
    found = [cell.style.link for cell in emulator.cells(0)[:4]]
    assert found[:2] == ["", ""]
    assert found[2] == links[3]
    assert found[3].startswith("http://new")


def test_ordinary_links_stay() -> None:
    emulator = Emulator(200, 2)
    names = "".join(
        f"\x1b]8;;file:///usr/share/doc/{n}/some/file\x1b\\{n:05}\x1b]8;;\x1b\\ " for n in range(33)
    )
    emulator.feed(names.encode())
    assert all(emulator.cell(0, 6 * n).style.link for n in range(33))


def test_a_link_that_is_not_ascii_is_encoded() -> None:
    emulator = Emulator(10, 1)
    emulator.feed("\x1b]8;;http://x/ü%20a b\x07y".encode())
    assert emulator.cell(0, 0).style.link == "http://x/%C3%BC%20a%20b"


@pytest.mark.slow
def test_a_colour_a_cell_takes_from_the_scrollback_alone() -> None:
    """The newest rows stay, as they were written."""
    emulator = Emulator(80, 24, SCROLLBACK)
    for number in range(700):
        cells = "".join(f"\x1b[38;2;{number >> 8};{number & 255};{k}mx" for k in range(80))
        emulator.feed(f"{cells}\x1b[m\r\n".encode())
    assert 200 < emulator.scrollback_rows < 1000
    assert emulator.cell(0, 7).style.foreground == f"#{677 >> 8:02x}{677 & 255:02x}07"
    assert emulator.cells(-1)[3].style.foreground == f"#{676 >> 8:02x}{676 & 255:02x}03"
    for number in range(3000):  # ordinary text has all of it again
        emulator.feed(b"line %d\r\n" % number)
    assert emulator.scrollback_rows == SCROLLBACK


def test_a_dump_within_a_limit_has_the_newest_whole_lines() -> None:
    emulator = Emulator(20, 3, 100)
    for number in range(50):
        emulator.feed(f"{number:03} a line that wraps over rows\r\n".encode())
    copy = Emulator(20, 3, 100)
    copy.feed(emulator.dump(1000))
    assert copy.text() == emulator.text()
    rest = copy.scrollback_text()
    assert emulator.scrollback_text().endswith(rest)
    assert len(rest) > 300
    assert rest[:3].isdecimal()
