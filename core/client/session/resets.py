"""What a terminal of today can have switched on, and the sequence that ends it. Data, no I/O.

A program does not know that its viewer leaves. What it left switched on is not tracked: the whole table is written,
whatever came before, so that nothing depends on having understood the program as the terminal did. Not in it is what
has no usual state but the operator's own liking (colours, some modes): that is put back where output touched it.

Sources: xterm's ctlseqs (patch 407), the VT510 manual (EK-VT510-RM), kitty's documents on keys, pointer and cursors,
and those of VTE, mintty, foot and Windows Terminal on their private modes.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

END: Final = (
    (
        b"\x18\x1b\\",
        "an unfinished character, control function or string: CAN, then ST, which some terminals need",
    ),
    (b"\x1b<", "VT52 mode, which knows no CSI (DECANM)"),
    (b"\x1b[4i\x1b[?4i", "output that goes to the printer (MC)"),
    (b"\x1b%G", "a character set other than UTF-8"),
    (b"\x1b F", "answers with 8-bit controls (S8C1T)"),
    (b"\x1b[?2026l", "an unfinished frame (synchronized output)"),
)
"""What must end before the terminal understands the rest, or shows it."""

KITTY: Final = b"\x1b[=0u\x1b[<99u"
ENTER: Final = b"\x1b[?1049h"
LEAVE: Final = b"\x1b[?1049l"
ALTERNATE: Final = (
    (b"\x1b[0$}\x1b[0$~", "output that goes to a status line (DECSASD, DECSSDT)"),
    (KITTY, "kitty's keyboard flags, of the alternate screen"),
    (b"\x1b[?6l\x1b[?69l\x1b[r", "origin mode and margins (DECOM, DECLRMM, DECSTBM), which move the cursor"),
    (b"\x1b[>4m\x1b[>m\x1b[>4f", "xterm's reports of modified keys (modifyOtherKeys and its kind)"),
    (b"\x1b[>T\x1b[>0s", "xterm's ways of titles and of the shift key with the mouse"),
    (b"\x1b[>0;4 q", "kitty's further cursors"),
    (b"\x1b[0 k\x1b[8h", "right-to-left paragraphs (SCP, BDSM)"),
    (b"\x1b[3g\x1b[?5W", "tab stops (TBC, DECST8C), and then one every eight columns (HTS)"),
)
"""What moves the cursor, or shows something where it is misunderstood. It is written on the alternate screen, whose
entry keeps the cursor and whose end puts it back, wherever the program was: ``ENTER`` there does nothing."""

MAIN: Final = (
    (KITTY, "kitty's keyboard flags, of the main screen"),
    (b"\x1b[!p", "what a soft reset ends, protected characters too (DECSTR, DECSCA)"),
    (b"\x1b[2l", "a locked keyboard (KAM)"),
    (b"\x1b[4l", "insert mode (IRM)"),
    (b"\x1b[12h", "local echo (SRM)"),
    (b"\x1b[20l", "line feeds that also return (LNM)"),
    *((b"\x1b[?%dl" % mode, name) for mode, name in (
        (1, "application cursor keys (DECCKM)"),
        (5, "reverse video (DECSCNM)"),
        (9, "the mouse: presses (X10)"),
        (40, "the right to change the width"),
        (42, "national characters (DECNRCM)"),
        (66, "application keypad (DECNKM)"),
        (1000, "the mouse: clicks"), (1001, "the mouse: highlighting"), (1002, "the mouse: drags"),
        (1003, "the mouse: all motion"),
        (1004, "focus reports"),
        (1005, "the mouse: UTF-8 reports"), (1006, "the mouse: SGR reports"), (1015, "the mouse: urxvt reports"),
        (1016, "the mouse: reports in pixels"),
        (2004, "bracketed paste"),
        (2031, "reports of the colour theme"),
        (2048, "reports of the size"),
        (2500, "mirrored box characters (VTE)"), (2501, "text direction by itself (VTE)"),
        (5522, "kitty's paste events"),
        (7727, "another escape key (mintty)"),
        (8452, "the cursor beside a sixel image"),
        (9001, "Windows Terminal's keys (win32-input)"),
    )),
    (b"\x1b[?2001;2002;2003;2005;2006l", "xterm's readline modes"),
    (b"\x1b[?7h", "no automatic wrap (DECAWM)"),
    (b"\x1b[?8h", "no key repeat (DECARM)"),
    (b"\x1b[?25h", "a hidden cursor (DECTCEM)"),
    (b"\x1b>", "application keypad (DECKPAM)"),
    (b"\x1b(B\x1b)B\x1b*B\x1b+B\x0f", "other characters in G0 to G3, and G1 in use (SCS, SO)"),
    (b"\x1bm", "locked rows (HP's memory lock)"),
    (b"\x1b[0 q", "the cursor's shape (DECSCUSR)"),
    (b"\x1b]22;\x1b\\", "the pointer's shape"),
    (b"\x1b]8;;\x1b\\", "an open link"),
    (b"\x1b[m", "colours and attributes of text (SGR)"),
)  # fmt: skip

TOUCHED: Final = {
    "palette": (
        b"\x1b]104\x1b\\\x1b]105\x1b\\" + b"".join(b"\x1b]%d\x1b\\" % number for number in range(110, 120)),
        "the palette and the colours of text, background, cursor, pointer and selection",
    ),
    "progress": (b"\x1b]9;4;0\x1b\\", "a progress bar, where notifications are allowed"),
    "title": (b"\x1b]2;\x1b\\", "the title, on a terminal without a stack of them (XTPUSHTITLE, XTPOPTITLE)"),
}
"""What is ended only where output touched it: the usual state is the operator's own."""

PREFERRED: Final = frozenset(
    {
        12, 30, 35, 45, 67, 80, 1007, 1010, 1011, 1034, 1035, 1036, 1037, 1039, 1040, 1041, 1042, 1043, 1045, 1050,
        1051, 1052, 1053, 1060, 1061, 1070, 2027, 7700, 7728, 7766, 7786, 7787, 77096,
    }
)  # fmt: skip
"""Modes of which terminals let their users choose the usual state: saved before output first touches one (XTSAVE), then
switched off, and restored (XTRESTORE) where the terminal can."""
PUSH: Final = b"\x1b[22;0t"
POP: Final = b"\x1b[23;0t"


def keep(mode: int) -> bytes:
    """What has the terminal remember ``mode``, one of `PREFERRED`, as it is now."""
    return b"\x1b[?%ds" % mode


def reset(columns: int, *, console: bool = False, question: bytes = b"") -> bytes:
    """The whole table for a terminal ``columns`` wide, with a ``question`` of which nothing may show.

    With ``console`` for Linux's own, which may have no second screen, and shows strings that it does not know.
    """
    # without a second screen the saved cursor is what brings it back
    enter, leave = (ENTER + b"\x1b7", b"\x1b8" + LEAVE) if console else (ENTER, LEAVE)
    stops = b"".join(b"\x1b[%dG\x1bH" % (stop + 1) for stop in range(8, columns, 8))
    pieces = [sequence for sequence, _ in END]
    pieces += [enter, *(sequence for sequence, _ in ALTERNATE), stops, question, leave]
    pieces += [sequence for sequence, _ in MAIN if not (console and sequence.startswith(b"\x1b]"))]
    return b"".join(pieces)


def restore(mode: int) -> bytes:
    """What ends ``mode``, one of `PREFERRED`, that output touched."""
    return b"\x1b[?%dl\x1b[?%dr" % (mode, mode)
