"""What of a sandbox's terminal output reaches the operator's own terminal, and what is kept from it. Data, no I/O.

A terminal does more than show: it hands out the clipboard, moves windows, notifies, prints, reads files, and answers
by typing. What acts outside of the screen is refused unless the operator allows its kind by name. Strings (OSC, DCS,
APC) pass by a list of those that are known to stay on the screen, since terminals give new ones new powers; control
functions pass but for those listed here. Sources: xterm's ctlseqs, and the documents of iTerm2, kitty, ConEmu, VTE,
mintty and VS Code on their own sequences.
"""

from __future__ import annotations

import re

from sandtop.core.errors import InvalidRequest

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

KINDS: Final = {
    "clipboard": "read and set the clipboard (OSC 52, OSC 5522)",
    "directory": "tell the terminal a working directory (OSC 7)",
    "iterm2": "iTerm2's own sequences, downloads among them (OSC 1337)",
    "notifications": "show notifications and progress (OSC 9, 99, 777)",
    "print": "print (media copy, CSI i)",
    "window": "move, resize, raise and ask the window (CSI t, DECSNLS, DECSCPP, DECCOLM)",
}
"""What may be allowed, each with what it lets a program do."""

OSC: Final = re.compile(rb"(?:[01248]|5|1[0-9]|10[45]|11[0-9]|2[12]|66|133)(?:;|\Z)")
"""Operating system commands that stay on the screen: titles, links, colours, kitty's colours, the pointer's shape and
its sized text, and the marks of prompts."""
OSC_MUTE: Final = re.compile(rb"(?:[0128]|66|133)(?:;|\Z)")
"""The commands of `OSC` by which a program cannot ask for anything."""
OSC_OF: Final = {
    "clipboard": re.compile(rb"(?:52|5522);"),
    "directory": re.compile(rb"7;"),
    "iterm2": re.compile(rb"1337;"),
    # ConEmu runs programs and macros by OSC 9 with a number; 4 is the one that shows progress
    "notifications": re.compile(rb"9;(?:4;|[^0-9]|\Z)|99;|777;notify;"),
}
SIXEL: Final = re.compile(rb"[0-9;]*q")
DCS: Final = re.compile(rb"\$q|\+q|" + SIXEL.pattern)
"""DECRQSS, XTGETTCAP, sixel. Not: keys with a text of the program's (DECUDK), fonts, macros, remote control, and what
tmux and screen pass on to the terminal around them unseen."""
APC: Final = re.compile(
    rb"G(?:(?!t=(?!d(?:[,;]|\Z)))[A-Za-z]=[-0-9A-Za-z]+(?:,(?!t=(?!d(?:[,;]|\Z)))[A-Za-z]=[-0-9A-Za-z]+)*)?(?:;|\Z)"
)
"""kitty's images whose bytes come along (``t=d``); not those that the terminal would read from files."""

TITLE: Final = re.compile(rb"[012](?:;|\Z)")
PALETTE: Final = re.compile(rb"(?:[45]|1[0-9]|21|10[45]|11[0-9])(?:;|\Z)")
PROGRESS: Final = re.compile(rb"9;4;")

MODES_NEVER: Final = frozenset({38, 46})
"""Tektronix mode opens a window, and logging (xterm) writes a file."""
MODES_OF_WINDOW: Final = frozenset({40, 1043})
"""The right to change the width, and raising the window at each bell."""
MODES_MUTE: Final = frozenset({9, 1000, 1001, 1002, 1003, 1004, 2031, 2048, 5522, 9001})
"""Modes in which a terminal types by itself: refused where nobody passes that on."""
WINDOW_ASKED: Final = frozenset({b"14", b"14;2", b"16", b"18"})
"""Window operations that anybody may use: the size of the text area and of a cell, which programs with images ask."""
WINDOW_NEVER: Final = ([20], [21])
"""Reports of the icon's name and the title: a way to have the terminal type a text of the program's."""
PUSH_TITLE: Final = frozenset({b"22", b"22;0", b"22;1", b"22;2", b"22;0;0", b"22;1;0", b"22;2;0"})
POP_TITLE: Final = frozenset({b"23", b"23;0", b"23;1", b"23;2", b"23;0;0", b"23;1;0", b"23;2;0"})
"""terminfo's way into the alternate screen has three numbers; with a third but 0 xterm would write any place there."""
MOST_TITLES: Final = 8
"""Titles that a program may push: terminals keep ten, and the lowest is the operator's own."""


def allowed(names: Iterable[str], where: str) -> frozenset[str]:
    """The kinds in ``names``, each one or several with commas between. Raises `InvalidRequest` that names ``where``."""
    found = frozenset(name.strip() for text in names for name in text.split(",") if name.strip())
    for name in sorted(found - KINDS.keys()):
        raise InvalidRequest(
            f"{where}: there is nothing called {name!r:.40} to allow", hint=f"known: {', '.join(KINDS)}"
        )
    return found
